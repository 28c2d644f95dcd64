"""Flatten, reshape and the upsampling rules against NumPy, torch and jax.image."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purefw.layers.flatten import flatten
from purefw.layers.reshape import reshape
from purefw.layers.upsample_bilinear import upsample_bilinear
from purefw.layers.upsample_nearest import upsample_nearest
from reference import chance
from tests.layers.others import (
    channels_first,
    channels_last,
    drawn,
    lenient,
    same,
    torch,
    torch_dx,
)
from tests.refute import refuted

ENLARGING = {"nearest": upsample_nearest, "bilinear": upsample_bilinear}


@pytest.mark.parametrize("rule", [flatten(), reshape((7, 6))])
def test_entries_keep_their_row_major_order(rule, keys):
    _, x, dy = drawn(rule, keys, 5, 2, 3, 7)
    y, residuals = rule.forward((), x)
    assert (y == np.asarray(x).reshape(y.shape)).all()
    _, dx = rule.backward(residuals, dy)
    assert (dx == np.asarray(dy).reshape(x.shape)).all()
    assert jax.tree.leaves(residuals) == []


@pytest.mark.parametrize("rule", [flatten(), reshape((3, 2))])
def test_an_order_by_columns_is_refuted(rule, keys):
    def backward(residuals, dy):
        shape = (len(dy), *residuals.value)
        return (), jnp.moveaxis(dy.reshape(shape[0], 3, 2), -1, -2).reshape(shape)

    x = chance.normal(next(keys), (5, 2, 3))
    assert refuted(rule, x, backward) == {"dx"}


def test_a_scalar_an_example_is_a_row_of_one(keys):
    assert flatten().apply((), jnp.ones(5)).shape == (5, 1)
    assert reshape(()).apply((), jnp.ones((5, 1))).shape == (5,)


@pytest.mark.parametrize("factor", [(1, 2), (2, 3), (5, 1)])
@pytest.mark.parametrize("method", ENLARGING)
def test_upsampling_agrees_with_torch_and_jax_image(method, factor, keys):
    rule = ENLARGING[method](factor)
    _, x, dy = drawn(rule, keys, 2, 3, 4, 2)
    y, residuals = rule.forward((), x)

    def theirs(v):
        return torch().nn.functional.interpolate(v, scale_factor=factor, mode=method)

    same(y, channels_last(theirs(channels_first(x))))
    with lenient():
        same(y, jax.image.resize(x, y.shape, method))
    same(rule.backward(residuals, dy)[1], torch_dx(theirs, x, dy))


@pytest.mark.parametrize("method", ENLARGING)
def test_upsampling_keeps_a_constant_and_hands_on_all_of_dy(method, keys):
    rule = ENLARGING[method]((3, 2))
    _, x, dy = drawn(rule, keys, 1, 5, 2, 1)
    same(rule.apply((), jnp.full_like(x, 0.3)), jnp.full((1, 15, 4, 1), 0.3))
    same(rule.backward(rule.forward((), x)[1], dy)[1].sum(), dy.sum())
    if method == "nearest":
        blocks = rule.apply((), x).reshape(1, 5, 3, 2, 2, 1)
        same(blocks.mean((2, 4)), x)


@pytest.mark.parametrize("method", ENLARGING)
def test_one_place_is_copied(method, keys):
    rule = ENLARGING[method]((3, 2))
    _, x, dy = drawn(rule, keys, 1, 1, 1, 2)
    y, residuals = rule.forward((), x)
    assert (y == jnp.broadcast_to(x, y.shape)).all()
    same(rule.backward(residuals, dy)[1], dy.sum((1, 2), keepdims=True))


def test_sequences_are_upsampled_too(keys):
    x = chance.normal(next(keys), (2, 5, 3))
    assert (upsample_nearest((3,)).apply((), x) == np.repeat(x, 3, axis=1)).all()


def takes_the_first(residuals, dy):
    return (), 6 * dy[:, ::2, ::3]


def takes_the_mean(residuals, dy):
    _, dx = upsample_bilinear((2, 3)).backward(residuals, dy)
    return (), dx / 6


@pytest.mark.parametrize(
    "rule,mutant",
    [
        (upsample_nearest((2, 3)), takes_the_first),
        (upsample_bilinear((2, 3)), takes_the_mean),
    ],
)
def test_a_mistake_in_upsampling_is_refuted(rule, mutant, keys):
    x = chance.normal(next(keys), (2, 3, 2, 1))
    assert refuted(rule, x, mutant) == {"dx"}


REFUSED = [
    (lambda: flatten().forward((), jnp.ones(())), "flatten: x must have a batch axis"),
    (lambda: reshape((2, 0)), r"reshape: shape must have positive .* got \(2, 0\)"),
    (
        lambda: reshape((2, 3)).forward((), jnp.ones((6, 5))),
        r"reshape: x must have 6 entries an example, .* got shape \(6, 5\)",
    ),
    (
        lambda: upsample_nearest((2, 0)),
        r"upsample_nearest: factor must be positive, .* got \(2, 0\)",
    ),
    (
        lambda: upsample_nearest((2,)).forward((), jnp.ones((2, 3))),
        r"upsample_nearest: x must have shape \(batch, 1 .* got \(2, 3\)",
    ),
    (
        lambda: upsample_bilinear((-1, 2)),
        r"upsample_bilinear: factor must be positive, .* got \(-1, 2\)",
    ),
    (
        lambda: upsample_bilinear((2, 2)).forward((), jnp.ones((2, 3, 1))),
        r"upsample_bilinear: x must have shape .* got \(2, 3, 1\)",
    ),
    (
        lambda: upsample_bilinear((2, 2)).forward((), jnp.ones((2, 0, 3, 1))),
        r"upsample_bilinear: x must have .* one place, got \(2, 0, 3, 1\)",
    ),
]


@pytest.mark.parametrize("call,message", REFUSED)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        call()
