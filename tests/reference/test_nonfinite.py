"""NaN and inf from the hand at points that nobody gave: what they say."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from reference import Verdict, check_vjp

X = np.array([0.7, -1.2, 2.5, 0.4, -0.6], np.float32)


def verdict(f, slope, x=X):
    return check_vjp(lambda x: (f(x), x), lambda x, dy: (dy * slope(x),), x)


@pytest.mark.parametrize(
    "f, slope",
    [
        (jnp.prod, lambda x: jnp.prod(x) / x),
        (lambda x: x**2, lambda x: 2 * x**2 / x),
        (lambda x: x**2, lambda x: 2 * jnp.exp(jnp.log(x))),
    ],
    ids=["product over x", "square over x", "logarithm of a negative number"],
)
def test_nan_where_there_is_a_derivative_is_wrong(f, slope):
    assert verdict(f, slope, abs(X)).verdict is Verdict.WRONG


def test_nan_where_there_is_no_derivative_is_noted():
    report = verdict(jnp.abs, lambda x: x / jnp.abs(x))
    assert report.verdict is Verdict.RIGHT
    assert any("where the forward has no derivative" in n for n in report.notes)


def test_nan_at_a_kink_that_was_given_is_wrong():
    x = np.append(X, np.float32(0))
    assert verdict(jnp.abs, lambda x: x / jnp.abs(x), x).verdict is Verdict.WRONG


@pytest.mark.parametrize(
    "slope, words",
    [
        (lambda x: jnp.exp(x) / (1 + jnp.exp(x)), "exp overflows"),
        (lambda x: jnp.exp(-jax.nn.softplus(-x)) + 0 / jnp.exp(-x * x), "underflows"),
    ],
    ids=["inf / inf", "0 / 0"],
)
def test_leaving_the_range_of_float64_is_imprecise(slope, words):
    report = verdict(jax.nn.softplus, slope)
    assert report.verdict is Verdict.IMPRECISE
    assert words in report.leaves["args[0]"].sentence


def test_zero_over_zero_by_a_mask_is_no_underflow():
    """The count of an empty mask is 0 whatever the floats are."""

    def forward(x, keep):
        return jnp.sum(x * keep) / jnp.maximum(keep.sum(), 1), keep

    def backward(keep, dy):
        return dy * keep / keep.sum(), None

    keep = np.array([True, False, True, True, False])
    assert check_vjp(forward, backward, X, keep).verdict is Verdict.WRONG


def test_imprecise_at_home_outweighs_zero_over_zero_elsewhere():
    """(1 - 4x³ + 3x⁴) / (1 - x)² loses its digits near 1 and ends in 0/0 there."""
    x = np.linspace(0.97, 0.98, 5, dtype=np.float32)
    report = verdict(
        lambda x: 1 + x + x**2 + x**3,
        lambda x: (1 - 4 * x**3 + 3 * x**4) / (1 - x) ** 2,
        x,
    )
    assert report.verdict is Verdict.IMPRECISE


def test_zero_at_the_origin_of_a_norm_is_a_subgradient():
    """Autodiff is NaN there, in both modes."""

    def norm(x):
        return jnp.sqrt(jnp.sum(x * x))

    def slope(at_origin):
        return lambda x: jnp.where(
            norm(x) > 0, x / jnp.where(norm(x) > 0, norm(x), 1), at_origin
        )

    x = np.zeros(3, np.float32)
    assert verdict(norm, slope(0.0), x).verdict is Verdict.KINK
    assert verdict(norm, slope(2.0), x).verdict is Verdict.UNTESTED
