"""Accumulation gives the gradient of the whole minibatch, whatever rows are ignored."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import purefw
from purefw.data import toy
from purefw.layers.tanh import tanh
from purefw.losses.info_nce import info_nce
from purefw.losses.linear_cross_entropy import LinearScores
from purefw.losses.softmax_cross_entropy import softmax_cross_entropy
from purefw.losses.squared_error import squared_error
from purefw.models import gpt, perceptron
from purefw.rule import Loss
from purefw.train import accumulated, fit
from reference import autodiff, chance
from reference.registry import LOSSES, LossEntry
from tests.refute import random_params

EPS = float(jnp.finfo("float64").eps)
# Rows 0 to 3 are ignored wholly, of 4 to 7 one counts, of the last four all.
LABELS = jnp.array([-1, -1, -1, -1, -1, 2, -1, -1, 0, 1, 2, 1])
WEIGHTS = (0.5, 2.0, 3.0)
LOSS_OF = {
    "ignored": softmax_cross_entropy(ignore_index=-1),
    "ignored_weighted": softmax_cross_entropy(ignore_index=-1, class_weights=WEIGHTS),
    "ignored_sum": softmax_cross_entropy("sum", ignore_index=-1),
    "ignored_z_loss": softmax_cross_entropy(ignore_index=-1, z_loss=0.1),
    "smoothed": softmax_cross_entropy(ignore_index=-1, label_smoothing=0.2),
}


def apart(tree, reference):
    """The largest difference of two trees, each leaf's in its largest entry times ε."""
    pairs = zip(jax.tree.leaves(tree), jax.tree.leaves(reference), strict=True)
    return max(float(abs(a - b).max() / (abs(b).max() * EPS)) for a, b in pairs)


def _both(loss, parts, keys, labels=LABELS, gradient=purefw.loss_and_grad):
    network = perceptron((7, 5, 3), tanh())
    params = random_params(network, next(keys))
    x = chance.normal(next(keys), (len(labels), 7))
    whole = jax.jit(autodiff.loss_and_grad(network, loss))(params, x, labels)
    part = jax.jit(accumulated(gradient(network, loss), loss, parts))
    return part(params, x, labels), whole


@pytest.mark.parametrize("parts", [3, 12])
@pytest.mark.parametrize("name", LOSS_OF)
def test_it_is_the_gradient_of_the_whole_in_noise_units(name, parts, keys):
    assert apart(*_both(LOSS_OF[name], parts, keys)) < 16  # measured 4.0 at most


@pytest.mark.parametrize("count", [lambda t: 1.0, lambda t: t.size, lambda t: t.sum()])
def test_another_weight_of_the_parts_is_refuted(count, keys):
    """1 or all its rows for each part, the usual mean over parts, among them."""
    honest = LOSS_OF["ignored"]

    def divisor(target):
        return jnp.array(count(target), float)

    wrong = Loss("wrong", honest.forward, honest.backward, divisor)
    result, whole = _both(wrong, 3, keys)
    assert apart(result, whole) > 1e12


def test_nothing_that_counts_is_no_loss_and_no_gradient(keys):
    (value, dparams), _ = _both(LOSS_OF["ignored"], 3, keys, jnp.full(12, -1))
    assert value == 0 and all((v == 0).all() for v in jax.tree.leaves(dparams))


def test_other_gradients_accumulate_too(keys):
    loss = squared_error()
    labels = chance.normal(next(keys), (6, 3))
    result, whole = _both(loss, 3, keys, labels, gradient=autodiff.loss_and_grad)
    assert apart(result, whole) < 16


def test_a_loss_in_which_rows_meet_is_refused():
    network = perceptron((7, 5, 3), tanh())
    with pytest.raises(ValueError, match="loss must be a sum over rows.* got info_nce"):
        accumulated(purefw.loss_and_grad(network, info_nce()), info_nce(), 2)


def test_rows_that_do_not_divide_are_refused(keys):
    with pytest.raises(ValueError, match="rows must be a multiple of 5, got 12"):
        _both(LOSS_OF["ignored"], 5, keys)


@pytest.mark.parametrize("name", [n for n in LOSSES if LOSSES[n].loss.divisor])
def test_the_divisor_makes_a_loss_a_sum_over_rows(name, keys):
    """n loss of a batch that stands there twice is twice n loss; n is as promised."""
    entry: LossEntry = LOSSES[name]
    prediction, target = next(iter(entry.inputs.values()))(next(keys))

    def total(prediction, target):
        return entry.loss.forward(prediction, target)[0] * entry.loss.divisor(target)

    def doubled(v):
        return jnp.concatenate([v, v])

    if isinstance(prediction, LinearScores):  # Its weight and bias belong to all rows.
        twice = prediction._replace(x=doubled(prediction.x)), doubled(target)
    else:
        twice = jax.tree.map(doubled, (prediction, target))
    once = total(prediction, target)
    np.testing.assert_allclose(total(*twice), 2 * once, rtol=1e-12)


def test_a_language_model_with_padding_accumulates(keys):
    network, loss = gpt(11, 6, 3, 1), softmax_cross_entropy(ignore_index=-1)
    params = random_params(network, next(keys))
    ids = chance.randint(next(keys), (4, 6), 0, 11, jnp.int32)
    lengths = jnp.array([[5], [1], [4], [2]])
    labels = jnp.where(jnp.arange(5)[None] < lengths, ids[:, 1:], -1)
    whole = jax.jit(autodiff.loss_and_grad(network, loss))(params, ids[:, :-1], labels)
    part = jax.jit(accumulated(purefw.loss_and_grad(network, loss), loss, 2))
    assert apart(part(params, ids[:, :-1], labels), whole) < 512


def test_fit_accumulates_to_the_same_training():
    network = perceptron((2, 5, 2), tanh())
    settings = {"optimiser": "sgd", "epochs": 2, "batch_size": 20}
    whole, parts = (
        fit(
            network,
            softmax_cross_entropy(),
            toy(),
            key=jax.random.key(0),
            accumulate=k,
            **settings,
        ).params
        for k in (1, 5)
    )
    assert apart(parts, whole) < 64
