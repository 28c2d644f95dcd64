"""Losses of labels: logistic on logits, focal, hinges, negative log-likelihood."""

import jax
import jax.numpy as jnp
import optax
import pytest
from sklearn.metrics import hinge_loss

from purefw.losses.focal import focal
from purefw.losses.hinge import hinge
from purefw.losses.logistic_loss_on_logits import logistic_loss_on_logits
from purefw.losses.multiclass_hinge import multiclass_hinge
from purefw.losses.negative_log_likelihood import negative_log_likelihood
from purefw.losses.softmax_cross_entropy import softmax_cross_entropy
from reference import chance
from tests.losses.compare import gradient, noise, torched, value

REDUCTIONS = {"mean": jnp.mean, "sum": jnp.sum}
BOTH = pytest.mark.parametrize("reduction", REDUCTIONS)
UNITS = 16  # Sums of 35 terms in another order; worst measured: 2.4.


@pytest.fixture
def logits(keys):
    return 2 * chance.normal(next(keys), (5, 7))


@pytest.fixture
def labels(keys):
    return chance.randint(next(keys), (5,), 0, 7)


@pytest.fixture
def bits(keys):
    return chance.bernoulli(next(keys), 0.4, (5, 7)).astype(float)


@BOTH
def test_logistic_is_that_of_optax_and_torch_on_soft_targets(
    reduction, logits, keys, torch
):
    t = chance.uniform(next(keys), (5, 7))
    ours = value(logistic_loss_on_logits(reduction), logits, t)
    theirs = REDUCTIONS[reduction](optax.sigmoid_binary_cross_entropy(logits, t))
    assert noise(ours, theirs) <= UNITS
    theirs = torch.nn.BCEWithLogitsLoss(reduction=reduction)
    assert noise(ours, theirs(torched(torch, logits), torched(torch, t))) <= UNITS


def test_logistic_is_finite_at_logits_of_ten_thousand():
    z, t = jnp.array([1e4, -1e4, 1e4, -1e4]), jnp.array([1.0, 0.0, 0.0, 1.0])
    assert value(logistic_loss_on_logits("sum"), z, t) == 2e4
    assert gradient(logistic_loss_on_logits("sum"), z, t).tolist() == [0, 0, 1, -1]


def test_logistic_swaps_its_classes_with_the_sign_of_the_logit(logits, bits):
    loss = logistic_loss_on_logits()
    assert value(loss, logits, bits) == value(loss, -logits, 1 - bits)
    there, back = gradient(loss, logits, bits), gradient(loss, -logits, 1 - bits)
    assert (there == -back).all()


def test_logistic_does_not_refuse_a_target_outside_0_and_1():
    v = value(logistic_loss_on_logits(), jnp.zeros(1), jnp.array([3.0]))
    assert noise(v, jnp.log(2.0)) <= UNITS


@BOTH
@pytest.mark.parametrize("alpha", [None, 0.25])
def test_focal_is_that_of_optax(reduction, alpha, logits, bits):
    theirs = optax.sigmoid_focal_loss(logits, bits, alpha=alpha, gamma=1.5)
    ours = value(focal(reduction, gamma=1.5, alpha=alpha), logits, bits)
    assert noise(ours, REDUCTIONS[reduction](theirs)) <= UNITS


def test_focal_without_damping_is_the_logistic_loss(logits, bits):
    plain = logistic_loss_on_logits()
    assert noise(value(focal(gamma=0.0), logits, bits), value(plain, logits, bits)) <= 4
    ours, theirs = (gradient(f, logits, bits) for f in (focal(gamma=0.0), plain))
    assert noise(ours, theirs) <= UNITS


def test_focal_pushes_each_logit_to_its_label_and_takes_integers(logits, bits):
    dz = gradient(focal(), logits, bits.astype(int))
    assert (jnp.sign(dz) == 1 - 2 * bits).all()


def test_focal_is_finite_where_the_power_of_autodiff_is_not():
    z, t = jnp.array([1e4, -1e4]), jnp.array([1.0, 1.0])
    assert gradient(focal("sum", gamma=0.5), z, t).tolist() == [0, -1]


@BOTH
def test_hinge_is_that_of_optax_and_scikit_learn(reduction, logits, bits):
    ours = value(hinge(reduction), logits, 2 * bits - 1)
    theirs = REDUCTIONS[reduction](optax.hinge_loss(logits, 2 * bits - 1))
    assert noise(ours, theirs) <= UNITS
    n = 1 if reduction == "mean" else 35
    theirs = n * hinge_loss((2 * bits - 1).ravel(), logits.ravel())
    assert noise(ours, theirs) <= UNITS


