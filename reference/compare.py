"""Two arrays that should be one: errors in noise units, entry by entry.

    (1)  d_j = |H_j - V_j|
    (2)  n_j = max(s_j, rms(s), 4u |V_j|)                        the noise of entry j
    (3)  error = max_j d_j / n_j                                 in noise units

A leaf passes at 64 units. rms(s) over the leaf lets an entry whose own noise happens to
vanish pass with the noise of its neighbours. That alone would leave a small entry next
to large ones unchecked, so there is a second limit, on the entry's own noise:

    (4)  d_j > 4096 max(s_j, 4u |V_j|)  and  d_j > 1e-6 |V_j|

An entry at which one rounding of the input moves V by more than 1e-8 of its size sits
on a kink or is hopelessly conditioned: its s_j would excuse anything, so it is
replaced by what the cotangent's rounding alone would do. NaN is never equal to NaN, and
shapes never broadcast.
"""

from dataclasses import dataclass

import numpy as np

from reference.verifier.replay import UNIT

LIMIT = 64.0
STRICT = 4096.0


@dataclass(frozen=True)
class Comparison:
    """How far a leaf of H is from V.

    Attributes:
        units: (3), the worst error in noise units; inf where H is not finite and V is.
        relative: That entry's error relative to max(|V_j|, |H_j|).
        index: That entry.
        hand: H there.
        truth: V there.
        visible: The smallest relative error that this comparison can see, in the median
            entry: 64 n_j / |V_j|.
        visible_worst: The same in the worst entry that stands out of its noise.
        exercised: Share of the entries whose truth stands out of its noise.
        scale: rms(V), finite entries only.
        blind: Number of entries that cannot be judged, because V is not finite there.
        passes: Neither limit is exceeded.
    """

    units: float
    relative: float
    index: tuple[int, ...]
    hand: float | complex
    truth: float | complex
    visible: float
    visible_worst: float
    exercised: float
    scale: float
    blind: int
    passes: bool


def compare(
    hand: np.ndarray, truth: np.ndarray, noise: np.ndarray, *, pooled_only: bool = False
) -> Comparison:
    """(1) to (4) for one leaf.

    Args:
        hand: H, float64 or complex128.
        truth: V, of the same shape.
        noise: s, finite; see `steady`.
        pooled_only: Leave out (4): at points far from the given one.
    """
    if hand.shape != truth.shape:
        raise ValueError(
            f"compare: hand must have truth's shape {truth.shape}, got {hand.shape}"
        )
    if truth.size == 0:
        return Comparison(0.0, 0.0, (), 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0, True)
    with np.errstate(all="ignore"):
        sees = np.isfinite(truth)
        agree = hand == truth
        d = np.where(agree | ~sees, 0.0, np.abs(hand - truth))  # (1)
        d = np.where(np.isfinite(d), d, np.inf)
        size = np.where(sees, np.abs(truth), 0.0)
        floor = np.maximum(noise, 4 * UNIT * size)
        n = np.maximum(floor, rms(noise))  # (2)
        units = np.where(d > 0, d / n, 0.0)  # (3)
        relative = d / np.maximum(size, np.abs(np.where(sees, hand, 0)))
        strict = (d > STRICT * floor) & (d > 1e-6 * size)  # (4)
    worst = int(np.argmax(np.where(strict.any() & strict, units + 1e300, units)))
    if pooled_only:
        worst = int(np.argmax(units))
    index = np.unravel_index(worst, truth.shape)
    passes = bool(units.max() <= LIMIT and (pooled_only or not strict.any()))
    live = size > LIMIT * n
    visible = LIMIT * n[live] / size[live]
    return Comparison(
        units=float(units.max()),
        relative=float(np.nan_to_num(relative[index], nan=1.0, posinf=np.inf)),
        index=tuple(int(i) for i in index),
        hand=hand[index].item(),
        truth=truth[index].item(),
        visible=float(np.median(visible)) if live.any() else np.inf,
        visible_worst=float(visible.max()) if live.any() else np.inf,
        exercised=float(live.mean()),
        scale=rms(size),
        blind=int((~sees & ~(agree & np.isinf(truth))).sum()),
        passes=passes,
    )


def steady(
    noise: np.ndarray, truth: np.ndarray, *, jump: float = 1e-8, scale: float = 0.0
) -> np.ndarray:
    """The noise, without the jumps that a kink puts into it.

    Args:
        noise: s.
        truth: V.
        jump: How much of V's size may be noise.
        scale: What V's size is elsewhere; the larger of the two counts.

    Returns:
        `noise`, with 4u times the size where it is a jump.
    """
    size = np.where(np.isfinite(truth), np.abs(truth), 0.0)
    typical = np.maximum(size, max(rms(size), scale))
    return np.asarray(np.where(noise > jump * typical, 4 * UNIT * typical, noise))


def rms(v: np.ndarray) -> float:
    """Root mean square; 0 for an empty array."""
    if v.size == 0:
        return 0.0
    top = float(np.abs(v).max())
    if top == 0 or not np.isfinite(top):
        return top
    return top * float(np.sqrt(np.mean((np.abs(v) / top) ** 2)))
