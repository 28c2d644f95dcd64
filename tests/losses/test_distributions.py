"""Losses of distributions and masks: forwards, invariants, documented values."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.spatial.distance import jensenshannon

from purefw.losses.dice import dice
from purefw.losses.jensen_shannon import jensen_shannon
from purefw.losses.kl_divergence import kl_divergence
from purefw.losses.total_variation import total_variation
from reference import chance
from tests.losses.compare import gradient, noise, torched, value

REDUCTIONS = {"mean": jnp.mean, "sum": jnp.sum}
BOTH = pytest.mark.parametrize("reduction", REDUCTIONS)
UNITS = 64  # The terms of a divergence cancel; worst measured: 4.4.


@pytest.fixture
def p(keys):
    return chance.dirichlet(next(keys), jnp.ones(7), (5,))


@pytest.fixture
def q(keys):
    q = chance.dirichlet(next(keys), jnp.ones(7), (5,)).at[:, 2].set(0)
    return q / q.sum(axis=1, keepdims=True)


@BOTH
def test_kl_is_that_of_optax_and_torch(reduction, p, q, torch):
    ours = value(kl_divergence(reduction), jnp.log(p), q)
    theirs = REDUCTIONS[reduction](optax.kl_divergence(jnp.log(p), q))
    assert noise(ours, theirs) <= UNITS
    mode = {"mean": "batchmean", "sum": "sum"}[reduction]
    theirs = torch.nn.KLDivLoss(reduction=mode)
    assert noise(ours, theirs(torched(torch, jnp.log(p)), torched(torch, q))) <= UNITS


def test_kl_is_0_at_the_target_and_positive_elsewhere(p, q):
    assert value(kl_divergence(), jnp.log(q), q) == 0
    assert value(kl_divergence(), jnp.log(p), q) > 0


def test_kl_at_the_edges_of_probability():
    logq, loss = jnp.array([[-jnp.inf, 0.0]]), kl_divergence()
    assert value(loss, logq, jnp.array([[0.0, 1.0]])) == 0
    assert value(loss, logq, jnp.array([[1.0, 0.0]])) == jnp.inf
    assert gradient(loss, logq, jnp.array([[1.0, 0.0]])).tolist() == [[-1, 0]]


@pytest.mark.parametrize("loss", [kl_divergence(), jensen_shannon()])
def test_a_negative_probability_is_visibly_nan(loss):
    logq = jnp.log(jnp.array([[0.25, 0.75]]))
    assert jnp.isnan(value(loss, logq, jnp.array([[-0.1, 1.1]])))


@BOTH
def test_jensen_shannon_is_the_squared_distance_of_scipy(reduction, p, q):
    theirs = jensenshannon(np.asarray(p), np.asarray(q), axis=1) ** 2
    ours = value(jensen_shannon(reduction), jnp.log(p), q)
    assert noise(ours, REDUCTIONS[reduction](theirs)) <= UNITS


@pytest.mark.parametrize("loss", ["jensen_shannon", "total_variation"])
def test_symmetric_divergences_are_symmetric(loss, p, q):
    if loss == "jensen_shannon":
        there = value(jensen_shannon(), jnp.log(p), q)
        back = value(jensen_shannon(), jnp.log(q), p)
    else:
        there, back = value(total_variation(), p, q), value(total_variation(), q, p)
    assert noise(there, back) <= 4


def test_jensen_shannon_is_0_at_the_target_and_log_2_apart(q):
    assert value(jensen_shannon(), jnp.log(q), q) < 1e-16
    assert abs(gradient(jensen_shannon(), jnp.log(q), q)).max() < 1e-16
    logp = jnp.log(jnp.array([[1.0, 0.0]]))
    apart = value(jensen_shannon(), logp, jnp.array([[0.0, 1.0]]))
    assert noise(apart, jnp.log(2.0)) <= 1


def test_jensen_shannon_gradient_is_finite_at_probability_0():
    logp, q = jnp.array([[-jnp.inf, -1e4, -60.0, 0.0]]), jnp.array([[0.5, 0.5, 0, 0]])
    dlogp = gradient(jensen_shannon(), logp, q)
    assert jnp.isfinite(dlogp).all() and dlogp[0, :2].tolist() == [0, 0]


@BOTH
def test_total_variation_is_half_the_largest_sum_of_differences(reduction, p, q, torch):
    ours = value(total_variation(reduction), p, q)
    theirs = torch.cdist(torched(torch, p), torched(torch, q), p=1).diagonal() / 2
    assert noise(ours, REDUCTIONS[reduction](theirs.numpy())) <= UNITS


def test_total_variation_has_slope_0_where_probabilities_agree(q):
    assert (gradient(total_variation(), q, q) == 0).all()
    p = jnp.array([[0.5, 0.25, 0.25]])
    dp = gradient(total_variation(), p, jnp.array([[0.5, 0.5, 0.0]]))
    assert dp.tolist() == [[0, -0.5, 0.5]]


def test_numbers_that_are_no_probability_are_not_refused():
    p, t = jnp.array([[2.0, -1.0]]), jnp.array([[1.0, 0.0]])
    assert value(total_variation(), p, t) == 1
    assert noise(value(dice(), p, t), 1 - 5 / 3) <= 4


@BOTH
def test_dice_is_that_of_optax_with_half_the_smoothing(reduction, keys):
    p, t = chance.uniform(next(keys), (2, 5, 3, 2))
    z = jnp.log(p) - jnp.log1p(-p)  # optax takes logits of one class.
    theirs = optax.losses.dice_loss(
        z.reshape(5, 6, 1), t.reshape(5, 6, 1), smooth=0.35, apply_softmax=True
    )
    theirs = REDUCTIONS[reduction](theirs)
    assert noise(value(dice(reduction, smooth=0.7), p, t), theirs) <= UNITS


def test_dice_is_0_on_the_mask_itself_and_on_two_empty_ones(keys):
    mask = chance.bernoulli(next(keys), 0.5, (3, 7)).astype(float)
    assert value(dice(), mask, mask) == 0
    assert value(dice(), 0 * mask, 0 * mask) == 0


def test_dice_does_not_see_the_order_of_the_entries(keys):
    p, t = chance.uniform(next(keys), (2, 5, 7))
    order = jax.random.permutation(next(keys), 7)
    ours, theirs = value(dice(), p[:, order], t[:, order]), value(dice(), p, t)
    assert noise(ours, theirs) <= UNITS


def test_the_gradient_of_kl_does_not_depend_on_the_prediction(p, q):
    at_p, at_q = (gradient(kl_divergence(), jnp.log(v), q) for v in (p, q + 0.1))
    assert (at_p == at_q).all()


def test_total_variation_of_a_row_is_between_0_and_1(p, q):
    rows = [value(total_variation(), p[i : i + 1], q[i : i + 1]) for i in range(5)]
    assert 0 < min(rows) and max(rows) < 1
    assert value(total_variation(), jnp.eye(3), jnp.eye(3)[::-1]) == 2 / 3
