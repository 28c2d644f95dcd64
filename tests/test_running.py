"""Every batch norm of a network has its running statistics moved, and nothing else."""

import jax.numpy as jnp
import numpy as np
import pytest

from purefw.compose import chain, parallel, recompute, residual
from purefw.layers.batch_norm import batch_norm, update_running
from purefw.layers.tanh import tanh
from purefw.running import has_running, move_running
from reference import chance
from tests.refute import random_params

NETWORK = chain(
    batch_norm(3), residual(chain(tanh(), batch_norm(3))), parallel(batch_norm(3))
)


def moved(keys, momentum=0.75):
    """A network's params, their residuals at a batch, and the params moved."""
    params = random_params(NETWORK, next(keys))
    _, residuals = NETWORK.forward(params, chance.normal(next(keys), (5, 3)))
    return params, residuals, move_running(params, residuals, momentum)


def test_each_norm_takes_the_statistics_of_its_own_residuals(keys):
    params, residuals, new = moved(keys)
    places = [lambda t: t[0], lambda t: t[1][1], lambda t: t[2][0]]
    for norm, kept in zip(places, [*places[:2], lambda t: t[2].parts[0]]):
        expected = update_running(norm(params), kept(residuals), 0.75)
        for a, b in zip(norm(new), expected, strict=True):
            np.testing.assert_array_equal(a, b)
    means = [norm(new).running_mean for norm in places]
    assert jnp.any(means[0] != means[1]) and jnp.any(means[1] != means[2])


def test_what_is_learned_stays(keys):
    params, _, new = moved(keys)
    assert new[0].scale is params[0].scale and new[2][0].bias is params[2][0].bias


def test_a_network_without_batch_norm_has_none(keys):
    assert has_running(NETWORK.init(next(keys)))
    assert not has_running(chain(tanh(), tanh()).init(next(keys)))


def test_statistics_that_recompute_dropped_are_missed(keys):
    rule = chain(recompute(batch_norm(3)), batch_norm(3))
    params = rule.init(next(keys))
    _, residuals = rule.forward(params, jnp.ones((5, 3)))
    with pytest.raises(ValueError, match="hold the statistics .* got 1 of 2"):
        move_running(params, residuals, 0.9)
