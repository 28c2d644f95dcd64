"""Windows that slide over the spatial axes of x, for convolution and pooling.

x has shape (batch, *spatial, channels). The equations are written for one spatial axis;
on several they hold for each axis independently, an index standing for a tuple of them.
n is the length of x, w the size of the window, s the stride, d the dilation (distance
between neighbours inside a window), l and h the padding before and after x; p counts
the m windows, k the places in a window.

    (1)  span = d (w - 1) + 1
    (2)  m    = floor((n + l + h - span) / s) + 1
    (3)  SAME:  m = ceil(n / s),  l + h = max(s (m - 1) + span - n, 0),  l <= h <= l + 1
    (4)  v_kp = xpad_{s p + d k}         xpad_q = x_{q-l} if 0 <= q - l < n, else fill

    (5)  dx_u = Σ_{k, p: s p + d k - l = u} dv_kp

(2): the last window begins at s (m - 1) and must end before n + l + h. (3): the
smallest padding that gives (2) that m; the odd one goes after x, as in TensorFlow and
JAX. VALID is l = h = 0. (5): x_u is copied to every place (k, p) with s p + d k = u +
l, and a copy forward is a sum backward. Windows overlap where s < span: then several p
reach one u, and their cotangents add up. Where s > span, some u are reached by none and
get 0.

(5) is computed as Σ_k of dv_k spread out to distance s (entry p at s p) and shifted by
d k - l, cut to the n entries of x. (4) and (5) are one operation for each place k, so
the time to compile grows with the window: they are meant for windows of tens of places.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from purefw.shared.sizes import check_sizes

Pads = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Windows:
    """The geometry, one number a spatial axis.

    Attributes:
        size: w.
        stride: s.
        dilation: d.
        padding: "SAME", "VALID" or a pair (l, h) for each axis.
    """

    size: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: str | Pads

    @property
    def span(self) -> tuple[int, ...]:
        """Equation (1)."""
        return tuple(d * (w - 1) + 1 for w, d in zip(self.size, self.dilation))  # (1)

    def pads(self, lengths: tuple[int, ...]) -> Pads:
        """(l, h) of each axis of x; equation (3)."""
        if self.padding == "VALID":
            return ((0, 0),) * len(lengths)
        if not isinstance(self.padding, str):
            return self.padding
        totals = [
            max(s * (math.ceil(n / s) - 1) + span - n, 0)  # (3)
            for n, s, span in zip(lengths, self.stride, self.span)
        ]
        return tuple((t // 2, t - t // 2) for t in totals)  # (3)

    def counts(self, lengths: tuple[int, ...]) -> tuple[int, ...]:
        """Equation (2)."""
        return tuple(
            (n + low + high - span) // s + 1  # (2)
            for n, (low, high), span, s in zip(
                lengths, self.pads(lengths), self.span, self.stride
            )
        )


def make_windows(
    who: str,
    size: tuple[int, ...],
    stride: int | tuple[int, ...],
    padding: str | int | Sequence[tuple[int, int]],
    dilation: int | tuple[int, ...] = 1,
) -> Windows:
    """Checked windows; a single number stands for all axes.

    Raises:
        ValueError: a number is out of its range, or not one an axis; the message names
            `who` and the argument.

    Example:
        >>> make_windows("pool", (3, 3), 2, "SAME").counts((7, 8))
        (4, 4)
    """
    size = per_axis(who, "window", size, len(size))
    return Windows(
        size,
        per_axis(who, "stride", stride, len(size)),
        per_axis(who, "dilation", dilation, len(size)),
        padding_pairs(who, padding, len(size)),
    )


def per_axis(
    who: str, name: str, value: int | tuple[int, ...], axes: int
) -> tuple[int, ...]:
    """One positive integer for each of `axes` spatial axes."""
    values = (value,) * axes if isinstance(value, int) else tuple(value)
    if not values or len(values) != axes or min(values) < 1:
        raise ValueError(
            f"{who}: {name} must be positive, one number a spatial axis, got {value}"
        )
    return values


def padding_pairs(
    who: str, padding: str | int | Sequence[tuple[int, int]], axes: int
) -> str | Pads:
    """A name as it is; numbers as one pair (l, h) a spatial axis."""
    if isinstance(padding, str) and padding in ("SAME", "VALID"):
        return padding
    if isinstance(padding, int):
        padding = ((padding, padding),) * axes
    is_name = isinstance(padding, str)
    if is_name or len(padding) != axes or min(map(min, padding)) < 0:
        raise ValueError(
            f"{who}: padding must be 'SAME', 'VALID', a number >= 0 or a pair of them "
            f"for each spatial axis, got {padding!r}"
        )
    return tuple((low, high) for low, high in padding)


def check_channels(who: str, n_in: int, n_out: int, groups: int) -> None:
    """Raise ValueError unless all are positive and groups divide both channels."""
    check_sizes(who, n_in=n_in, n_out=n_out, groups=groups)
    if n_in % groups or n_out % groups:
        raise ValueError(
            f"{who}: groups must divide the channels {n_in} and {n_out}, got {groups}"
        )


def check_windows_fit(
    who: str, windows: Windows, x: Array, channels: int | None = None
):
    """Raise ValueError unless x is (batch, *spatial, channels) and a window fits in."""
    axes = len(windows.size)
    if x.ndim != axes + 2 or channels not in (None, x.shape[-1]):
        raise ValueError(
            f"{who}: x must have shape (batch, {axes} spatial axes, "
            f"{channels or 'channels'}), got {x.shape}"
        )
    lengths = x.shape[1:-1]
    padded = tuple(n + sum(pair) for n, pair in zip(lengths, windows.pads(lengths)))
    if any(n < span for n, span in zip(padded, windows.span)):
        raise ValueError(
            f"{who}: x, padded, must be at least as long as the window "
            f"{windows.span}, got {padded}"
        )


def check_pool_fits(who: str, windows: Windows, x: Array):
    """As `check_windows_fit`; and ValueError where a window may hold padding alone."""
    check_windows_fit(who, windows, x)
    pads = windows.pads(x.shape[1:-1])
    if any(max(pair) >= w for pair, w in zip(pads, windows.size)):
        raise ValueError(
            f"{who}: padding must be smaller than the window {windows.size}, got {pads}"
        )


def take_windows(
    x: Float[Array, "b *n c"], windows: Windows, fill: float
) -> Float[Array, "k b *m c"]:
    """`views` in one array."""
    return jnp.stack(views(x, windows, fill))


def views(
    x: Float[Array, "b *n c"], windows: Windows, fill: float
) -> list[Float[Array, "b *m c"]]:
    """Equation (4): one array for each place k of the window, in row-major order.

    Each is cut out of x and then padded, so that XLA can read it where it is used.
    """
    axes = _axes(windows, x.shape[1:-1])
    found = []
    for offset in offsets(windows):
        inside, config = [slice(None)], [(0, 0, 0)]
        for k, (n, (low, _), s, m) in zip(offset, axes):
            first = min(max(-((k - low) // s), 0), m)  # Windows with place k in x,
            end = max(min((n - 1 + low - k) // s + 1, m), first)  # if there are any.
            start = max(s * first + k - low, 0)
            inside.append(slice(start, start + max(s * (end - first - 1) + 1, 0), s))
            config.append((first, m - end, 0))
        value = jnp.asarray(fill, x.dtype)
        found.append(lax.pad(x[tuple(inside)], value, [*config, (0, 0, 0)]))  # (4)
    return found


def add_windows(
    dv: list[Float[Array, "b *m c"]], windows: Windows, lengths: tuple[int, ...]
) -> Float[Array, "b *n c"]:
    """Equation (5): the transpose of `views` for x of these spatial lengths."""
    axes = _axes(windows, lengths)
    parts = []
    for dv_k, offset in zip(dv, offsets(windows)):
        spread = [
            (k - low, n - 1 - (s * (m - 1) + k - low), s - 1)
            for k, (n, (low, _), s, m) in zip(offset, axes)
        ]
        config = [(0, 0, 0), *spread, (0, 0, 0)]
        parts.append(lax.pad(dv_k, jnp.zeros((), dv_k.dtype), config))
    return sum(parts)  # (5)


def _axes(windows: Windows, lengths: tuple[int, ...]) -> list[tuple]:
    """n, (l, h), s and m, axis by axis."""
    return list(
        zip(lengths, windows.pads(lengths), windows.stride, windows.counts(lengths))
    )


def offsets(windows: Windows) -> list[tuple[int, ...]]:
    """d k for every place k of a window, in row-major order."""
    return list(
        product(*(range(0, n, d) for n, d in zip(windows.span, windows.dilation)))
    )


def check_has_places(who: str, x: Array):
    """Raise ValueError unless x is (batch, *spatial, channels) with a place in it."""
    if x.ndim < 3 or 0 in x.shape[1:-1]:
        raise ValueError(
            f"{who}: x must have shape (batch, at least one spatial axis, channels) "
            f"with at least one place, got {x.shape}"
        )
