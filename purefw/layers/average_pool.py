"""Average pooling: the mean of every window, channel by channel.

x is (batch, *spatial, channels). b counts examples, c channels; u places of x, p of y,
k of a window, each a number on one spatial axis and a tuple on several. s is the
stride, l the padding before x; xpad is x with zeros around.

    (1)  v_kbpc  = xpad_{b, s p + k, c}
    (2)  count_p = the number of k, or only of those inside x
    (3)  y_bpc   = 1/count_p Σ_k v_kbpc

    (4)  dv_kbpc = dy_bpc / count_p
    (5)  dx_buc  = Σ_{k, p: s p + k - l = u} dv_kbpc

(4): (3) is linear in v. (5): (1) copies x_u into every window that covers it, and a
copy forward is a sum backward.
Convention: padding counts in (2), as it does by default in torch and Flax; with
count_include_pad=False it does not, so that a border window is the mean of what it
holds.
Invariants: with count_include_pad=False, or without padding, a constant x gives that
constant, hence Σ_u dx = Σ_p dy.
Padding must be smaller than the window, so that count_p > 0.
Precision: 16-bit x is summed in float32 and rounded once.
"""

import math
from collections.abc import Sequence
from functools import partial

import jax.numpy as jnp
from jaxtyping import Array, Float

from purefw.rule import Rule
from purefw.shared.precision import wide
from purefw.shared.structure import Static, no_params
from purefw.shared.windows import (
    Windows,
    add_windows,
    check_pool_fits,
    make_windows,
    take_windows,
)


def average_pool(
    window: tuple[int, ...],
    *,
    stride: int | tuple[int, ...] | None = None,
    padding: str | int | Sequence[tuple[int, int]] = "VALID",
    count_include_pad: bool = True,
) -> Rule[tuple, Static]:
    """Take the mean of every window, over as many spatial axes as it has numbers.

    Args:
        window: Size on each spatial axis: (2,) or (3, 3).
        stride: Distance between windows; one number for all axes, or one each. The
            window itself where None, so that windows do not overlap.
        padding: "SAME", "VALID", a number on every side, or a pair (before, after) for
            each axis; smaller than the window.
        count_include_pad: Whether the padding's zeros are averaged too.

    Returns:
        A rule on x of shape (batch, *spatial, channels); its residual is the lengths of
        x, no array.

    Raises:
        ValueError: a number is out of its range, or `forward` gets x of another rank or
            shorter, padded, than the window.

    Example:
        >>> x = jnp.array([1.0, 4.0, 2.0, 3.0])[None, :, None]
        >>> average_pool((2,)).apply((), x).ravel()
        Array([2.5, 2.5], dtype=float32)
    """
    windows = make_windows(
        "average_pool", window, window if stride is None else stride, padding
    )
    bound = dict(windows=windows, count_include_pad=count_include_pad)
    return Rule(
        name="average_pool",
        init=no_params,
        forward=partial(forward, **bound),
        backward=partial(backward, **bound),
    )


def forward(
    params: tuple,
    x: Float[Array, "b *n c"],
    *,
    windows: Windows,
    count_include_pad: bool,
) -> tuple[Float[Array, "b *m c"], Static]:
    """Equations (1) to (3)."""
    del params
    check_pool_fits("average_pool", windows, x)
    v = take_windows(wide(x), windows, 0.0)  # (1)
    total = jnp.sum(v, axis=0)
    y = total / _count(total, x.shape[1:-1], windows, count_include_pad)  # (3)
    return y.astype(x.dtype), Static(x.shape[1:-1])


def backward(
    residuals: Static,
    dy: Float[Array, "b *m c"],
    *,
    windows: Windows,
    count_include_pad: bool,
) -> tuple[tuple, Float[Array, "b *n c"]]:
    """Equations (4) and (5)."""
    lengths = residuals.value
    count = _count(wide(dy), lengths, windows, count_include_pad)
    dv = [wide(dy) / count] * math.prod(windows.size)  # (4)
    return (), add_windows(dv, windows, lengths).astype(dy.dtype)  # (5)


def _count(
    y: Float[Array, "b *m c"],
    lengths: tuple[int, ...],
    windows: Windows,
    count_include_pad: bool,
) -> Float[Array, "b *m c"]:
    if count_include_pad:
        return jnp.full_like(y, math.prod(windows.size))  # (2)
    inside = take_windows(jnp.ones((1, *lengths, 1), y.dtype), windows, 0.0)
    return jnp.broadcast_to(jnp.sum(inside, axis=0), y.shape)  # (2)
