"""Transposed convolution against torch and lax, and as what its name says."""

import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from purefw.layers.convolution import convolution
from purefw.layers.transposed_convolution import transposed_convolution
from purefw.shared.correlation import Kernel, exchange
from reference import chance
from tests.layers.others import (
    channels_first,
    channels_last,
    cotangents_agree,
    drawn,
    same,
    torch,
)
from tests.refute import refuted


def torch_kernel(weight, groups=1):
    """(*window, i of a group, o) to torch's (i, o of a group, *window)."""
    weight = np.moveaxis(np.asarray(exchange(weight, groups)), (-1, -2), (0, 1))
    return torch().tensor(weight.copy())


GEOMETRIES = {
    "plain": {},
    "stride": dict(stride=(2, 3)),
    "padding": dict(padding=(1, 2)),
    "stride_beyond_window": dict(stride=5, padding=(1, 1)),
    "dilation": dict(dilation=(3, 2)),
    "groups": dict(groups=2),
    "output_padding": dict(stride=(2, 3), output_padding=(1, 2)),
    "all": dict(stride=3, padding=(2, 1), output_padding=2, dilation=(2, 4), groups=2),
}


@pytest.mark.parametrize("options", GEOMETRIES.values(), ids=GEOMETRIES)
def test_images_agree_with_torch(options, keys):
    padding = options.get("padding", (0, 0))
    pairs = [(p, p) for p in padding]
    rule = transposed_convolution(4, 6, (3, 2), **{**options, "padding": pairs})
    groups = options.get("groups", 1)
    params, x, dy = drawn(rule, keys, 2, 5, 7, 4)
    y, residuals = rule.forward(params, x)
    weight = torch_kernel(params.weight, groups)
    t = [channels_first(x), weight, torch().tensor(params.bias)]
    t = [v.requires_grad_() for v in t]
    their_y = torch().nn.functional.conv_transpose2d(*t, **options)
    their_y.backward(channels_first(dy))
    dparams, dx = rule.backward(residuals, dy)
    same(y, channels_last(their_y))  # worst of all four: 26 of 64 roundings
    same(dx, channels_last(t[0].grad))
    same(torch_kernel(dparams.weight, groups).numpy(), t[1].grad.numpy())
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


@pytest.mark.parametrize(
    "window,stride,dilation",
    [(2, 5, 1), (3, 3, 1), (4, 1, 1), (5, 2, 1), (4, 3, 1), (2, 3, 5), (3, 2, 2)],
)
def test_same_agrees_with_lax_for_a_flipped_kernel(window, stride, dilation, keys):
    options = dict(stride=stride, dilation=dilation, bias=False)
    rule = transposed_convolution(2, 3, (window,), **options)
    params, x, _ = drawn(rule, keys, 2, 5, 2)
    theirs = lax.conv_transpose(
        x,
        jnp.flip(params.weight, 0),
        (stride,),
        "SAME",
        rhs_dilation=(dilation,),
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
    returned = back.apply(Kernel(weight, None), dy)
    same(jnp.vdot(rule.apply(params, x), dy), jnp.vdot(x, returned))


def test_places_without_a_stamp_are_the_bias(keys):
    rule = transposed_convolution(
        2, 3, (2,), stride=3, padding="VALID", output_padding=2
    )
    params, x, _ = drawn(rule, keys, 1, 4, 2)
    y = rule.apply(params, x)[0]
    assert y.shape == (3 * 3 + 2 + 2, 3)
    gaps = jnp.concatenate([y[2:11:3], y[11:]])
    assert (gaps == jnp.broadcast_to(params.bias, gaps.shape)).all()
    assert (y[:2] != jnp.broadcast_to(params.bias, (2, 3))).all()


@pytest.mark.parametrize(
    "window,stride,dilation,stamps", [(5, 2, 1, 3), (4, 6, 4, 2), (3, 7, 1, 1)]
)
def test_initial_weights_keep_the_size_of_x(window, stride, dilation, stamps, keys):
    options = dict(stride=stride, dilation=dilation, groups=2)
    params = transposed_convolution(32, 96, (window,), **options).init(next(keys))
    spread = params.weight.std() * (16 * stamps) ** 0.5
    assert abs(spread - 1) < 0.05  # 4600 draws or more: its deviation is 0.01
    impulse = jnp.ones((1, 9, 1))
    counting = transposed_convolution(1, 1, (window,), stride=stride, dilation=dilation)
    ones = counting.init(next(keys))._replace(weight=jnp.ones((window, 1, 1)))
    assert counting.apply(ones, impulse).max() == stamps


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
    x = chance.normal(next(keys), (2, 5, 2))
    assert refuted(HONEST, x, mutant) == {leaf}


@pytest.mark.parametrize(
    "options,message",
    [
        (dict(n_in=0), "n_in must be at least 1, got 0"),
        (dict(n_out=0), "n_out must be at least 1, got 0"),
        (dict(stride=0), "stride must be positive"),
        (dict(dilation=0), "dilation must be positive"),
        (dict(groups=0), "groups must be at least 1, got 0"),
        (dict(groups=4), "groups must divide the channels 4 and 6, got 4"),
        (dict(output_padding=2, stride=2, padding=0), "output_padding must .* got 2"),
        (dict(output_padding=-1, padding=0), "output_padding must .* got -1"),
        (dict(output_padding=1, stride=2), "output_padding .* 0 with 'SAME', got 1"),
        (dict(output_padding=(0, 0), padding=0), r"output_padding .* got \(0, 0\)"),
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
