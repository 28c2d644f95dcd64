"""Transposed convolution: every place of x stamps the kernel, times x, onto y.

x is (batch, *spatial, channels), NHWC on two axes; weight is (*window, channels in,
channels out), HWIO. b counts examples, i channels of x, o of y; p the places of x, u of
y, k of a window, each a number on one spatial axis and a tuple on several. s is the
stride, d the dilation, l and h the places that are cut off y at either end, e those
that are added at its end; ypad is y with zeros where places were cut off.

    (1)  y_buo       = Σ_{k, p, i: s p + d k - l = u} x_bpi weight_kio + bias_o

    (2)  dx_bpi      = Σ_ko dypad_{b, s p + d k, o} weight_kio
    (3)  dweight_kio = Σ_bp x_bpi dypad_{b, s p + d k, o}
    (4)  dbias_o     = Σ_bu dy_buo

(1) is the dx of a convolution from y to x with weight_koi, and the transpose of a
transpose is the map itself: (2) is that convolution of dy. (3): each product of (1)
hands dy_u at u = s p + d k - l times x_p to weight_k, which is the dweight of that
convolution with x and dy in exchanged roles. (4): bias is broadcast over b and u.
With G groups, i and o are cut into G runs and run j of o sees run j of i alone.

On one axis n places of x give m places of y; the convolution from m gives n again:

    (5)  numbers:  m = s (n - 1) + d (w - 1) + 1 - l - h + e
    (6)  SAME:     m = s n             VALID: l = h = 0 in (5)

s different m give the same n, which is what e < s chooses among.

Conventions: (5) is torch's, where e is output_padding (torch allows e < d too). Under
SAME, m, l and h are those of jax.lax.conv_transpose and TensorFlow; under VALID these
two give s n where d (w - 1) + 1 < s. jax.lax.conv_transpose, unless told
transpose_kernel, wants the kernel flipped against (1), and then with the same axes
(HWIO); torch wants the channels out before those in.
Where s > w no stamp reaches some places of y, and none reaches the last e - h: there y
= bias.

Reference: Dumoulin and Visin, "A guide to convolution arithmetic for deep learning",
2016, arXiv:1603.07285.
"""

import math
from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from purefw.rule import Rule
from purefw.shared.correlation import (
    Kernel,
    KernelResiduals,
    correlate,
    correlate_dweight,
    correlate_dx,
    exchange,
)
from purefw.shared.windows import Windows, check_channels, make_windows


