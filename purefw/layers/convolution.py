"""Convolution: the same small affine map of every window of x.

x is (batch, *spatial, channels), NHWC on two axes; weight is (*window, channels in,
channels out), HWIO. b counts examples, i channels of x, o of y; u the places of x, p of
y, k of a window, each a number on one spatial axis and a tuple on several. s is the
stride, d the dilation, l the padding before x; xpad is x with zeros around.

    (1)  y_bpo       = Σ_ki xpad_{b, s p + d k, i} weight_kio + bias_o

    (2)  dx_bui      = Σ_{k, p, o: s p + d k - l = u} weight_kio dy_bpo
    (3)  dweight_kio = Σ_bp xpad_{b, s p + d k, i} dy_bpo
    (4)  dbias_o     = Σ_bp dy_bpo

(2) to (4): (1) is linear in each of x, weight and bias; every product in it hands dy
times the one factor to the other. weight and bias are shared by all examples and
places, hence the sums over b and p; x_u is read by every window that covers it, hence
the sum over those. Both sums are convolutions again: (2) of dy, spread out to distance
s, with the flipped kernel, (3) of x with dy; purefw.shared.correlation derives them and
their padding.
With G groups, i and o are cut into G runs and run j of o sees run j of i alone.

Conventions: no kernel flip in (1), as in every deep-learning library. SAME gives ceil(n
/ s) places with the odd zero after x, as in TensorFlow and JAX; torch has no SAME with
a stride, and keeps channels first: x (batch, channels, *spatial), weight (o, i,
*window). Numbers pad both sides.
Invariant: shifting x by s shifts y by one place, away from the border. The end of x
that no window reaches, and the gaps where s > d (w - 1) + 1, have dx = 0.

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
)
from purefw.shared.windows import (
    Windows,
    check_channels,
    check_windows_fit,
    make_windows,
)


def convolution(
    n_in: int,
    n_out: int,
    window: tuple[int, ...],
    *,
    stride: int | tuple[int, ...] = 1,
    padding: str | int | Sequence[tuple[int, int]] = "SAME",
    dilation: int | tuple[int, ...] = 1,
    groups: int = 1,
    bias: bool = True,
) -> Rule[Kernel, KernelResiduals]:
    """Convolve over as many spatial axes as `window` has numbers.

    Args:
        n_in: Channels of x. At least 1.
        n_out: Channels of y. At least 1.
        window: Size of the kernel on each spatial axis: (5,) or (3, 3).
        stride: Distance between windows; one number for all axes, or one each.
        padding: "SAME", "VALID", a number of zeros on every side, or a pair (before,
            after) for each axis.
        dilation: Distance between neighbours inside a window.
        groups: Divides n_in and n_out; n_in groups are a depthwise convolution.
        bias: Whether there is one.

    Returns:
        A rule on x of shape (batch, *spatial, n_in). Its residuals hold x and the
        parameters, which are alive anyway.

    Raises:
        ValueError: a number is out of its range, `groups` does not divide the channels,
            or `forward` gets x of another shape or shorter, padded, than the window.

    Example:
        >>> rule = convolution(3, 8, (3, 3), stride=2)
        >>> params = rule.init(jax.random.key(0))
        >>> rule.apply(params, jnp.ones((1, 5, 7, 3))).shape
        (1, 3, 4, 8)
    """
    check_channels("convolution", n_in, n_out, groups)
    windows = make_windows("convolution", window, stride, padding, dilation)
    shape = (*windows.size, n_in // groups, n_out)
    return Rule(
        name="convolution",
        init=partial(init, shape=shape, bias=bias),
        forward=partial(forward, windows=windows, groups=groups),
        backward=partial(backward, windows=windows, groups=groups),
    )


def init(key: Key[Array, ""], *, shape: tuple[int, ...], bias: bool) -> Kernel:
    """Weight N(0, 1/n), n the numbers that make one entry of y; bias zero."""
    n = math.prod(shape[:-1])
    weight = jax.random.normal(key, shape) / n**0.5
    return Kernel(weight, jnp.zeros(shape[-1]) if bias else None)


def forward(
    params: Kernel,
    x: Float[Array, "b *n c"],
    *,
    windows: Windows,
    groups: int,
) -> tuple[Float[Array, "b *m o"], KernelResiduals]:
    """Equation (1)."""
    weight, bias = params
    check_windows_fit("convolution", windows, x, groups * weight.shape[-2])
    y = correlate(x, weight, windows, groups)  # (1)
    if bias is not None:
        y = y + jnp.broadcast_to(bias, y.shape)  # (1)
    return y, KernelResiduals(x, params)


def backward(
    residuals: KernelResiduals,
    dy: Float[Array, "b *m o"],
    *,
    windows: Windows,
    groups: int,
) -> tuple[Kernel, Float[Array, "b *n c"]]:
    """Equations (2) to (4)."""
    x, (weight, bias) = residuals
    dx = correlate_dx(weight, dy, x.shape[1:-1], windows, groups)  # (2)
    dweight = correlate_dweight(x, dy, windows, groups)  # (3)
    dbias = None if bias is None else jnp.sum(dy, axis=range(dy.ndim - 1))  # (4)
    return Kernel(dweight, dbias), dx
