"""Transposed convolution: every place of x stamps the kernel, times x, onto y.

x is (batch, *spatial, channels), NHWC on two axes; weight is (*window, channels in,
channels out), HWIO. b counts examples, i channels of x, o of y; p the places of x, u of
y, k of a window, each a number on one spatial axis and a tuple on several. s is the
stride, l and h the places that are cut off y at either end; ypad is y with zeros in
their place.

    (1)  y_buo       = Σ_{k, p, i: s p + k - l = u} x_bpi weight_kio + bias_o

    (2)  dx_bpi      = Σ_ko dypad_{b, s p + k, o} weight_kio
    (3)  dweight_kio = Σ_bp x_bpi dypad_{b, s p + k, o}
    (4)  dbias_o     = Σ_bu dy_buo

(1) is the dx of a convolution from y to x with weight_koi, and the transpose of a
transpose is the map itself: (2) is that convolution of dy. (3): each product of (1)
hands dy_u at u = s p + k - l times x_p to weight_k, which is the dweight of that
convolution with x and dy in exchanged roles. (4): bias is broadcast over b and u.

On one axis n places of x give m places of y; the convolution from m gives n again:

    (5)  numbers:  m = s (n - 1) + w - l - h
    (6)  SAME:     m = s n             VALID: l = h = 0 in (5)

Conventions: (5) is torch's, with output_padding 0. Under SAME, m, l and h are those of
jax.lax.conv_transpose and TensorFlow; under VALID these two give s n where w < s.
jax.lax.conv_transpose, unless told transpose_kernel, wants the kernel flipped against
(1), and then with the same axes (HWIO); torch wants the channels out before those in.
Where s > w no stamp reaches some places of y: there y = bias.

Reference: Dumoulin and Visin, "A guide to convolution arithmetic for deep learning",
2016, arXiv:1603.07285.
"""

import math
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from purefw.correlation import correlate, correlate_dweight, correlate_dx
from purefw.rule import Rule
from purefw.windows import Windows, make_windows


class TransposedConvolutionParams(NamedTuple):
    """The kernel; `bias` is None for a layer without one."""

    weight: Float[Array, "*w i o"]
    bias: Float[Array, " o"] | None


class TransposedConvolutionResiduals(NamedTuple):
    """What `backward` needs: the input and the parameters, no copies."""

    x: Float[Array, "b *n i"]
    params: TransposedConvolutionParams


def transposed_convolution(
    n_in: int,
    n_out: int,
    window: tuple[int, ...],
    *,
    stride: int | tuple[int, ...] = 1,
    padding: str | int | Sequence[tuple[int, int]] = "SAME",
    bias: bool = True,
) -> Rule[TransposedConvolutionParams, TransposedConvolutionResiduals]:
    """Enlarge x by the stride, over as many spatial axes as `window` has numbers.

    Args:
        n_in: Channels of x. At least 1.
        n_out: Channels of y. At least 1.
        window: Size of the kernel on each spatial axis: (5,) or (3, 3).
        stride: Distance between stamps; one number for all axes, or one each.
        padding: "SAME", "VALID", how many places are cut off y on every side, or a
            pair (before, after) for each axis.
        bias: Whether there is one.

    Returns:
        A rule on x of shape (batch, *spatial, n_in). Its residuals hold x and the
        parameters, which are alive anyway.

    Raises:
        ValueError: a number is out of its range, or `forward` gets x of another shape
            or so short that (5) leaves nothing.

    Example:
        >>> rule = transposed_convolution(8, 3, (3, 3), stride=2)
        >>> params = rule.init(jax.random.key(0))
        >>> rule.apply(params, jnp.ones((1, 5, 7, 8))).shape
        (1, 10, 14, 3)
    """
    for name, n in (("n_in", n_in), ("n_out", n_out)):
        if n < 1:
            raise ValueError(
                f"transposed_convolution: {name} must be at least 1, got {n}"
            )
    windows = make_windows("transposed_convolution", window, stride, padding)
    shape = (*windows.size, n_in, n_out)
    stamps = math.prod(-(-w // s) for w, s in zip(windows.size, windows.stride))
    return Rule(
        name="transposed_convolution",
        init=partial(init, shape=shape, fan_in=n_in * stamps, bias=bias),
        forward=partial(forward, windows=windows),
        backward=partial(backward, windows=windows),
    )


def init(
    key: Key[Array, ""], *, shape: tuple[int, ...], fan_in: int, bias: bool
) -> TransposedConvolutionParams:
    """Weight N(0, 1/fan_in), fan_in the most products in one entry of y; bias zero."""
    weight = jax.random.normal(key, shape) / fan_in**0.5
    return TransposedConvolutionParams(weight, jnp.zeros(shape[-1]) if bias else None)


def forward(
    params: TransposedConvolutionParams, x: Float[Array, "b *n i"], *, windows: Windows
) -> tuple[Float[Array, "b *m o"], TransposedConvolutionResiduals]:
    """Equation (1)."""
    weight, bias = params
    lengths = _lengths_of_y(x, weight, windows)
    y = correlate_dx(_exchange(weight), x, lengths, windows, 1)  # (1)
    if bias is not None:
        y = y + jnp.broadcast_to(bias, y.shape)  # (1)
    return y, TransposedConvolutionResiduals(x, params)


def backward(
    residuals: TransposedConvolutionResiduals,
    dy: Float[Array, "b *m o"],
    *,
    windows: Windows,
) -> tuple[TransposedConvolutionParams, Float[Array, "b *n i"]]:
    """Equations (2) to (4)."""
    x, (weight, bias) = residuals
    dx = correlate(dy, _exchange(weight), windows, 1)  # (2)
    dweight = _exchange(correlate_dweight(dy, x, windows, 1))  # (3)
    dbias = None if bias is None else jnp.sum(dy, axis=range(dy.ndim - 1))  # (4)
    return TransposedConvolutionParams(dweight, dbias), dx


def _exchange(weight: Float[Array, "*w p q"]) -> Float[Array, "*w q p"]:
    return jnp.swapaxes(weight, -1, -2)


def _lengths_of_y(x: Array, weight: Array, windows: Windows) -> tuple[int, ...]:
    axes = len(windows.size)
    if x.ndim != axes + 2 or x.shape[-1] != weight.shape[-2] or 0 in x.shape:
        raise ValueError(
            f"transposed_convolution: x must have shape (batch, {axes} spatial axes, "
            f"{weight.shape[-2]}) and not be empty, got {x.shape}"
        )
    sizes = list(zip(x.shape[1:-1], windows.stride, windows.size))
    if windows.padding == "SAME":
        return tuple(s * n for n, s, _ in sizes)  # (6)
    lengths = tuple(
        s * (n - 1) + w - low - high  # (5)
        for (n, s, w), (low, high) in zip(sizes, windows.pads(x.shape[1:-1]))
    )
    if min(lengths) < 1:
        raise ValueError(
            "transposed_convolution: padding must leave y at least one place on every "
            f"axis, got lengths {lengths}"
        )
    return lengths
