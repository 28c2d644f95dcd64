"""Computed in bfloat16, kept in float32: right, half the residuals, and it learns."""

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import pytest

from purefw import Rule, loss_and_grad
from purefw.compose import computed_in
from purefw.data import Dataset, Split, digits
from purefw.layers.batch_norm import batch_norm
from purefw.layers.linear import linear
from purefw.layers.relu import relu
from purefw.losses.softmax_cross_entropy import softmax_cross_entropy
from purefw.models import perceptron
from purefw.running import move_running
from purefw.train import fit
from reference import autodiff, chance, check_rule
from tests.models.tiny import problem


def _float32(data):
    """The same data in float32, as they are without the tests' float64."""
    splits = (
        Split(s.x.astype(jnp.float32), s.labels) for s in (data.train, data.validation)
    )
    return Dataset(data.name, *splits, classes=data.classes)


def _kept_in_float32(network):
    return Rule(
        network.name,
        lambda key: jax.tree.map(lambda v: v.astype(jnp.float32), network.init(key)),
        network.forward,
        network.backward,
        network.random,
        network.apply,
    )


def _fit(network, **settings):
    return fit(
        _kept_in_float32(network),
        softmax_cross_entropy(),
        _float32(digits()),
        optimiser="adam",
        batch_size=32,
        key=jax.random.key(0),
        **settings,
    )


def test_a_perceptron_computed_in_bfloat16_learns_the_digits():
    network = perceptron((64, 32, 10), relu())
    params, history = _fit(computed_in(network, "bfloat16"), epochs=30)
    assert {v.dtype for v in jax.tree.leaves(params)} == {jnp.dtype("float32")}
    wide = _fit(network, epochs=30).history[-1].validation_accuracy
    assert history[-1].validation_accuracy > wide - 0.02  # measured 0.00


@pytest.mark.parametrize(
    "name",
    [
        "perceptron",
        "resnet",
        pytest.param("char_lstm", marks=pytest.mark.slow),
        pytest.param("gpt", marks=pytest.mark.slow),
    ],
)
def test_gradients_are_as_near_as_those_of_autodiff_in_the_same_dtype(name, keys):
    network, loss, params, x, target = problem(name, keys, dtype="float32")
    narrow = computed_in(network, "bfloat16")
    value, dparams = jax.jit(loss_and_grad(narrow, loss))(params, x, target)
    assert value.dtype == jnp.float32
    assert {v.dtype for v in jax.tree.leaves(dparams)} == {jnp.dtype("float32")}
    _, theirs = jax.jit(autodiff.loss_and_grad(narrow, loss))(params, x, target)
    _, exact = jax.jit(autodiff.loss_and_grad(network, loss))(params, x, target)
    assert _error(dparams, exact) < 2 * _error(theirs, exact)


def _error(dparams, exact):
    """The length of the difference over that of the exact gradient."""
    flat, true = (jax.flatten_util.ravel_pytree(v)[0] for v in (dparams, exact))
    return float(jnp.linalg.norm(flat - true) / jnp.linalg.norm(true))


def test_the_oracle_finds_it_right(keys):
    rule = computed_in(linear(7, 3), "bfloat16")
    x = chance.normal(next(keys), (5, 7), jnp.float32)
    assert check_rule(rule, x).verdict in ("RIGHT", "KINK")


def test_a_cast_that_is_forgotten_is_refuted(keys):
    honest = computed_in(linear(7, 3), "bfloat16")

    def backward(residuals, dy):
        dparams, dx = honest.backward(residuals, dy)
        return jax.tree.map(lambda v: v.astype("bfloat16"), dparams), dx

    planted = Rule("planted", honest.init, honest.forward, backward)
    x = chance.normal(next(keys), (5, 7), jnp.float32)
    assert check_rule(planted, x).verdict == "CONTRACT"


def test_running_statistics_move_in_the_wide_dtype(keys):
    rule = computed_in(_kept_in_float32(batch_norm(3)), "bfloat16")
    params = rule.init(next(keys))
    params = params._replace(running_mean=jnp.full(3, 1.001, jnp.float32))
    x = chance.normal(next(keys), (8, 3), jnp.float32).astype("bfloat16")
    _, residuals = rule.forward(params, x.astype(jnp.float32))
    moved = move_running(params, residuals, 0.5)
    mean = np.asarray(x, np.float64).mean(axis=0)
    np.testing.assert_allclose(moved.running_mean, (1.001 + mean) / 2, rtol=1e-5)


def test_residuals_are_narrow(keys):
    network = perceptron((7, 5, 3), relu())
    params = _kept_in_float32(network).init(next(keys))
    x = jnp.ones((2, 7), jnp.float32)
    _, residuals = computed_in(network, "bfloat16").forward(params, x)
    dtypes = {v.dtype for v in jax.tree.leaves(residuals)}
    assert dtypes - {jnp.dtype(bool)} == {jnp.dtype("bfloat16")}


def test_another_dtype_is_refused():
    with pytest.raises(ValueError, match="dtype must be a float dtype, got int32"):
        computed_in(linear(1, 1), "int32")