def test_hinge_has_half_the_slope_at_its_kink_and_none_beyond():
    z, t = jnp.array([1.0, 2.0, 0.5]), jnp.array([1, 1, 1])
    assert gradient(hinge("sum"), z, t).tolist() == [-0.5, 0, -1]


@BOTH
def test_multiclass_hinge_is_that_of_torch_times_the_classes(
    reduction, logits, labels, torch
):
    theirs = torch.nn.MultiMarginLoss(reduction=reduction)
    theirs = 7 * theirs(torched(torch, logits), torched(torch, labels))
    assert noise(value(multiclass_hinge(reduction), logits, labels), theirs) <= UNITS


def test_multiclass_hinge_of_two_classes_is_that_of_optax(logits, labels):
    z, y = logits[:, :2], labels % 2  # With one rival, its largest is its sum.
    theirs = optax.losses.multiclass_hinge_loss(z, y).mean()
    assert noise(value(multiclass_hinge(), z, y), theirs) <= UNITS


def test_multiclass_hinge_does_not_see_a_shift(logits, labels):
    loss = multiclass_hinge("sum")
    shifted = logits + jnp.arange(5.0)[:, None]
    assert noise(value(loss, shifted, labels), value(loss, logits, labels)) <= UNITS
    dz = gradient(loss, logits, labels)
    assert (dz.sum(axis=1) == 0).all() and (dz != 0).any()


def test_multiclass_hinge_has_half_the_slope_at_its_kink():
    dz = gradient(multiclass_hinge(), jnp.array([[2.0, 1.0, 1.5]]), jnp.array([0]))
    assert dz.tolist() == [[-1.5, 0.5, 1]]


@BOTH
def test_negative_log_likelihood_is_that_of_torch(reduction, logits, labels, torch):
    logp = jax.nn.log_softmax(logits)
    theirs = torch.nn.NLLLoss(reduction=reduction)
    theirs = theirs(torched(torch, logp), torched(torch, labels))
    ours = value(negative_log_likelihood(reduction), logp, labels)
    assert noise(ours, theirs) <= UNITS


def test_negative_log_likelihood_of_the_impossible_is_infinite_and_its_slope_not():
    logp = jnp.log(jnp.array([[0.0, 1.0], [0.5, 0.5]]))
    loss = negative_log_likelihood("sum")
    assert value(loss, logp, jnp.array([0, 1])) == jnp.inf
    assert gradient(loss, logp, jnp.array([0, 1])).tolist() == [[-1, 0], [0, -1]]


@pytest.mark.parametrize("loss", [multiclass_hinge(), negative_log_likelihood()])
@pytest.mark.parametrize("label", [-1, 7])
def test_a_label_that_is_not_a_class_is_visibly_nan(loss, label, logits, labels):
    wrong = labels.at[1].set(label)
    assert jnp.isnan(value(loss, logits, wrong))
    rows = jnp.isnan(gradient(loss, logits, wrong)).any(axis=1)
    assert rows.tolist() == [False, True, False, False, False]


@pytest.mark.parametrize("loss", [multiclass_hinge(), softmax_cross_entropy()])
def test_one_class_leaves_nothing_to_learn(loss, logits):
    z, y = logits[:, :1], jnp.zeros(5, int)
    assert value(loss, z, y) == 0 and not gradient(loss, z, y).any()


@pytest.mark.parametrize("loss,label", [(hinge(), 0.0), (focal(), 0.5)])
def test_a_binary_label_that_is_none_is_visibly_nan(loss, label, logits):
    wrong = jnp.ones((5, 7)).at[1, 2].set(label)
    assert jnp.isnan(value(loss, logits, wrong))
    assert jnp.argwhere(jnp.isnan(gradient(loss, logits, wrong))).tolist() == [[1, 2]]


@pytest.mark.parametrize("alpha", [None, 0.5])
def test_focal_does_not_see_a_label_flipped_with_its_logit(alpha, logits, bits):
    loss = focal(alpha=alpha)
    assert noise(value(loss, -logits, 1 - bits), value(loss, logits, bits)) <= UNITS


def test_negative_log_likelihood_has_one_gradient_everywhere(logits, labels):
    here, there = (
        gradient(negative_log_likelihood(), z, labels) for z in (logits, 3 * logits)
    )
    assert (here == there).all()
