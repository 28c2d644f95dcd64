"""Transposed convolution against torch and lax, and as what its name says."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from purefw.layers.convolution import ConvolutionParams, convolution
from purefw.layers.transposed_convolution import transposed_convolution
from tests.layers.others import (
    channels_first,
    channels_last,
    cotangents_agree,
    drawn,
    same,
    torch,
)
from tests.refute import refuted


def torch_kernel(weight):
    """(*window, i, o) to torch's (i, o, *window)."""
    weight = np.moveaxis(np.asarray(weight), (-2, -1), (0, 1))
    return torch().tensor(weight.copy())


@pytest.mark.parametrize("stride", [1, (2, 3), 5])
@pytest.mark.parametrize("padding", [0, 1])
def test_images_agree_with_torch(stride, padding, keys):
    rule = transposed_convolution(3, 2, (3, 4), stride=stride, padding=padding)
    params, x, dy = drawn(rule, keys, 2, 5, 7, 3)
    y, residuals = rule.forward(params, x)
    t = [channels_first(x), torch_kernel(params.weight), torch().tensor(params.bias)]
    t = [v.requires_grad_() for v in t]
    their_y = torch().nn.functional.conv_transpose2d(*t, stride=stride, padding=padding)
    their_y.backward(channels_first(dy))
    dparams, dx = rule.backward(residuals, dy)
    same(y, channels_last(their_y))  # worst of all four: 26 of 64 roundings
    same(dx, channels_last(t[0].grad))
    same(np.moveaxis(dparams.weight, (-2, -1), (0, 1)), t[1].grad.numpy())
    same(dparams.bias, t[2].grad.numpy())


def test_sequences_agree_with_torch(keys):
    rule = transposed_convolution(3, 2, (5,), stride=2, padding=1)
    params, x, _ = drawn(rule, keys, 2, 7, 3)
    theirs = torch().nn.functional.conv_transpose1d(
        channels_first(x),
        torch_kernel(params.weight),
        torch().tensor(params.bias),
        stride=2,
        padding=1,
    )
    same(rule.apply(params, x), channels_last(theirs))


@pytest.mark.parametrize("window,stride", [(2, 5), (3, 3), (4, 1), (5, 2), (4, 3)])
def test_same_agrees_with_lax_for_a_flipped_kernel(window, stride, keys):
    rule = transposed_convolution(2, 3, (window,), stride=stride, bias=False)
    params, x, _ = drawn(rule, keys, 2, 5, 2)
    theirs = lax.conv_transpose(
        x,
        jnp.flip(params.weight, 0),
        (stride,),
        "SAME",
        dimension_numbers=("NWC", "WIO", "NWC"),
    )
    same(rule.apply(params, x), theirs)
    cotangents_agree(rule, params, x, keys)


@pytest.mark.parametrize("padding", ["SAME", "VALID", ((1, 0), (2, 1))])
def test_it_is_the_transpose_of_a_convolution(padding, keys):
    options = dict(stride=(2, 3), padding=padding, bias=False)
    rule = transposed_convolution(3, 2, (3, 4), **options)
    params, x, dy = drawn(rule, keys, 2, 4, 5, 3)
    back = convolution(2, 3, (3, 4), **options)
    weight = jnp.swapaxes(params.weight, -1, -2)
    returned = back.apply(ConvolutionParams(weight, None), dy)
    same(jnp.vdot(rule.apply(params, x), dy), jnp.vdot(x, returned))


def test_places_without_a_stamp_are_the_bias(keys):
    rule = transposed_convolution(2, 3, (2,), stride=3)
    params, x, _ = drawn(rule, keys, 1, 4, 2)
    gaps = rule.apply(params, x)[0, 2::3]
    assert (gaps == jnp.broadcast_to(params.bias, gaps.shape)).all()


HONEST = transposed_convolution(2, 3, (3,), stride=2, padding=1)


def flipped(residuals, dy):
    dparams, dx = HONEST.backward(residuals, dy)
    return dparams._replace(weight=jnp.flip(dparams.weight, 0)), dx


def unstrided(residuals, dy):
    dparams, dx = HONEST.backward(residuals, dy)
    return dparams, jnp.roll(dx, 1, axis=1)


@pytest.mark.parametrize(
    "mutant,leaf", [(flipped, "dparams.weight"), (unstrided, "dx")]
)
def test_a_mistake_is_refuted(mutant, leaf, keys):
    x = jax.random.normal(next(keys), (2, 5, 2))
    assert refuted(HONEST, x, mutant) == {leaf}


@pytest.mark.parametrize(
    "options,message",
    [
        (dict(n_in=0), "n_in must be at least 1, got 0"),
        (dict(n_out=0), "n_out must be at least 1, got 0"),
        (dict(stride=0), "stride must be positive"),
        (dict(padding="CAUSAL"), "padding must be 'SAME'"),
    ],
)
def test_a_bad_argument_is_refused(options, message):
    with pytest.raises(ValueError, match=f"^transposed_convolution: {message}"):
        transposed_convolution(**{"n_in": 4, "n_out": 6, "window": (3,), **options})


@pytest.mark.parametrize(
    "shape,message",
    [
        ((2, 2), r"x must have shape \(batch, 1 spatial axes, 2\).* got \(2, 2\)"),
        ((2, 5, 3), r"x must have shape \(batch, 1 spatial axes, 2\).*\(2, 5, 3\)"),
        ((2, 0, 2), r"x must .* not be empty, got \(2, 0, 2\)"),
        ((2, 1, 2), r"padding must leave y at least one place .* got lengths \(-1,\)"),
    ],
)
def test_a_bad_x_is_refused(shape, message, keys):
    rule = transposed_convolution(2, 3, (3,), padding=2)
    with pytest.raises(ValueError, match=f"^transposed_convolution: {message}"):
        rule.forward(rule.init(next(keys)), jnp.ones(shape))
