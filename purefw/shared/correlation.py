"""Sliding products of an array with a kernel, and their two transposes.

Conventions and letters as in purefw.shared.windows: x is (batch, *spatial, channels)
and the kernel (*window, channels in, channels out), that is NHWC and HWIO on two axes.
b counts examples, i channels of x, o channels of y. With G groups, channel o belongs to
group o // (n_out / G), and sees the channels of x of that group alone: i counts inside
it.

    (1)  y_bpo     = Σ_ki xpad_{b, s p + d k, i} weight_kio

    (2)  dx_bui    = Σ_{k, p, o: s p + d k - l = u} weight_kio dy_bpo
    (3)  dweight_kio = Σ_bp xpad_{b, s p + d k, i} dy_bpo

(2), (3): y is linear in x and in weight; each product of (1) hands dy times the one
factor to the other. What remains is to write both sums as convolutions again.

(2) as a convolution. Spread dy out to distance s, dys_{s p} = dy_p and 0 between, of
length s (m - 1) + 1. The condition gives s p = u + l - d k, and k = w - 1 - r reverses
the kernel:

    (4)  dx_u = Σ_r dys_{u - (d (w - 1) - l) + d r} weight_{w-1-r}

which is (1) with stride 1, dilation d, x spread by s, the kernel flipped and its two
channel axes exchanged within each group, and padding before dys of

    (5)  l' = d (w - 1) - l

The padding after it follows from the length: n = s (m - 1) + 1 + l' + h' - d (w - 1),
so

    (6)  h' = n - 1 - s (m - 1) + l

Either may be negative: it then cuts. h' counts the end of x that no window reaches too.

(3) as a convolution: dy is the kernel, its places p are s apart (dilation s), and it
moves in steps of d (stride d); batch takes the part of the summed channel, i that of
the batch. It starts at -l as (1) does, and must make w steps: s (m - 1) + 1 + d (w - 1)
= n + l + h'', so

    (7)  h'' = s (m - 1) + 1 + d (w - 1) - n - l

With groups, the channels i of x's group meet only the o of the same group, which is
what `batch_group_count` of lax means.

For few channels on a CPU (1) and (2) take other forms: purefw.shared.few_channels.
"""

import string
from collections.abc import Iterator
from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from purefw.shared.few_channels import (
    band,
    correlate_by_places,
    dx_by_places,
    last_axis_among_channels,
    other_axes,
    prefer_bands,
    prefer_places,
)
from purefw.shared.windows import Windows


class Kernel(NamedTuple):
    """The parameters; `bias` is None for a layer without one."""

    weight: Float[Array, "*w i o"]
    bias: Float[Array, " o"] | None


class KernelResiduals(NamedTuple):
    """What `backward` needs: the input and the parameters, no copies."""

    x: Float[Array, "b *n c"]
    params: Kernel


def correlate(
    x: Float[Array, "b *n c"],
    weight: Float[Array, "*w i o"],
    windows: Windows,
    groups: int,
) -> Float[Array, "b *m o"]:
    """Equation (1)."""
    if prefer_places(weight, groups):
        return correlate_by_places(x, weight, windows)
    lengths, (n_in, n_out) = x.shape[1:-1], weight.shape[-2:]
    if prefer_bands(n_out, n_in, lengths[-1], windows, groups):
        kernel, others = band(weight, windows, lengths), other_axes(windows, lengths)
        y = correlate(last_axis_among_channels(x), kernel, others, 1)
        return y.reshape(x.shape[0], *windows.counts(lengths), n_out)
    axes = string.ascii_lowercase[: len(windows.size)]
    return lax.conv_general_dilated(  # (1)
        x,
        weight,
        window_strides=windows.stride,
        padding=windows.pads(lengths),
        rhs_dilation=windows.dilation,
        dimension_numbers=(f"N{axes}C", f"{axes}IO", f"N{axes}C"),
        feature_group_count=groups,
    )


def correlate_dx(
    weight: Float[Array, "*w i o"],
    dy: Float[Array, "b *m o"],
    lengths: tuple[int, ...],
    windows: Windows,
    groups: int,
) -> Float[Array, "b *n c"]:
    """Equation (2) in the form of (4), for x of these spatial lengths."""
    if prefer_places(weight, groups):
        return dx_by_places(weight, dy, lengths, windows)
    n_in, n_out = weight.shape[-2:]
    if prefer_bands(n_in, n_out, lengths[-1], windows, groups):
        kernel, others = band(weight, windows, lengths), other_axes(windows, lengths)
        rows = last_axis_among_channels(dy)
        dx = correlate_dx(kernel, rows, lengths[:-1], others, 1)
        return dx.reshape(dy.shape[0], *lengths, n_in)
    axes = string.ascii_lowercase[: len(windows.size)]
    padding = [
        (reach - 1 - low, n - 1 - s * (m - 1) + low)  # (5), (6)
        for n, low, s, m, reach in _axes(lengths, dy.shape[1:-1], windows)
    ]
    return lax.conv_general_dilated(  # (2)
        dy,
        flip_and_exchange(weight, groups),
        window_strides=(1,) * len(lengths),
        padding=padding,
        lhs_dilation=windows.stride,
        rhs_dilation=windows.dilation,
        dimension_numbers=(f"N{axes}C", f"{axes}IO", f"N{axes}C"),
        feature_group_count=groups,
    )


def correlate_dweight(
    x: Float[Array, "b *n c"], dy: Float[Array, "b *m o"], windows: Windows, groups: int
) -> Float[Array, "*w i o"]:
    """Equation (3)."""
    axes = string.ascii_lowercase[: len(windows.size)]
    lengths = x.shape[1:-1]
    padding = [
        (low, s * (m - 1) + reach - n - low)  # (7)
        for n, low, s, m, reach in _axes(lengths, dy.shape[1:-1], windows)
    ]
    return lax.conv_general_dilated(  # (3)
        x,
        dy,
        window_strides=windows.dilation,
        padding=padding,
        rhs_dilation=windows.stride,
        dimension_numbers=(f"C{axes}N", f"I{axes}O", f"{axes}NC"),
        batch_group_count=groups,
    )


def flip_and_exchange(
    weight: Float[Array, "*w i o"], groups: int
) -> Float[Array, "*w p q"]:
    """weight_{w-1-k}, the roles of i and o exchanged within each group, as in (4)."""
    return exchange(jnp.flip(weight, axis=range(weight.ndim - 2)), groups)  # (4)


def exchange(weight: Float[Array, "*w i o"], groups: int) -> Float[Array, "*w p q"]:
    """The roles of i and o exchanged within each group; twice, the weight itself."""
    *window, n_in, n_out = weight.shape
    grouped = weight.reshape(*window, n_in, groups, n_out // groups)
    exchanged = jnp.swapaxes(grouped, -3, -1)
    return exchanged.reshape(*window, n_out // groups, groups * n_in)


def _axes(
    lengths: tuple[int, ...], windows_along: tuple[int, ...], windows: Windows
) -> Iterator[tuple[int, int, int, int, int]]:
    """n, low, s, m and reach of (5) to (7), axis by axis."""
    lows = (low for low, _ in windows.pads(lengths))
    return zip(lengths, lows, windows.stride, windows_along, windows.span)
