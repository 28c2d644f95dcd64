"""Perceptrons of one, two and three layers: the gradient by hand is autodiff's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import purefw
from purefw.layers.linear import LinearParams
from purefw.layers.relu import relu
from purefw.layers.sigmoid import sigmoid
from purefw.layers.softmax import softmax
from purefw.layers.tanh import tanh
from purefw.losses.softmax_cross_entropy import softmax_cross_entropy
from purefw.models import perceptron
from reference import autodiff, chance
from reference.baselines import perceptron as baseline
from reference.registry import LOSSES, RULES
from reference.registry.entry import normal_like
from tests.refute import ulps_apart

SIZES = [
    pytest.param((7, 3), marks=pytest.mark.slow),
    pytest.param((7, 5, 3), marks=pytest.mark.slow),
    (7, 5, 11, 3),
]
ACTIVATIONS = {"relu": relu, "sigmoid": sigmoid, "tanh": tanh}
ULPS = 64  # measured worst case below 10


def _problem(sizes, activation, keys):
    network = perceptron(sizes, activation)
    params = normal_like(network.init(next(keys)), next(keys))
    x = chance.normal(next(keys), (13, sizes[0]))
    return network, params, x, chance.randint(next(keys), (13,), 0, sizes[-1])


@pytest.mark.parametrize("activation", [*ACTIVATIONS.values(), softmax])
@pytest.mark.parametrize("sizes", SIZES, ids=lambda s: f"{len(s) - 1}_layers")
def test_the_gradient_by_hand_is_within_64_ulps_of_autodiff(sizes, activation, keys):
    network, params, x, labels = _problem(sizes, activation(), keys)
    by_hand, by_autodiff = (
        f(network, softmax_cross_entropy())(params, x, labels)
        for f in (purefw.loss_and_grad, autodiff.loss_and_grad)
    )
    assert by_hand[0] == by_autodiff[0]
    assert ulps_apart(by_hand[1], by_autodiff[1]) <= ULPS


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("sizes", SIZES, ids=lambda s: f"{len(s) - 1}_layers")
def test_loss_and_gradient_are_those_of_jax_nn_and_optax(sizes, activation, keys):
    network, params, x, labels = _problem(sizes, ACTIVATIONS[activation](), keys)
    dense = [baseline.Dense(*p) for p in params if isinstance(p, LinearParams)]
    value, dparams = purefw.loss_and_grad(network, softmax_cross_entropy())(
        params, x, labels
    )
    expected, gradient = baseline.loss_and_grad(dense, x, labels, activation=activation)
    np.testing.assert_allclose(value, expected, rtol=1e-14)
    by_hand = [baseline.Dense(*p) for p in dparams if isinstance(p, LinearParams)]
    assert ulps_apart(by_hand, gradient) <= ULPS


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["linear", "linear_without_bias", "relu", "sigmoid", "softmax", "tanh"]
)
def test_every_rule_is_within_64_ulps_of_vjp(name, keys):
    entry = RULES[name]
    params, x = entry.draw_params(next(keys)), entry.inputs["typical"](next(keys))
    y, pullback = jax.vjp(lambda p, x: entry.rule.forward(p, x)[0], params, x)
    dy = normal_like(y, next(keys))
    by_hand = entry.rule.backward(entry.rule.forward(params, x)[1], dy)
    assert ulps_apart(by_hand, pullback(dy)) <= ULPS


@pytest.mark.slow
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize(
    "name",
    [
        "absolute_error",
        "cross_entropy",
        "logistic_loss",
        "softmax_cross_entropy",
        "squared_error",
    ],
)
def test_every_loss_is_within_64_ulps_of_vjp(name, reduction, keys):
    entry = LOSSES.get(f"{name}_{reduction}") or LOSSES[name]
    prediction, target = entry.inputs["typical"](next(keys))
    _, pullback = jax.vjp(lambda p: entry.loss.forward(p, target)[0], prediction)
    dloss = chance.normal(next(keys))
    residuals = entry.loss.forward(prediction, target)[1]
    assert ulps_apart((entry.loss.backward(residuals, dloss),), pullback(dloss)) <= ULPS


def test_the_baseline_starts_with_the_same_spread(keys):
    params = baseline.init(next(keys), (400, 300, 3))
    assert abs(float(jnp.std(params[0].weight)) * 20 - 1) < 0.01
    assert not params[0].bias.any()
    assert [p.weight.shape for p in params] == [(400, 300), (300, 3)]


@pytest.mark.parametrize("sizes", [(), (7,)])
def test_fewer_than_two_sizes_are_refused(sizes):
    with pytest.raises(ValueError, match="perceptron: sizes must be at least two"):
        perceptron(sizes, relu())


def test_a_size_below_one_is_refused():
    with pytest.raises(ValueError, match="linear: n_out must be at least 1, got 0"):
        perceptron((7, 0, 3), relu())
