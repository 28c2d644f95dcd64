"""Dropout: what is kept, how often, what it costs, and what happens without a key."""

import equinox
import jax
import jax.numpy as jnp
import pytest

from purefw.compose import chain
from purefw.layers.dropout import dropout
from purefw.layers.tanh import tanh
from reference import chance
from tests.layers.others import same
from tests.refute import refuted


def test_an_entry_is_dropped_or_enlarged_and_so_is_its_gradient(keys):
    x, dy = chance.normal(next(keys), (2, 5, 7))
    y, kept = dropout(0.3).forward((), x, next(keys))
    assert 0 < kept.sum() < kept.size and kept.dtype == bool
    same(y, jnp.where(kept, x / 0.7, 0))
    same(dropout(0.3).backward(kept, dy)[1], jnp.where(kept, dy / 0.7, 0))


def test_the_same_key_drops_what_equinox_drops(keys):
    x, key = chance.normal(next(keys), (5, 7)), next(keys)
    theirs = equinox.nn.Dropout(0.3)(x, key=jax.random.clone(key))
    same(dropout(0.3).forward((), x, key)[0], theirs)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_the_share_of_dropped_entries_is_the_rate_and_the_mean_stays(rate, keys):
    y, kept = dropout(rate).forward((), jnp.ones(100_000), next(keys))
    deviation = (rate * (1 - rate) / 100_000) ** 0.5
    assert abs(1 - kept.mean() - rate) < 5 * deviation  # 1 key in 10⁶ is further
    assert abs(y.mean() - 1) < 5 * deviation / (1 - rate)


def test_the_draw_depends_on_the_key_alone(keys):
    key, x = next(keys), chance.normal(next(keys), (31,))
    with jax.debug_key_reuse(False):
        same(*(dropout(0.5).forward((), x, key)[0] for _ in range(2)))
    assert (dropout(0.5).forward((), x, next(keys))[1] != _kept(x, next(keys))).any()


def _kept(x, key):
    return dropout(0.5).forward((), x, key)[1]


def test_what_is_dropped_may_be_infinite(keys):
    x = jnp.array([jnp.inf, jnp.nan, -jnp.inf] * 11)
    y, kept = dropout(0.5).forward((), x, next(keys))
    assert (y[~kept] == 0).all() and not jnp.isfinite(y[kept]).any()


def test_rate_zero_and_inference_are_the_identity(keys):
    x = chance.normal(next(keys), (5, 7))
    assert (dropout(0.0).forward((), x, next(keys))[0] == x).all()
    assert dropout(0.9).apply((), x) is x


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_the_dtype_stays(dtype, keys):
    x = jnp.ones(7, dtype)
    y, kept = dropout(0.3).forward((), x, next(keys))
    assert y.dtype == dropout(0.3).backward(kept, y)[1].dtype == x.dtype


def test_a_mask_that_is_forgotten_is_refuted(keys):
    def backward(residuals, dy):
        return (), dy / 0.7

    x = chance.normal(next(keys), (5, 7))
    assert refuted(dropout(0.3), x, backward, key=next(keys)) == {"dx"}


@pytest.mark.parametrize("rate", [-0.1, 1.0, float("nan")])
def test_a_rate_outside_its_range_is_refused(rate):
    with pytest.raises(ValueError, match=r"^dropout: rate must be in \[0, 1\), got"):
        dropout(rate)


@pytest.mark.parametrize("rule,params", [(dropout(0.5), ()), (None, ((), ()))])
def test_a_missing_key_is_refused_by_name(rule, params):
    rule = rule or chain(tanh(), dropout(0.5))
    message = "^dropout: key must be given, because forward is random, got None"
    with pytest.raises(ValueError, match=message):
        rule.forward(params, jnp.ones(3))
