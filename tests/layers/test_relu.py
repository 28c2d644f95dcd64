"""relu keeps the promises of its derivation."""

import jax.numpy as jnp
import numpy as np

from purefw.layers.relu import relu
from reference import chance


def test_the_kink_passes_nothing_back(keys):
    dy = chance.normal(next(keys), (3,))
    _, residuals = relu().forward((), jnp.array([0.0, -0.0, 1e-300]))
    np.testing.assert_array_equal(
        relu().backward(residuals, dy)[1], jnp.array([0.0, 0.0, 1.0]) * dy
    )


def test_nan_stays_nan():
    y, _ = relu().forward((), jnp.array([jnp.nan, jnp.inf, -jnp.inf]))
    np.testing.assert_array_equal(y, jnp.array([jnp.nan, jnp.inf, 0.0]))
