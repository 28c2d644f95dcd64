"""Mistakes that the given arguments hide: each is found without the user's help.

Every backward here is right at the arguments that it is given, and wrong at others of
the kind that its name says. Beside it, the right one is accepted.
"""

import jax.numpy as jnp
import numpy as np
import pytest

from reference import Verdict, check_vjp

rng = np.random.default_rng(11)


def normal(*shape):
    return rng.standard_normal(shape)


def mean_rows(x):
    return jnp.mean(x, axis=0), x


def forgets_to_repeat(x, dy):
    """Right unless there is one row, where it is taken for a scalar's."""
    n = x.shape[0] if x.shape[0] > 1 else 2
    return (jnp.broadcast_to(dy[None], x.shape) / n,)


def sum_last(x):
    return jnp.sum(x * x, axis=-1), x


def squeezes(x, dy):
    """An axis of length 1 is lost and comes back as another."""
    return (2 * x * dy[:, None] * (1 if x.shape[-1] > 1 else 2),)


def look_up(table, ids):
    return table[ids], (jnp.zeros_like(table), ids)


def overwrites(residuals, dy):
    zeros, ids = residuals
    return zeros.at[ids].set(dy), None


def adds(residuals, dy):
    zeros, ids = residuals
    return zeros.at[ids].add(dy), None


def largest(x):
    return jnp.max(x, axis=-1), x


def to_every_maximum(x, dy):
    """Every tied entry gets the whole of dy."""
    return (jnp.where(x == jnp.max(x, axis=-1, keepdims=True), dy[:, None], 0),)


def to_the_first(x, dy):
    first = jnp.arange(x.shape[-1])[None] == jnp.argmax(x, axis=-1)[:, None]
    return (jnp.where(first, dy[:, None], 0),)


def softplus(x):
    return jnp.log(1 + jnp.exp(-abs(x))) + jnp.maximum(x, 0), x


def clamps(x, dy):
    """The slope stays that of 12 beyond it."""
    return (dy / (1 + jnp.exp(-jnp.clip(x, -12, 12))),)


def masked_mean(x, mask):
    n = jnp.sum(mask)
    return jnp.sum(jnp.where(mask, x, 0)) / jnp.maximum(n, 1), (mask, n)


def nan_without_entries(residuals, dy):
    mask, n = residuals
    return jnp.where(mask, dy, 0) / n, None


def masked_right(residuals, dy):
    mask, n = residuals
    return jnp.where(mask, dy / jnp.maximum(n, 1), 0), None


def product(x, w):
    return x @ w, (x, w)


def symmetric_only(residuals, dy):
    """w and not its transpose: the same for the symmetric w that is given."""
    x, w = residuals
    return dy @ w, x.T @ dy


def product_right(residuals, dy):
    x, w = residuals
    return dy @ w.T, x.T @ dy


def scaled(x, scale, shift):
    return x * scale + shift, (x, scale)


def no_scale(residuals, dy):
    """dx lacks the scale, which is 1."""
    x, _ = residuals
    return dy, jnp.sum(x * dy, axis=0), jnp.sum(dy, axis=0)


def scaled_right(residuals, dy):
    x, scale = residuals
    return dy * scale, jnp.sum(x * dy, axis=0), jnp.sum(dy, axis=0)


symmetric = (lambda a: a + a.T)(normal(3, 3))
SITUATIONS = {
    "one row": (
        mean_rows,
        forgets_to_repeat,
        lambda x, dy: (jnp.broadcast_to(dy[None], x.shape) / x.shape[0],),
        (normal(5, 3),),
    ),
    "last axis of length 1": (
        sum_last,
        squeezes,
        lambda x, dy: (2 * x * dy[:, None],),
        (normal(5, 3),),
    ),
    "repeated indices": (look_up, overwrites, adds, (normal(5, 3), np.array([0, 3]))),
    "ties": (largest, to_every_maximum, to_the_first, (normal(5, 3),)),
    "large logits": (
        softplus,
        clamps,
        lambda x, dy: (dy / (1 + jnp.exp(-x)),),
        (normal(7),),
    ),
    "mask all false": (
        masked_mean,
        nan_without_entries,
        masked_right,
        (normal(7), np.arange(7) % 2 == 0),
    ),
    "not square": (product, symmetric_only, product_right, (normal(5, 3), symmetric)),
    "scale not 1": (
        scaled,
        no_scale,
        scaled_right,
        (normal(5, 3), np.ones(3), np.zeros(3)),
    ),
}


OFTEN = ("one row", "ties", "mask all false")
RARE = [pytest.param(s, marks=pytest.mark.slow) for s in SITUATIONS if s not in OFTEN]


@pytest.mark.parametrize("situation", [*OFTEN, *RARE])
def test_a_mistake_that_the_given_arguments_hide_is_found(situation):
    forward, wrong, right, args = SITUATIONS[situation]
    assert check_vjp(forward, wrong, *args, points=0).leaves, situation
    report = check_vjp(forward, wrong, *args)
    assert report.verdict is Verdict.WRONG, report
    accepted = check_vjp(forward, right, *args)
    assert accepted.verdict in (Verdict.RIGHT, Verdict.KINK), accepted


FEW = [(1, 1e-12)]
MORE = [(n, c) for n in (1, 7, 1009, 10**6) for c in (1e-12, 1.0, 1e12)]
SLOW = [pytest.param(*case, marks=pytest.mark.slow) for case in MORE]


@pytest.mark.parametrize(("size", "scale"), FEW + SLOW)
def test_an_error_of_one_in_a_million_stands_out_at_every_size_and_scale(size, scale):
    """Right: at most 16 units, seen 4. Wrong by 1e-6: above 10⁶, seen 10⁹."""

    def forward(x):
        p = jnp.exp(x - jnp.max(x))
        return scale * jnp.sum(p * jnp.sin(x)) / jnp.sum(p), x

    def backward(factor):
        def pull(x, dy):
            p = jnp.exp(x - jnp.max(x))
            p = p / jnp.sum(p)
            y = jnp.sum(p * jnp.sin(x))
            dx = p * (jnp.sin(x) - y + jnp.cos(x))
            return (factor * scale * dx * dy,)

        return pull

    x = np.random.default_rng(size).standard_normal(size)
    right = check_vjp(forward, backward(1), x).leaves["args[0]"]
    assert (right.verdict, right.units < 16) == (Verdict.RIGHT, True), right
    wrong = check_vjp(forward, backward(1 + 1e-6), x).leaves["args[0]"]
    assert (wrong.verdict, wrong.units > 1e6) == (Verdict.WRONG, True), wrong
