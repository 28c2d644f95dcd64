"""Where a function has no derivative: what kind of point that is, and how to leave it.

Let s(h) be the slope of a scalar φ at h, for h on either side of the point 0. Split it
into its odd and its even part, and take of the even part what one decade changes:

    (1)  o(h) = |s(h) - s(-h)|
    (2)  e(h) = |s(h) + s(-h) - s(h/10) - s(-h/10)| / 2
    (3)  v(h) = |φ(h) - φ(-h)|

On h_k = 10^-k each behaves like h^p, and the exponents tell what the point is:

    φ near 0       o       e       v
    smooth         1       2       1      o = 2 h |φ''|, e = h² |φ'''| / 2
    |t|            0       0*      -      a kink: s(0+) ≠ s(0-); * zero
    |t|^q          q - 1   -       -      1 < q < 2: Hölder; q < 1: singular
    sgn(t) |t|^q   -       q - 1   q      even slope: o = 0, and (1) alone sees nothing
    t log |t|      -       0       -      singular: the slope grows without end
    a jump         -       -       0      discontinuous, whatever the slopes say

    (4)  p = slope of log10 of the finest three of them against log10 h

p ≥ 0.9 or silence is smooth, down to 0.15 Hölder, down to -0.15 a kink for o and
singular for e (a slope that changes by as much in every decade has no limit), below
that singular. Silence is a value below the floor

    (5)  o(h), e(h) ≤ 64 u |s| + noise of s,  v(h) ≤ 64 u |φ|

(|s| the largest slope met so far on the way in, because a slope that falls with h is
most often a difference of larger ones, as of exp(t) - t; at most 10⁶ times the median),
and where that noise grows as h falls (slopes from values do: u|φ|/h), the decades end
where h + floor/|s| is least: below it a curvature of 1 would be drowned.

A kink not at 0 but at a distance δ looks like one for h > δ, and like a smooth point
for h < δ. Its mark is a fall out of a plateau:

    (6)  value(h_k) > 1000 value(h_{k+1}), after a decade that fell by less than 30

A smooth function falls by 10, 100 (or, with low derivatives zero, by more, but then in
every decade). So δ ≤ h_k, which is the distance reported, and 1e-3 is the farthest that
can be told from mere curvature.

Which gradients are valid at such a point: `reference.verifier.subgradient`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from reference.verifier.subgradient import Subgradient, subgradient_verdict

__all__ = [
    "Kink",
    "Subgradient",
    "dodge",
    "gap_exponent",
    "secants",
    "subgradient_verdict",
]

UNIT = 2.0**-53
FINEST = 12


@dataclass(frozen=True)
class Kink:
    """What kind of point a function has at x along d.

    Attributes:
        kind: "smooth", "kink", "hoelder", "singular", "near kink" or "discontinuous".
        exponent: The p that decided; nan where the point is silent on all counts.
        distance: An upper bound; 0 where the kink is at the point or there is none.
    """

    kind: str
    exponent: float
    distance: float


def gap_exponent(
    slope_at: Callable[[float], float],
    value_at: Callable[[float], float] | None = None,
    *,
    noise_at: Callable[[float], float] = lambda h: 0.0,
    scale: float = 1.0,
) -> Kink:
    """Classify a point by equations (1) to (6), from 24 slopes and as many values.

    Args:
        slope_at: s(h), the derivative along d at x + h d, h of either sign, never 0.
        value_at: φ(h); without it a jump between two flat pieces is not seen.
        noise_at: The absolute error of s at h, beyond 64 units of rounding.
        scale: The unit of h: the size of x in units of d where that is far from 1.

    Returns:
        The class, of the worst count; "near kink" only where all of them end smooth.

    Example:
        >>> gap_exponent(lambda h: 1.0 if h > 0 else -1.0).kind
        'kink'
        >>> gap_exponent(lambda h: 1.0 if h > 3e-6 else 0.0)
        Kink(kind='near kink', exponent=nan, distance=...e-06)
    """
    h = scale * 10.0 ** -np.arange(1.0, FINEST + 1)
    right, left = _sample(slope_at, h), _sample(slope_at, -h)
    counts = []
    if value_at is not None:
        plus, minus = _sample(value_at, h), _sample(value_at, -h)
        rounding = 64 * UNIT * np.maximum(abs(plus), abs(minus))
        counts.append(_count(abs(plus - minus), rounding, h))  # (3)
        right = np.where(np.isfinite(plus), right, np.nan)
        left = np.where(np.isfinite(minus), left, np.nan)
    size = np.maximum(abs(right), abs(left))
    floor = 64 * UNIT * _running_size(size) + _sample(noise_at, h)  # (5)
    used = slice(0, _useful(h / scale, floor, size))
    odd = abs(right - left)  # (1)
    even = abs(np.diff(right + left)) / 2  # (2)
    return _judge(
        _count(odd[used], floor[used], h[used]),
        _count(even[used], np.fmax(floor[:-1], floor[1:])[used], h[:-1][used]),
        *counts,
    )


def secants(
    value_at: Callable[[float], float], *, scale: float = 1.0
) -> tuple[Callable[[float], float], Callable[[float], float]]:
    """slope_at and noise_at of a black box, from its values on one side of 0.

        (7)  s(h) = [φ(2h) - φ(h)] / h = φ'(3h/2) + O(h²)

    which never looks across 0, so that the classes above stay what they are. Its noise
    is 8 units of rounding, of φ and of x, over h.

    Args:
        value_at: φ(h).
        scale: As in `gap_exponent`: what x is rounded to u times.

    Example:
        >>> slope_at, noise_at = secants(abs)
        >>> gap_exponent(slope_at, abs, noise_at=noise_at).kind
        'kink'
    """

    def slope_at(h: float) -> float:
        return (value_at(2 * h) - value_at(h)) / h  # (7)

    def noise_at(h: float) -> float:
        size = max(abs(value_at(2 * h)), abs(value_at(h)))
        return 8 * UNIT * (size + scale * abs(slope_at(h))) / abs(h)

    return slope_at, noise_at


def dodge(
    x: Float[np.ndarray, " n"],
    is_kinky: Callable[[np.ndarray], np.ndarray],
    *,
    rng: np.random.Generator,
    distance: float = 0.0,
) -> Float[np.ndarray, " n"] | None:
    """A point beside x where a full check can be made: no coordinate is at a kink.

    Args:
        x: The point.
        is_kinky: Which coordinates of a point are at or near a kink: a mask like x.
        rng: Draws sides and lengths of the moves.
        distance: To the kink where it is not at x, as `gap_exponent` gives it.

    Returns:
        x with the kinky coordinates, and no others, moved by one to two times
        max(10 distance, 1e-3 of their size or of the usual size in x); None after 16
        tries, where a function has kinks everywhere.

    Example:
        >>> x = np.array([0.0, 0.5])
        >>> moved = dodge(x, lambda x: abs(x) < 1e-6, rng=np.random.default_rng(7))
        >>> bool(moved[0] != 0), float(moved[1])
        (True, 0.5)
    """
    size = np.maximum(abs(x), np.sqrt(np.mean(x**2))) if x.any() else 1.0
    step = np.maximum(10 * distance, 1e-3 * size)
    moved, kinky = x, is_kinky(x)
    for _ in range(16):
        if not kinky.any():
            return moved
        by = step * rng.uniform(1, 2, x.shape) * rng.choice([-1.0, 1.0], x.shape)
        moved = np.where(kinky, x + by, moved)
        kinky = is_kinky(moved)
    return None if kinky.any() else moved


class _Count(NamedTuple):
    """One of (1) to (3): its exponent at the point, and the distance of (6)."""

    exponent: float
    distance: float


SILENT = _Count(np.nan, 0.0)


def _count(values: np.ndarray, floor: np.ndarray, h: np.ndarray) -> _Count:
    """Equations (4) to (6) on the finest run of finite values."""
    wild = np.flatnonzero(~np.isfinite(values + floor))
    run = slice(wild[-1] + 1 if wild.size else 0, None)
    values, floor, h = values[run], floor[run], h[run]
    if h.size < 2:
        return _Count(-np.inf, 0.0)
    level = np.maximum(values, np.maximum(floor, 1e-300))
    fall = level[:-1] / level[1:]
    falls = np.flatnonzero((fall[1:] > 1e3) & (fall[:-1] < 30)) + 1  # (6)
    start, distance = (falls[-1] + 1, h[falls[-1]]) if falls.size else (0, 0.0)
    audible = np.where(values > floor, values, 0.0)  # (5)
    return _Count(_exponent(audible[start:], h[start:]), float(distance))


def _exponent(values: np.ndarray, h: np.ndarray) -> float:
    """Equation (4) on the finest values, as far as all are above the floor."""
    values, h = values[-3:], h[-3:]
    silent = np.flatnonzero(values == 0)
    run = slice(silent[-1] + 1 if silent.size else 0, None)
    if values[run].size < 2:
        return np.nan
    return float(np.polyfit(np.log10(h[run]), np.log10(values[run]), 1)[0])  # (4)


def _judge(odd: _Count, even: _Count, value: _Count = SILENT) -> Kink:
    """The worst class of the three."""
    cases = [
        ("singular", odd.exponent, -0.15),
        ("singular", even.exponent, 0.15),
        ("discontinuous", value.exponent, 0.15),
        ("kink", odd.exponent, 0.15),
        ("hoelder", odd.exponent, 0.9),
        ("hoelder", even.exponent, 0.9),
    ]
    for kind, exponent, below in cases:
        if exponent < below:
            return Kink(kind, exponent, 0.0)
    distances = [c.distance for c in (odd, even, value) if c.distance]
    kind = "near kink" if distances else "smooth"
    return Kink(kind, odd.exponent, min(distances, default=0.0))


def _sample(function: Callable[[float], float], h: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        return np.array([float(function(t)) for t in map(float, h)])


def _running_size(size: np.ndarray) -> np.ndarray:
    """The largest slope so far, which may cancel later, short of an explosion."""
    finite = size[np.isfinite(size)]
    cap = 1e6 * np.median(finite) if finite.size else 0.0
    return np.fmax.accumulate(np.minimum(size, cap))


def _useful(h: np.ndarray, floor: np.ndarray, size: np.ndarray) -> int:
    """How many decades to use: to where h + floor/|s| is least."""
    largest = size[np.isfinite(size)].max(initial=0.0)
    cost = h + floor / largest if largest else h
    finite = np.flatnonzero(np.isfinite(cost))
    if not finite.size:
        return len(h)
    return int(max(np.nanargmin(cost) + 1, finite[0] + 4))
