"""Both cross-entropies: on probabilities, on logits, and where the two part."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from sklearn.metrics import log_loss

from purefw.layers.softmax import softmax
from purefw.losses.cross_entropy import cross_entropy
from purefw.losses.softmax_cross_entropy import softmax_cross_entropy
from reference import chance

BOTH = {"cross_entropy": cross_entropy, "softmax_cross_entropy": softmax_cross_entropy}


def _two_steps(logits, labels, dloss, reduction="mean"):
    loss = cross_entropy(reduction)
    p, softmax_residuals = softmax().forward((), logits)
    value, residuals = loss.forward(p, labels)
    dp = loss.backward(residuals, dloss)
    return value, softmax().backward(softmax_residuals, dp)[1]


def _one_step(logits, labels, dloss, reduction="mean"):
    loss = softmax_cross_entropy(reduction)
    value, residuals = loss.forward(logits, labels)
    return value, loss.backward(residuals, dloss)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8"])
def test_one_step_is_that_of_optax(reduction, dtype, keys):
    logits = chance.normal(next(keys), (5, 7))
    labels = jnp.array([0, 6, 3, 3, 1]).astype(dtype)
    expected = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    value = softmax_cross_entropy(reduction).forward(logits, labels)[0]
    np.testing.assert_allclose(value, getattr(expected, reduction)(), rtol=1e-15)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_on_probabilities_it_is_the_log_loss_of_scikit_learn(reduction, keys):
    p = chance.dirichlet(next(keys), jnp.ones(7), (5,))
    labels = chance.randint(next(keys), (5,), 0, 7)
    mean = reduction == "mean"
    theirs = log_loss(labels, np.asarray(p), labels=range(7), normalize=mean)
    value = cross_entropy(reduction).forward(p, labels)[0]
    np.testing.assert_allclose(value, theirs, rtol=1e-14)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_two_steps_agree_with_one(reduction, keys):
    logits = chance.normal(next(keys), (2, 5, 7))
    labels = chance.randint(next(keys), (2, 5), 0, 7)
    one, two = (
        f(logits, labels, jnp.array(-1.7), reduction) for f in (_one_step, _two_steps)
    )
    for a, b in zip(one, two):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=1e-14, atol=1e-15)


def test_two_steps_break_down_where_a_probability_underflows_and_one_does_not():
    logits, labels = jnp.array([[0.0, 1e4], [0.0, 1.0]]), jnp.array([0, 1])
    value, dlogits = _two_steps(logits, labels, jnp.array(1.0))
    assert value == jnp.inf and jnp.isnan(dlogits[0]).all()
    value, dlogits = _one_step(logits, labels, jnp.array(1.0))
    np.testing.assert_allclose(value, (1e4 + np.log1p(np.exp(-1))) / 2, rtol=1e-15)
    np.testing.assert_array_equal(dlogits[0], [-0.5, 0.5])


def test_rows_of_dlogits_sum_to_zero(keys):
    logits = chance.normal(next(keys), (5, 7))
    _, dlogits = _one_step(logits, jnp.array([0, 6, 3, 3, 1]), jnp.array(-1.7))
    # Seven entries below 0.4 in six additions: at most 3e-16; worst seen 1.1e-16.
    assert jnp.abs(dlogits.sum(axis=1)).max() < 3e-16 < jnp.abs(dlogits).max()


def test_a_constant_added_to_a_row_leaves_the_loss_alone(keys):
    logits = jnp.round(8 * chance.normal(next(keys), (5, 7)))
    labels = jnp.array([0, 6, 3, 3, 1])
    for a, b in zip(
        _one_step(logits, labels, jnp.array(1.3)),
        _one_step(logits - 1024, labels, jnp.array(1.3)),
    ):
        np.testing.assert_array_equal(a, b)


def test_a_probability_of_zero_beside_the_label_does_no_harm():
    loss = cross_entropy("sum")
    value, residuals = loss.forward(jnp.array([[0.0, 0.25, 0.0]]), jnp.array([1]))
    assert value == -jnp.log(0.25)
    np.testing.assert_array_equal(
        loss.backward(residuals, jnp.array(3.0)), [[0, -12, 0]]
    )


def test_a_probability_of_zero_at_the_label_is_infinitely_wrong():
    loss = cross_entropy("sum")
    value, residuals = loss.forward(jnp.array([[0.0, 1.0]]), jnp.array([0]))
    assert value == jnp.inf
    np.testing.assert_array_equal(
        loss.backward(residuals, jnp.array(2.0)), [[-jnp.inf, 0]]
    )


def test_a_number_that_is_no_probability_is_nan_below_0_and_passes_above_1():
    p, labels = jnp.array([[-0.5, 1.5], [0.5, 0.5]]), jnp.array([0, 1])
    assert jnp.isnan(cross_entropy("sum").forward(p, labels)[0])
    value = cross_entropy("sum").forward(p, 1 - labels)[0]
    np.testing.assert_allclose(value, -np.log(1.5) - np.log(0.5), rtol=1e-15)


@pytest.mark.parametrize("make", BOTH.values(), ids=BOTH)
@pytest.mark.parametrize("label", [-1, 7, 2**32, -(2**31)])
def test_a_label_out_of_range_is_nan_in_its_row_and_in_the_loss(make, label, keys):
    scores = chance.uniform(next(keys), (3, 7), minval=0.1)
    loss = make()
    value, residuals = jax.jit(loss.forward)(scores, jnp.array([1, label, 0]))
    dscores = loss.backward(residuals, jnp.array(1.3))
    assert jnp.isnan(value)
    assert jnp.isnan(dscores).all(axis=1).tolist() == [False, True, False]
    assert jnp.isfinite(dscores[jnp.array([0, 2])]).all()


def test_a_small_label_type_can_name_fewer_classes_than_there_are(keys):
    logits = chance.normal(next(keys), (2, 300))
    small, large = jnp.array([255, 3], jnp.uint8), jnp.array([255, 3])
    for a, b in zip(
        _one_step(logits, small, jnp.array(1.3)),
        _one_step(logits, large, jnp.array(1.3)),
    ):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", BOTH)
def test_bad_arguments_are_refused_by_name(name, untyped):
    make = BOTH[name]
    forward = make().forward
    with pytest.raises(ValueError, match=f"{name}: reduction must be 'mean' or 'sum'"):
        make("none")
    with pytest.raises(ValueError, match=f"{name}: target must be integer labels, got"):
        forward(jnp.zeros((3, 2)), jnp.zeros(3))
    with pytest.raises(
        ValueError, match=rf"{name}: target must have shape \(3,\).*\(2,"
    ):
        forward(jnp.zeros((3, 2)), jnp.zeros(2, int))
    with pytest.raises(ValueError, match=rf"{name}: .* not be empty.*\(0, 2\)"):
        forward(jnp.zeros((0, 2)), jnp.zeros(0, int))