def transposed_convolution(
    n_in: int,
    n_out: int,
    window: tuple[int, ...],
    *,
    stride: int | tuple[int, ...] = 1,
    padding: str | int | Sequence[tuple[int, int]] = "SAME",
    output_padding: int | tuple[int, ...] = 0,
    dilation: int | tuple[int, ...] = 1,
    groups: int = 1,
    bias: bool = True,
) -> Rule[Kernel, KernelResiduals]:
    """Enlarge x by the stride, over as many spatial axes as `window` has numbers.

    Args:
        n_in: Channels of x. At least 1.
        n_out: Channels of y. At least 1.
        window: Size of the kernel on each spatial axis: (5,) or (3, 3).
        stride: Distance between stamps; one number for all axes, or one each.
        padding: "SAME", "VALID", how many places are cut off y on every side, or a
            pair (before, after) for each axis.
        output_padding: How many places are added at the end of y, below the stride;
            0 with "SAME".
        dilation: Distance between neighbours inside a stamp.
        groups: Divides n_in and n_out.
        bias: Whether there is one.

    Returns:
        A rule on x of shape (batch, *spatial, n_in). Its residuals hold x and the
        parameters, which are alive anyway.

    Raises:
        ValueError: a number is out of its range, `groups` does not divide the channels,
            or `forward` gets x of another shape or so short that (5) leaves nothing.

    Example:
        >>> rule = transposed_convolution(8, 3, (3, 3), stride=2)
        >>> params = rule.init(jax.random.key(0))
        >>> rule.apply(params, jnp.ones((1, 5, 7, 8))).shape
        (1, 10, 14, 3)
    """
    check_channels("transposed_convolution", n_in, n_out, groups)
    windows = make_windows("transposed_convolution", window, stride, padding, dilation)
    extra = _extra(output_padding, windows)
    bound = dict(windows=windows, groups=groups)
    shape = (*windows.size, n_in // groups, n_out)
    return Rule(
        name="transposed_convolution",
        init=partial(init, shape=shape, stamps=_stamps(windows), bias=bias),
        forward=partial(forward, extra=extra, **bound),
        backward=partial(backward, **bound),
    )


def init(
    key: Key[Array, ""], *, shape: tuple[int, ...], stamps: int, bias: bool
) -> Kernel:
    """Weight N(0, 1/n), n the most products that make one entry of y; bias zero."""
    weight = jax.random.normal(key, shape) / (shape[-2] * stamps) ** 0.5
    return Kernel(weight, jnp.zeros(shape[-1]) if bias else None)


def forward(
    params: Kernel,
    x: Float[Array, "b *n i"],
    *,
    windows: Windows,
    groups: int,
    extra: tuple[int, ...],
) -> tuple[Float[Array, "b *m o"], KernelResiduals]:
    """Equation (1)."""
    weight, bias = params
    _check(x, windows, groups * weight.shape[-2])
    lengths = _lengths_of_y(x.shape[1:-1], windows, extra)
    y = correlate_dx(exchange(weight, groups), x, lengths, windows, groups)  # (1)
    if bias is not None:
        y = y + jnp.broadcast_to(bias, y.shape)  # (1)
    return y, KernelResiduals(x, params)


def backward(
    residuals: KernelResiduals,
    dy: Float[Array, "b *m o"],
    *,
    windows: Windows,
    groups: int,
) -> tuple[Kernel, Float[Array, "b *n i"]]:
    """Equations (2) to (4)."""
    x, (weight, bias) = residuals
    dx = correlate(dy, exchange(weight, groups), windows, groups)  # (2)
    dweight = exchange(correlate_dweight(dy, x, windows, groups), groups)  # (3)
    dbias = None if bias is None else jnp.sum(dy, axis=range(dy.ndim - 1))  # (4)
    return Kernel(dweight, dbias), dx


def _extra(output_padding: int | tuple[int, ...], windows: Windows) -> tuple[int, ...]:
    """e for each axis."""
    axes = len(windows.size)
    is_number = isinstance(output_padding, int)
    extra = (output_padding,) * axes if is_number else tuple(output_padding)
    fits = len(extra) == axes and all(0 <= e < s for e, s in zip(extra, windows.stride))
    if not fits or (windows.padding == "SAME" and any(extra)):
        raise ValueError(
            "transposed_convolution: output_padding must lie in [0, stride), one "
            f"number a spatial axis, and be 0 with 'SAME', got {output_padding}"
        )
    return extra


def _stamps(windows: Windows) -> int:
    """How many stamps overlap at most: places k of one remainder of d k by s."""
    geometry = zip(windows.size, windows.stride, windows.dilation)
    return math.prod(-(-w * math.gcd(s, d) // s) for w, s, d in geometry)


def _check(x: Array, windows: Windows, channels: int) -> None:
    axes = len(windows.size)
    if x.ndim != axes + 2 or x.shape[-1] != channels or 0 in x.shape:
        raise ValueError(
            f"transposed_convolution: x must have shape (batch, {axes} spatial axes, "
            f"{channels}) and not be empty, got {x.shape}"
        )


def _lengths_of_y(
    lengths: tuple[int, ...], windows: Windows, extra: tuple[int, ...]
) -> tuple[int, ...]:
    if windows.padding == "SAME":
        return tuple(s * n for n, s in zip(lengths, windows.stride))  # (6)
    geometry = zip(lengths, windows.stride, windows.span, windows.pads(lengths), extra)
    lengths = tuple(
        s * (n - 1) + span - low - high + e  # (5)
        for n, s, span, (low, high), e in geometry
    )
    if min(lengths) < 1:
        raise ValueError(
            "transposed_convolution: padding must leave y at least one place on every "
            f"axis, got lengths {lengths}"
        )
    return lengths
