"""Sliding products of few channels on a CPU, where a convolution leaves it idle.

Letters as in purefw.shared.windows and purefw.shared.correlation: u counts the places
of x along its last spatial axis, q those of y, k the places of the window along it; h
counts the places of the window along the other axes, r the windows there. v_k are the
views of x.

One group: the last axis goes to the channels, and what is left is a sliding product
along the other axes, whose kernel is zero but for a band, the same weights in every
column, shifted.

    (1)  band_h(ui)(qo) = weight_hkio  where u = s q + d k - l, else 0
    (2)  y_br(qo)       = Σ_h(ui) xpad_{b, s r + d h, (ui)} band_h(ui)(qo)

A window of its own for every channel: no product is left, the sum is one over places.

    (3)  y_bpc   = Σ_k v_kbpc weight_kc
    (4)  dv_kbpc = weight_kc dy_bpc         dx = Σ_k dv_k, each spread to where v_k was

The backward in x of (2) is that of purefw.shared.correlation with the band as kernel;
(4) is the transpose of (3), which is linear in x.

A convolution on a CPU is a product whose columns are the channels that it makes: o
forward, i backward in x. For less than eight most of a processor waits, and n / w times
the operations, which (2) takes, need less time. Measured on 2 cores in milliseconds,
convolution and (2):

    channels i, o   window     images          forward     backward in x
    1, 6            5 x 5      128 of 28 x 28  6.5, 1.2    9.5, 1.7
    3, 6            5 x 5      64 of 32 x 32   5.5, 1.9    12, 2.3
    6, 16           5 x 5      128 of 14 x 14              5.1, 2.3
    4, 4            3 x 3      32 of 28 x 28   1.5, 0.6    1.4, 0.6
    3, 16           3 x 3      32 of 28 x 28               2.1, 2.0
    8, 8            3 x 3      32 of 28 x 28   1.2, 1.8    1.0, 1.7 (not used)

and 32 channels with windows of their own, 3 x 3, 32 of 28 x 28: (3) 21, 0.6; (4) 33,
0.6. The weight's gradient is faster as it is.
"""

from functools import reduce
from operator import add

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from purefw.shared.platform import on_cpu
from purefw.shared.precision import wide
from purefw.shared.windows import Windows, add_windows, views

MADE = 8  # Channels at which a convolution is no longer slow.
SUMMED = 16  # Channels up to which the band is small enough.
WASTE = 10  # n / w up to which it is.


def prefer_bands(made: int, summed: int, n: int, windows: Windows, groups: int) -> bool:
    """Whether (2) is faster, n places along the last axis of x."""
    few = made < MADE and summed <= SUMMED and groups == 1
    small = len(windows.size) > 1 and n <= WASTE * windows.size[-1]
    return on_cpu() and few and small


def prefer_places(weight: Float[Array, "*w i o"], groups: int) -> bool:
    """Whether every channel has a window of its own, for (3) and (4)."""
    return on_cpu() and groups > 1 and weight.shape[-2:] == (1, groups)


def correlate_by_places(
    x: Float[Array, "b *n c"], weight: Float[Array, "*w 1 c"], windows: Windows
) -> Float[Array, "b *m c"]:
    """Equation (3), in float32 for 16 bits."""
    places = zip(views(x, windows, 0.0), _rows(weight, x.ndim))
    products = (wide(v) * row for v, row in places)
    return reduce(add, products).astype(x.dtype)  # (3)


def dx_by_places(
    weight: Float[Array, "*w 1 c"],
    dy: Float[Array, "b *m c"],
    lengths: tuple[int, ...],
    windows: Windows,
) -> Float[Array, "b *n c"]:
    """Equation (4), in float32 for 16 bits."""
    dv = [wide(dy) * row for row in _rows(weight, dy.ndim)]
    return add_windows(dv, windows, lengths).astype(dy.dtype)  # (4)


def _rows(weight: Float[Array, "*w 1 c"], rank: int) -> Float[Array, "k ..."]:
    """One array of the channels a place, with as many axes as x."""
    return wide(weight).reshape(-1, *[1] * (rank - 1), weight.shape[-1])


def last_axis_among_channels(x: Float[Array, "b *n c"]) -> Float[Array, "b *h nc"]:
    """x with (u, i) as its channels, y with (q, o)."""
    return x.reshape(*x.shape[:-2], -1)


def other_axes(windows: Windows, lengths: tuple[int, ...]) -> Windows:
    """The windows along all axes but the last."""
    return Windows(
        windows.size[:-1],
        windows.stride[:-1],
        windows.dilation[:-1],
        windows.pads(lengths)[:-1],
    )


def band(
    weight: Float[Array, "*h w i o"], windows: Windows, lengths: tuple[int, ...]
) -> Float[Array, "*h ni mo"]:
    """Equation (1)."""
    *others, w, n_in, n_out = weight.shape
    n, m = lengths[-1], windows.counts(lengths)[-1]
    s, d, (low, _) = windows.stride[-1], windows.dilation[-1], windows.pads(lengths)[-1]
    place = np.arange(n)[:, None] + low - s * np.arange(m)[None, :]
    inside = (place % d == 0) & (place >= 0) & (place < w * d)
    rows = weight.reshape(-1, w, n_in, n_out)[:, np.where(inside, place // d, 0)]
    rows = jnp.where(inside[None, :, :, None, None], rows, 0)  # (1)
    return jnp.moveaxis(rows, 3, 2).reshape(*others, n * n_in, m * n_out)
