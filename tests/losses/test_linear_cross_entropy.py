"""linear_cross_entropy is a linear layer and a cross-entropy, however it is cut."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from purefw.losses import linear_cross_entropy as module
from purefw.losses.linear_cross_entropy import LinearScores, linear_cross_entropy
from reference.registry.draws import layered
from tests.losses.compare import gradient, noise, value

UNITS = 64  # Sums over 11 rows and 7 classes, theirs and ours.


@pytest.fixture
def drawn(keys):
    return layered(11, width=3, classes=7)(next(keys))


def both(loss, scores, labels):
    v, residuals = loss.forward(scores, labels)
    return v, loss.backward(residuals, jnp.array(-0.7))


def test_it_is_the_layer_and_the_loss_of_optax(drawn):
    scores, labels = drawn

    def theirs(scores):
        z = scores.x @ scores.weight + scores.bias[None, :]
        return optax.softmax_cross_entropy_with_integer_labels(z, labels).sum()

    v, d = both(linear_cross_entropy("sum"), scores, labels)
    assert noise(v, theirs(scores)) <= UNITS
    for ours, auto in zip(d, jax.grad(theirs)(scores), strict=True):
        assert noise(ours, -0.7 * auto) <= UNITS


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_chunks_of_any_size_change_nothing(drawn, classes, monkeypatch):
    whole = both(linear_cross_entropy(), *drawn)
    monkeypatch.setattr(module, "ENTRIES", 1)
    monkeypatch.setattr(module, "CLASSES", classes)
    parts = both(linear_cross_entropy(), *drawn)
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(parts), strict=True):
        assert noise(a, b) <= UNITS


def test_a_nearly_certain_row_keeps_its_digits(monkeypatch):
    monkeypatch.setattr(module, "ENTRIES", 1)
    monkeypatch.setattr(module, "CLASSES", 1)
    scores = LinearScores(jnp.ones((1, 1)), jnp.array([[0.0, 40, 0]]), jnp.zeros(3))
    tail = 2 * jnp.exp(-40.0)
    loss = linear_cross_entropy()
    assert noise(gradient(loss, scores, jnp.array([1])).bias[1], -tail) <= 4


def test_dbias_sums_to_zero(drawn):
    d = gradient(linear_cross_entropy(), *drawn)
    assert abs(d.bias.sum()) < 1e-15 < abs(d.bias).max()


@pytest.mark.parametrize("label", [-1, 7])
def test_a_label_that_is_not_a_class_is_visibly_nan(drawn, label):
    scores, labels = drawn
    wrong = labels.at[4].set(label)
    v, d = both(linear_cross_entropy("sum"), scores, wrong)
    assert jnp.isnan(v) and jnp.isnan(value(linear_cross_entropy(), scores, wrong))
    assert np.isnan(d.x).any(axis=1).tolist() == [i == 4 for i in range(11)]


def test_what_does_not_fit_is_refused(drawn):
    scores, labels = drawn
    loss = linear_cross_entropy()
    with pytest.raises(ValueError, match="x, weight and bias must have shapes"):
        loss.forward(scores._replace(bias=jnp.zeros(6)), labels)
    with pytest.raises(ValueError, match="target must have shape"):
        loss.forward(scores, labels[:3])
