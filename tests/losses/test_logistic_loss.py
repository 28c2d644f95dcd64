"""logistic_loss keeps the promises of its derivation."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from purefw.losses.logistic_loss import logistic_loss
from reference import chance
from tests.losses.compare import gradient, noise, torched, value

RNG = np.random.default_rng(3)


def _gradient(loss, prediction, target, dloss=1.3):
    value, residuals = loss.forward(jnp.array(prediction), jnp.array(target))
    return value, loss.backward(residuals, jnp.array(dloss))


@pytest.mark.parametrize("dtype", [bool, int, float])
def test_it_is_optax_behind_a_sigmoid_for_every_dtype_of_target(dtype, keys):
    logits = chance.normal(next(keys), (5, 3))
    target = RNG.integers(0, 2, (5, 3)).astype(dtype)
    expected = optax.sigmoid_binary_cross_entropy(logits, target.astype(float))
    for reduction in ("mean", "sum"):
        value, _ = logistic_loss(reduction).forward(
            jax.nn.sigmoid(logits), jnp.array(target)
        )
        # 20 roundings of terms of order 1; measured 2e-16
        np.testing.assert_allclose(
            value, getattr(expected, reduction)(), rtol=20 * 2**-52
        )


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_loss_and_gradient_are_those_of_torch(reduction, keys, torch):
    prediction, target = chance.uniform(next(keys), (2, 5, 3))
    x = torched(torch, prediction, requires_grad=True)
    theirs = torch.nn.BCELoss(reduction=reduction)(x, torched(torch, target))
    theirs.backward()
    loss = logistic_loss(reduction)
    # Terms of both signs cancel in the gradient; worst measured: 1.4.
    assert noise(value(loss, prediction, target), theirs.detach()) <= 16
    assert noise(gradient(loss, prediction, target), x.grad) <= 16


def test_a_certain_and_right_prediction_costs_nothing():
    value, gradient = _gradient(logistic_loss("sum"), [0.0, 1.0], [0, 1])
    assert value == 0
    np.testing.assert_array_equal(gradient, [1.3, -1.3])


def test_a_certain_and_wrong_prediction_is_infinitely_wrong():
    value, gradient = _gradient(logistic_loss("sum"), [0.0, 1.0], [1, 0])
    assert value == jnp.inf
    np.testing.assert_array_equal(gradient, [-jnp.inf, jnp.inf])


def test_a_small_probability_keeps_its_digits():
    value, _ = _gradient(logistic_loss("sum"), [1e-20], [0])
    np.testing.assert_allclose(value, 1e-20, rtol=1e-15)


@pytest.mark.parametrize(
    "prediction,target", [(0.5, 2.0), (0.5, -1.0), (-0.1, 1.0), (1.1, 0.0)]
)
def test_outside_the_unit_interval_is_nan_inside_jit(prediction, target):
    forward = jax.jit(logistic_loss().forward)
    value, residuals = forward(jnp.array([prediction, 0.5]), jnp.array([target, 1.0]))
    assert jnp.isnan(value)
    if target not in (0.0, 1.0):
        dprediction = logistic_loss().backward(residuals, jnp.array(1.3))
        assert jnp.isnan(dprediction).tolist() == [True, False]


def test_bad_arguments_are_refused_by_name(untyped):
    with pytest.raises(ValueError, match="logistic_loss: reduction must be 'mean' or"):
        logistic_loss("none")
    with pytest.raises(ValueError, match=r"prediction's shape \(5, 1\), got \(5,\)"):
        logistic_loss().forward(jnp.full((5, 1), 0.5), jnp.zeros(5))
    with pytest.raises(ValueError, match="prediction must not be empty"):
        logistic_loss().forward(jnp.zeros(0), jnp.zeros(0))
