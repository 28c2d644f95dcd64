"""Convolution against torch and lax in every geometry; what it does at the borders."""

import itertools
import random

import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from purefw.layers.convolution import convolution
from purefw.shared.correlation import flip_and_exchange
from purefw.shared.windows import add_windows, make_windows, take_windows
from reference import chance
from tests.layers.others import (
    channels_first,
    channels_last,
    cotangents_agree,
    drawn,
    same,
    torch,
    torch_kernel,
)
from tests.refute import refuted

GEOMETRIES = {
    "plain": {},
    "stride": dict(stride=(2, 3)),
    "padding": dict(padding=2),
    "dilation": dict(dilation=(3, 2), padding=(3)),
    "groups": dict(groups=2),
    "all": dict(stride=(3, 2), padding=1, dilation=2, groups=2),
    "stride_beyond_window": dict(stride=5, padding=1),
}


@pytest.mark.parametrize("options", GEOMETRIES.values(), ids=GEOMETRIES)
def test_images_agree_with_torch(options, keys):
    options = {"padding": 0, **options}
    rule = convolution(4, 6, (3, 2), **options)
    params, x, dy = drawn(rule, keys, 2, 11, 13, 4)
    y, residuals = rule.forward(params, x)
    t = [channels_first(x), torch_kernel(params.weight), torch().tensor(params.bias)]
    t = [v.requires_grad_() for v in t]
    their_y = torch().nn.functional.conv2d(*t, **options)
    their_y.backward(channels_first(dy))
    dparams, dx = rule.backward(residuals, dy)
    same(y, channels_last(their_y))  # worst of all four: 14 of 64 roundings
    same(dx, channels_last(t[0].grad))
    same(np.moveaxis(dparams.weight, (-1, -2), (0, 1)), t[1].grad.numpy())
    same(dparams.bias, t[2].grad.numpy())


def test_sequences_agree_with_torch(keys):
    rule = convolution(3, 5, (4,), stride=3, padding=2, dilation=2)
    params, x, _ = drawn(rule, keys, 2, 17, 3)
    theirs = torch().nn.functional.conv1d(
        channels_first(x),
        torch_kernel(params.weight),
        torch().tensor(params.bias),
        stride=3,
        padding=2,
        dilation=2,
    )
    same(rule.apply(params, x), channels_last(theirs))


