"""softmax keeps the promises of its derivation."""

import jax.numpy as jnp
import numpy as np
import pytest

from purefw.layers.softmax import softmax
from reference import chance


def _both(z, dp):
    p, residuals = softmax().forward((), z)
    return p, softmax().backward(residuals, dp)[1]


def test_one_class_is_certain_and_passes_nothing_back(keys):
    z, dp = chance.normal(next(keys), (2, 3, 1))
    p, dz = _both(z, dp)
    np.testing.assert_array_equal(p, jnp.ones((3, 1)))
    np.testing.assert_array_equal(dz, jnp.zeros((3, 1)))


def test_a_cotangent_of_ones_gives_zero(keys):
    z = chance.normal(next(keys), (5, 7))
    assert jnp.abs(_both(z, jnp.ones((5, 7)))[1]).max() < 1e-15


def test_tied_scores_share_the_probability():
    p, dz = _both(jnp.zeros((1, 4)), jnp.array([[1.0, 2.0, 3.0, -4.0]]))
    np.testing.assert_array_equal(p, jnp.full((1, 4), 0.25))
    np.testing.assert_array_equal(dz, jnp.array([[0.125, 0.375, 0.625, -1.125]]))


def test_extreme_scores_neither_overflow_nor_divide_by_zero():
    z = jnp.array([[1e4, 0.0, -1e4], [-1e300, 1e300, 0.0], [0.0, -jnp.inf, -jnp.inf]])
    p, dz = _both(z, jnp.array([[1.0, 2.0, 3.0]] * 3))
    np.testing.assert_array_equal(p, jnp.array([[1.0, 0, 0], [0, 1, 0], [1, 0, 0]]))
    np.testing.assert_array_equal(dz, jnp.zeros((3, 3)))


def test_a_masked_row_is_0_and_passes_nothing_back(keys):
    z = jnp.array([[-jnp.inf] * 3, [-jnp.inf, 2.0, 2.0]])
    p, dz = _both(z, chance.normal(next(keys), (2, 3)))
    np.testing.assert_array_equal(p, jnp.array([[0.0, 0, 0], [0, 0.5, 0.5]]))
    assert not dz[0].any() and dz[1, 0] == 0 and dz[1, 1] != 0


@pytest.mark.parametrize("row", [[jnp.nan, 0], [jnp.inf, 0]])
def test_a_row_without_a_softmax_is_nan_and_its_neighbour_is_not(row):
    p = softmax().forward((), jnp.array([row, [0.0, 0.0]]))[0]
    assert jnp.isnan(p[0]).all() and (p[1] == 0.5).all()


def test_no_class_is_refused():
    message = (
        r"softmax: z must have shape \(\.\.\., n\) with n at least 1, got \(3, 0\)"
    )
    with pytest.raises(ValueError, match=message):
        softmax().forward((), jnp.zeros((3, 0)))


def test_nearly_certain_rows_keep_their_digits(keys):
    z, dp = chance.normal(next(keys), (2, 50, 7), jnp.float32)
    z = jnp.round(30 * z)  # Of few digits, so that p is exact enough: dp is on trial.
    dz = np.asarray(_both(z, dp)[1], np.float64)
    truth = np.asarray(_both(z.astype(float), dp.astype(float))[1])
    apart = np.abs(dz - truth).max(axis=1) / np.abs(truth).max(axis=1)
    # Measured: 1.5 units; with one mean instead of two, thousands.
    assert apart.max() <= 8 * np.finfo("float32").eps
