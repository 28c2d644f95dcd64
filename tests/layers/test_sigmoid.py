"""sigmoid keeps the promises of its derivation."""

import jax.numpy as jnp
import numpy as np

from purefw.layers.sigmoid import sigmoid
from reference import chance


def test_y_of_minus_x_is_one_minus_y(keys):
    x = chance.normal(next(keys), (5, 7))
    y, mirrored = (sigmoid().forward((), v)[0] for v in (x, -x))
    np.testing.assert_allclose(mirrored, 1 - y, atol=2.3e-16)  # one rounding at 1


def test_dx_is_at_most_a_quarter_of_dy_and_just_that_at_zero(keys):
    x, dy = chance.normal(next(keys), (2, 5, 7))
    x = x.at[0, 0].set(0.0)
    dx = sigmoid().backward(sigmoid().forward((), x)[1], dy)[1]
    assert (jnp.abs(dx) <= jnp.abs(dy) / 4).all()
    assert dx[0, 0] == dy[0, 0] / 4
    np.testing.assert_array_equal(jnp.sign(dx), jnp.sign(dy))


def test_saturation_is_finite_on_both_sides_and_precise_on_the_negative_one():
    x, dy = jnp.array([1e4, -1e4, 40.0, -40.0]), jnp.array([3.0, -5.0, 7.0, -2.0])
    y, residuals = sigmoid().forward((), x)
    dx = sigmoid().backward(residuals, dy)[1]
    np.testing.assert_array_equal(y[:3], [1, 0, 1])
    np.testing.assert_array_equal(dx[:3], [0, 0, 0])
    np.testing.assert_allclose(dx[3], -2 * np.exp(-40), rtol=1e-15)


def test_one_minus_y_loses_the_digits_that_the_docstring_says():
    y, residuals = sigmoid().forward((), jnp.array([30.0]))
    truth = np.exp(-30.0) / (1 + np.exp(-30.0)) ** 2
    error = float(sigmoid().backward(residuals, jnp.ones(1))[1][0]) / truth - 1
    assert 0.0005 < abs(error) < 0.002  # measured 0.00102
