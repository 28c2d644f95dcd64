"""The lab in stateful NumPy: one activation object in two places."""

import jax.numpy as jnp
import numpy as np
import pytest

from reference import chance, check_rule, diagnose
from reference.interop import from_numpy_layer
from reference.verdict import Verdict


class Linear:
    """Keeps its input."""

    def __init__(self, n, m):
        rng = np.random.default_rng([n, m])
        self.W, self.b = rng.standard_normal((n, m)), rng.standard_normal(m)

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def backward(self, dy):
        self.dW, self.db = self.x.T @ dy, dy.sum(0)
        return dy @ self.W.T


class Tanh:
    """Keeps its output."""

    def forward(self, x):
        self.y = np.tanh(x)
        return self.y

    def backward(self, dy):
        return (1 - self.y**2) * dy


def network(*activations):
    layers = [Linear(7, 5)]
    for activation in activations[:-1]:
        layers += [activation, Linear(5, 5)]
    return from_numpy_layer([*layers, activations[-1], Linear(5, 3)])


@pytest.fixture
def x(keys):
    return np.asarray(chance.normal(next(keys), (11, 7)))


def test_a_shared_activation_is_named(x):
    shared = Tanh()
    net = network(shared, shared)
    report = check_rule(net, x, params=net.init(None), points=1)
    wrong = {k for k, v in report.leaves.items() if v.verdict is Verdict.WRONG}
    assert wrong == {"dparams[0]['W']", "dparams[0]['b']", "dx"}
    (cause,) = diagnose(report).causes
    assert cause.label == "state: other call"
    assert set(cause.leaves) == wrong
    assert "residuals[1].arrays['y'] is another call's" in cause.sentence
    assert "self.y = np.tanh(x)" in cause.sentence


@pytest.mark.slow
def test_an_activation_used_three_times_is_named(x):
    shared = Tanh()
    net = network(shared, shared, shared)
    report = check_rule(net, x, params=net.init(None), points=4)
    (cause,) = diagnose(report).causes
    assert cause.label == "state: other call"
    assert "residuals[1].arrays['y'], residuals[3].arrays['y']" in cause.sentence


@pytest.mark.slow
def test_two_objects_are_right(x):
    net = network(Tanh(), Tanh())
    report = check_rule(net, jnp.asarray(x), params=net.init(None), points=2)
    assert report.verdict is Verdict.RIGHT
    assert not diagnose(report).causes
