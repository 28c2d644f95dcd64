"""Convolutions of few channels: other forms on a CPU, the same numbers."""

import jax
import jax.numpy as jnp
import pytest

from purefw.shared import few_channels
from purefw.shared.correlation import correlate, correlate_dx
from purefw.shared.windows import make_windows
from reference import chance
from reference.compare import UNIT

BANDS = {
    "images": ((2, 11, 9, 1), (5, 5, 1, 6), 1, {"padding": "SAME"}),
    "strided": ((3, 11, 13, 3), (3, 2, 3, 5), 1, {"stride": (2, 3)}),
    "dilated": ((2, 11, 14, 2), (3, 3, 2, 7), 1, {"dilation": (1, 2), "padding": 2}),
    "padded on one side": (
        (1, 7, 5, 1),
        (3, 3, 1, 1),
        1,
        {"padding": ((0, 2), (3, 0))},
    ),
    "volumes": ((2, 5, 7, 6, 2), (2, 3, 3, 2, 3), 1, {"padding": "SAME"}),
}
PLACES = {
    "a window a channel": ((2, 11, 7, 5), (3, 3, 1, 5), 5, {"padding": "SAME"}),
    "strided": ((3, 11, 13, 7), (3, 2, 1, 7), 7, {"stride": (2, 3)}),
    "dilated": ((2, 17, 3), (5, 1, 3), 3, {"dilation": 3, "padding": 4}),
    "mostly padding": ((1, 2, 3), (3, 1, 3), 3, {"dilation": 4, "padding": 7}),
    "mostly padding, strided": (
        (1, 2, 2, 3),
        (3, 2, 1, 3),
        3,
        {"dilation": (4, 3), "padding": 7, "stride": 3},
    ),
}
ALL = {**{f"bands, {k}": v for k, v in BANDS.items()}, **PLACES}


def drawn(shape, kernel, groups, options, keys, dtype=float):
    size = kernel[:-2]
    windows = make_windows("test", size, **{"stride": 1, "padding": "VALID"} | options)
    x = chance.normal(next(keys), shape).astype(dtype)
    weight = chance.normal(next(keys), kernel).astype(dtype)
    y = jax.eval_shape(lambda x: correlate(x, weight, windows, groups), x)
    dy = chance.normal(next(keys), y.shape).astype(dtype)
    return windows, x, weight, dy


def both(windows, x, weight, dy, groups):
    y = correlate(x, weight, windows, groups)
    return y, correlate_dx(weight, dy, x.shape[1:-1], windows, groups)


@pytest.mark.parametrize("name", ALL)
def test_the_forms_agree_with_the_convolution(name, keys, monkeypatch):
    shape, kernel, groups, options = ALL[name]
    windows, *arrays = drawn(shape, kernel, groups, options, keys)
    here = str(jax.make_jaxpr(lambda *a: both(windows, *a, groups))(*arrays))
    found = both(windows, *arrays, groups)
    monkeypatch.setattr(few_channels, "on_cpu", lambda: False)
    there = str(jax.make_jaxpr(lambda *a: both(windows, *a, groups))(*arrays))
    assert here != there
    for a, b in zip(found, both(windows, *arrays, groups)):
        # As many roundings as a sum has summands; measured: 7.1 units, 4 draws each.
        assert abs(a - b).max() <= 64 * UNIT * abs(b).max()


@pytest.mark.parametrize("name", ["bands, images", "a window a channel"])
def test_sixteen_bits_are_summed_in_more(name, keys):
    shape, kernel, groups, options = ALL[name]
    windows, *arrays = drawn(shape, kernel, groups, options, keys, jnp.bfloat16)
    for a, b in zip(
        both(windows, *arrays, groups),
        both(windows, *(v.astype(float) for v in arrays), groups),
    ):
        assert a.dtype == jnp.bfloat16
        # One rounding of each entry, and those of float32 in the largest.
        room = 2.0**-8 * abs(b) + 2.0**-20 * abs(b).max()
        assert (abs(a.astype(float) - b) <= room).all()


def test_a_shifted_band_is_another_product(keys, monkeypatch):
    shape, kernel, groups, options = BANDS["images"]
    windows, x, weight, _ = drawn(shape, kernel, groups, options, keys)
    right = correlate(x, weight, windows, groups)
    band = few_channels.band
    monkeypatch.setattr(
        "purefw.shared.correlation.band", lambda *a: jnp.roll(band(*a), 1, axis=-1)
    )
    assert abs(correlate(x, weight, windows, groups) - right).max() > 0.1
