"""tanh keeps the promises of its derivation."""

import jax.numpy as jnp
import numpy as np

from purefw.layers.tanh import tanh
from reference import chance


def test_y_is_odd_and_at_most_one(keys):
    x = 10 * chance.normal(next(keys), (5, 7))
    y = tanh().forward((), x)[0]
    np.testing.assert_array_equal(tanh().forward((), -x)[0], -y)
    assert jnp.abs(y).max() <= 1


def test_dx_has_the_sign_of_dy(keys):
    x, dy = chance.normal(next(keys), (2, 5, 7))
    dx = tanh().backward(tanh().forward((), x)[1], dy)[1]
    np.testing.assert_array_equal(jnp.sign(dx), jnp.sign(dy))


def test_saturation_passes_nothing_back():
    _, residuals = tanh().forward((), jnp.array([20.0, -20.0, 1e4]))
    assert not tanh().backward(residuals, jnp.array([3.0, -5.0, 7.0]))[1].any()