def test_same_and_valid_pad_as_lax_does():
    for n, w, s, d in itertools.product(range(1, 12), (1, 2, 5), (1, 2, 3, 7), (1, 3)):
        for padding in ("SAME", "VALID"):
            windows = make_windows("test", (w,), s, padding, d)
            (pair,) = lax.padtype_to_pads((n,), windows.span, (s,), padding)
            assert windows.pads((n,)) == (tuple(pair),)
        assert make_windows("test", (w,), s, "SAME", d).counts((n,)) == (-(-n // s),)


@pytest.mark.slow
def test_backward_is_right_in_random_geometries(keys):
    draw = random.Random(0)
    for _ in range(8):
        window, stride, dilation, n = (
            tuple(draw.randint(1, k) for _ in range(2)) for k in (3, 4, 3, 7)
        )
        padding = tuple((draw.randint(0, 3), draw.randint(0, 3)) for _ in range(2))
        windows = make_windows("test", window, stride, padding, dilation)
        if min(windows.counts(n)) < 1:
            continue
        options = dict(stride=stride, padding=padding, dilation=dilation)
        rule = convolution(2, 4, window, groups=draw.choice((1, 2)), **options)
        params, x, _ = drawn(rule, keys, 2, *n, 2)
        cotangents_agree(rule, params, x, keys)


def test_taking_windows_and_adding_them_are_transposes(keys):
    windows = make_windows("test", (3, 2), (2, 1), ((1, 0), (2, 1)), (1, 2))
    x = chance.normal(next(keys), (2, 5, 7, 3))
    v = take_windows(x, windows, 0.0)
    dv = chance.normal(next(keys), v.shape)
    same(jnp.vdot(v, dv), jnp.vdot(x, add_windows(list(dv), windows, (5, 7))))


def test_shifting_x_by_the_stride_shifts_y_by_one_place(keys):
    rule = convolution(2, 3, (3,), stride=2, padding="VALID")
    params, x, _ = drawn(rule, keys, 1, 13, 2)
    same(rule.apply(params, x[:, 2:]), rule.apply(params, x)[:, 1:])


def test_what_no_window_reads_has_no_gradient(keys):
    rule = convolution(2, 3, (2,), stride=3, padding="VALID")
    params, x, dy = drawn(rule, keys, 1, 10, 2)
    dx = rule.backward(rule.forward(params, x)[1], dy)[1]
    read = jnp.any(dx != 0, axis=(0, 2))
    assert read.tolist() == [True, True, False] * 3 + [False]


def test_exchanging_twice_gives_the_kernel_back(keys):
    weight = chance.normal(next(keys), (3, 2, 2, 6))
    twice = flip_and_exchange(flip_and_exchange(weight, 2), 2)
    assert (twice == weight).all()


def unflipped(residuals, dy):
    x, params = residuals
    turned = params._replace(weight=jnp.flip(params.weight, (0, 1)))
    return HONEST.backward(residuals._replace(params=turned), dy)


def shifted(residuals, dy):
    dparams, dx = HONEST.backward(residuals, dy)
    return dparams, jnp.roll(dx, 1, axis=1)


def averaged(residuals, dy):
    dparams, dx = HONEST.backward(residuals, dy)
    return dparams._replace(bias=dparams.bias / len(dy)), dx


def transposed(residuals, dy):
    dparams, dx = HONEST.backward(residuals, dy)
    return dparams._replace(weight=jnp.swapaxes(dparams.weight, 0, 1)), dx


HONEST = convolution(2, 3, (3, 3), stride=2, padding=1)
MUTANTS = {
    unflipped: "dx",
    shifted: "dx",
    averaged: "dparams.bias",
    transposed: "dparams.weight",
}


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: m.__name__)
def test_a_mistake_is_refuted(mutant, keys):
    x = chance.normal(next(keys), (2, 5, 7, 2))
    assert MUTANTS[mutant] in refuted(HONEST, x, mutant)


REFUSED = [
    (dict(n_in=0), "n_in must be at least 1, got 0"),
    (dict(n_out=0), "n_out must be at least 1, got 0"),
    (dict(groups=0), "groups must be at least 1, got 0"),
    (dict(groups=3), "groups must divide the channels 4 and 6, got 3"),
    (dict(window=()), r"window must be positive, one .* got \(\)"),
    (dict(window=(3, 0)), r"window must be positive, one .* got \(3, 0\)"),
    (dict(stride=0), "stride must be positive, one number a spatial axis, got 0"),
    (dict(stride=(1, 2, 3)), r"stride must be .* got \(1, 2, 3\)"),
    (dict(dilation=-1), "dilation must be positive, .* got -1"),
    (dict(padding="FULL"), "padding must be 'SAME', 'VALID', .* got 'FULL'"),
    (dict(padding=-1), r"padding must be .* got \(\(-1, -1\), \(-1, -1\)\)"),
    (dict(padding=((1, 1),)), r"padding must be .* got \(\(1, 1\),\)"),
]


@pytest.mark.parametrize("options,message", REFUSED)
def test_a_bad_argument_is_refused(options, message):
    with pytest.raises(ValueError, match=f"^convolution: {message}"):
        convolution(**{"n_in": 4, "n_out": 6, "window": (3, 3), **options})


@pytest.mark.parametrize(
    "shape,message",
    [
        ((2, 5, 4), r"\(batch, 2 spatial axes, 4\), got \(2, 5, 4\)"),
        ((2, 5, 5, 3), r"\(batch, 2 spatial axes, 4\), got \(2, 5, 5, 3\)"),
        ((2, 5, 1, 4), r"as long as the window \(3, 5\), got \(7, 3\)"),
    ],
)
def test_a_bad_x_is_refused(shape, message, keys):
    rule = convolution(4, 6, (3, 3), padding=1, dilation=(1, 2))
    with pytest.raises(ValueError, match=f"^convolution: x.*{message}"):
        rule.forward(rule.init(next(keys)), jnp.ones(shape))


def test_without_a_bias_there_is_none(keys):
    rule = convolution(2, 3, (3,), bias=False)
    params, x, dy = drawn(rule, keys, 2, 5, 2)
    assert params.bias is None
    assert rule.backward(rule.forward(params, x)[1], dy)[0].bias is None


def test_initial_weights_keep_the_size_of_x(keys):
    params = convolution(8, 64, (5, 5), groups=2).init(next(keys))
    assert not params.bias.any()
    spread = params.weight.std() * (5 * 5 * 4) ** 0.5
    assert abs(spread - 1) < 0.05  # 6400 draws: its deviation is 1/sqrt(12800), 0.009
