"""Max pooling: the largest entry of every window, channel by channel.

x is (batch, *spatial, channels). b counts examples, c channels; u places of x, p of y,
k of a window, each a number on one spatial axis and a tuple on several. s is the
stride, l the padding before x; xpad is x with -inf around.

    (1)  v_kbpc = xpad_{b, s p + k, c}
    (2)  winner_bpc = argmax_k v_kbpc                y_bpc = v_{winner_bpc, bpc}

    (3)  dv_kbpc = dy_bpc if k = winner_bpc else 0
    (4)  dx_buc  = Σ_{k, p: s p + k - l = u} dv_kbpc

(3): near x only the winner moves the maximum, and by as much as it moves itself. (4):
(1) copies x_u into every window that covers it, and a copy forward is a sum backward:
where windows overlap, an entry that wins several of them gets the sum of their dy.
Ties: the first of the equal entries in row-major order of the window gets all of dy, as
in torch and in autodiff of lax.reduce_window and flax.linen.max_pool; autodiff of
jnp.max over the window shares it among them.
NaN in a window is its maximum and gets dy. In a window of -inf alone, padding may be
the first, and dy is then lost.
Invariant: Σ_u dx = Σ_p dy, since each dy goes to one entry of x.
Padding must be smaller than the window, so that every window holds an entry of x.
Precision: 16-bit dy is summed in float32 and rounded once.
"""

import math
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

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


class MaxPoolResiduals(NamedTuple):
    """What `backward` needs: four bytes an entry of y, and the lengths of x."""

    winner: Int[Array, "b *m c"]
    lengths: Static


def max_pool(
    window: tuple[int, ...],
    *,
    stride: int | tuple[int, ...] | None = None,
    padding: str | int | Sequence[tuple[int, int]] = "VALID",
) -> Rule[tuple, MaxPoolResiduals]:
    """Take the maximum of every window, over as many spatial axes as it has numbers.

    Args:
        window: Size on each spatial axis: (2,) or (3, 3).
        stride: Distance between windows; one number for all axes, or one each. The
            window itself where None, so that windows do not overlap.
        padding: "SAME", "VALID", a number on every side, or a pair (before, after) for
            each axis; smaller than the window.

    Returns:
        A rule on x of shape (batch, *spatial, channels). Its residual is the winner's
        place, a 32-bit integer an entry of y; x may be dropped.

    Raises:
        ValueError: a number is out of its range, or `forward` gets x of another rank or
            shorter, padded, than the window.

    Example:
        >>> import jax
        >>> x = jnp.array([1.0, 4.0, 2.0, 3.0])[None, :, None]
        >>> rule = max_pool((3,), stride=1)
        >>> y, residuals = rule.forward((), x)
        >>> rule.backward(residuals, jnp.ones((1, 2, 1)))[1].ravel()
        Array([0., 2., 0., 0.], dtype=float32)
    """
    windows = make_windows(
        "max_pool", window, window if stride is None else stride, padding
    )
    return Rule(
        name="max_pool",
        init=no_params,
        forward=partial(forward, windows=windows),
        backward=partial(backward, windows=windows),
    )


def forward(
    params: tuple, x: Float[Array, "b *n c"], *, windows: Windows
) -> tuple[Float[Array, "b *m c"], MaxPoolResiduals]:
    """Equations (1) and (2)."""
    del params
    check_pool_fits("max_pool", windows, x)
    v = take_windows(x, windows, -jnp.inf)  # (1)
    winner = jnp.argmax(v, axis=0, keepdims=True).astype(jnp.int32)  # (2)
    y = jnp.take_along_axis(v, winner, axis=0)  # (2)
    return y[0], MaxPoolResiduals(winner[0], Static(x.shape[1:-1]))


def backward(
    residuals: MaxPoolResiduals, dy: Float[Array, "b *m c"], *, windows: Windows
) -> tuple[tuple, Float[Array, "b *n c"]]:
    """Equations (3) and (4)."""
    winner, lengths = residuals
    places = range(math.prod(windows.size))
    dv = [jnp.where(winner == k, wide(dy), 0) for k in places]  # (3)
    return (), add_windows(dv, windows, lengths.value).astype(dy.dtype)  # (4)
