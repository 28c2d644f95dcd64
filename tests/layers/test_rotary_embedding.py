"""rotary_embedding turns pairs of features by angles that grow with the position."""

import equinox
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purefw.layers.rotary_embedding import rotary_embedding
from reference import chance
from tests.refute import compiled, pull, refuted

RULE = compiled(rotary_embedding(6, base=50.0))


def test_forward_is_a_product_of_complex_numbers(keys):
    x = np.asarray(chance.normal(next(keys), (2, 5, 3, 6)))
    turn = np.exp(1j * np.outer(np.arange(5), 50.0 ** (-np.arange(3) / 3)))
    z = (x[..., :3] + 1j * x[..., 3:]) * turn[None, :, None, :]
    expected = np.concatenate([z.real, z.imag], axis=-1)
    # Angles below 5 in float64: a few roundings of 1e-16.
    np.testing.assert_allclose(RULE.apply((), jnp.array(x)), expected, atol=1e-14)


def test_forward_is_that_of_equinox(keys):
    theirs = equinox.nn.RotaryPositionalEmbedding(6, theta=50.0, dtype=jnp.float64)
    x = chance.normal(next(keys), (5, 3, 6))
    expected = jax.vmap(theirs, in_axes=1, out_axes=1)(x)
    np.testing.assert_allclose(RULE.apply((), x), expected, atol=1e-14)


def test_lengths_are_kept_both_ways_and_the_first_step_stays(keys):
    x, dy = chance.normal(next(keys), (2, 5, 3, 6))
    y, dx = RULE.apply((), x), pull(RULE, (), x, dy)[1]
    for before, after in ((x, y), (dy, dx)):
        norms = [jnp.sum(v * v, axis=-1) for v in (before, after)]
        np.testing.assert_allclose(*norms, rtol=1e-13)
    assert jnp.all(y[0] == x[0])


def test_products_depend_on_the_distance_alone(keys):
    q, k = chance.normal(next(keys), (2, 6))
    y, z = (RULE.apply((), jnp.broadcast_to(v, (11, 1, 6)))[:, 0] for v in (q, k))
    products = y @ z.T
    for distance in (-3, 0, 4):
        assert np.ptp(np.diagonal(products, distance)) < 1e-13


def test_turning_on_instead_of_back_is_refuted(keys):
    def forwards(residuals, dy):
        return (), RULE.forward((), dy)[0]

    x = chance.normal(next(keys), (5, 3, 6))
    assert refuted(RULE, x, forwards) == {"dx"}


def test_bfloat16_tells_neighbours_apart_at_position_300():
    x = jnp.ones((303, 1, 6), jnp.bfloat16)
    y = RULE.apply((), x)
    assert y.dtype == jnp.bfloat16
    assert jnp.any(y[301] != y[300]) and jnp.any(y[302] != y[301])


def test_odd_widths_other_shapes_and_a_bad_base_are_refused():
    with pytest.raises(ValueError, match="width to rotate must be even, got 5"):
        rotary_embedding(5)
    with pytest.raises(ValueError, match="base must be positive, got 0"):
        rotary_embedding(6, base=0.0)
    for shape in ((5, 3, 4), (5, 6)):
        with pytest.raises(ValueError, match=r"\(..., time, heads, 6\), got"):
            RULE.forward((), jnp.ones(shape))
