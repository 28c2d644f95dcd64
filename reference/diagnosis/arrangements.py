"""Everything is there, elsewhere; or slices along one axis are lost.

axis      hand is truth with its axes permuted, reversed, rolled, read in another
          order, its slices along one axis permuted
rows      hand is truth but for slices along one axis, which are 0
"""

from collections.abc import Callable, Iterator
from itertools import permutations

import numpy as np

from reference.diagnosis.hypothesis import Hypothesis
from reference.diagnosis.near import near
from reference.diagnosis.scene import Scene, Stage
from reference.verifier.problem import Values


def axes(stage: Stage, i: int) -> Iterator[Hypothesis]:
    """Everything is there, elsewhere."""
    home = stage.home
    hand, truth = home.hand[i], home.truth[i]
    if truth.ndim == 0 or not same_numbers(hand, truth):
        return
    for what, sentence, move in moves(truth):
        for sign in (1, -1):
            if near(hand, sign * move(truth)):
                yield Hypothesis(
                    f"axis: {what}",
                    "C6",
                    f"is the truth {sentence}" + (" and negated" if sign < 0 else ""),
                    lambda s, m=move, g=sign: (s.hand[i], g * m(s.truth[i])),
                )


def same_numbers(a: Values, b: Values) -> bool:
    """Whether two arrays hold the same absolute values in some order."""
    return near(np.sort(np.abs(a), axis=None), np.sort(np.abs(b), axis=None))


def moves(truth: np.ndarray) -> Iterator[tuple[str, str, Callable]]:
    """Permutations of entries that people make, each of the same shape."""
    shape, n = truth.shape, truth.ndim
    for p in list(permutations(range(n)))[1:] if n <= 5 else ():
        if tuple(shape[k] for k in p) == shape:
            text = "transposed" if n == 2 else f"with axes permuted to {p}"
            yield f"transposed {p}", text, lambda v, p=p: v.transpose(p)
    for k in range(n):
        yield (
            f"flipped axis {k}",
            f"reversed along axis {k}",
            lambda v, k=k: np.flip(v, k),
        )
    for k in range(1, n):
        both = tuple(range(k + 1)) if k == 1 else tuple(range(k - 1, k + 1))
        yield (
            f"flipped axes {both}",
            f"reversed along axes {both}",
            lambda v, b=both: np.flip(v, b),
        )
    for k in range(n):
        for by in (1, -1, 2, -2, shape[k] // 2):
            yield (
                f"rolled axis {k} by {by}",
                f"shifted by {by} along axis {k}",
                lambda v, k=k, by=by: np.roll(v, by, k),
            )
    for p in list(permutations(range(n)))[1:] if n <= 4 else ():
        yield (
            f"reshaped {p}",
            f"with its entries read in the axis order {p}: a reshape for a transpose",
            lambda v, p=p: v.transpose(p).reshape(v.shape),
        )
    for k in range(n):
        for parts in (2, 3, 4):
            if shape[k] % parts == 0 and shape[k] > parts:
                for order in list(permutations(range(parts)))[1:]:
                    yield (
                        f"blocks axis {k} {order}",
                        f"with its {parts} blocks along axis {k} in the order {order}",
                        lambda v, k=k, o=order: np.concatenate(
                            [np.split(v, len(o), k)[b] for b in o], k
                        ),
                    )


def rows(stage: Stage, i: int) -> Iterator[Hypothesis]:
    """Slices along one axis that are zero and should not be."""
    hand, truth = stage.home.hand[i], stage.home.truth[i]
    for axis in range(truth.ndim):
        lost = zero_slices(hand, truth, axis)
        if lost and len(lost) < truth.shape[axis] and not near(hand, truth):
            text = described(lost, truth.shape[axis])
            yield Hypothesis(
                f"zero: rows axis {axis} {text}",
                "C13" if lost != [0] else "C8",
                f"is zero at {text} of axis {axis} and right elsewhere",
                lambda s, k=axis: (s.hand[i], without(s, i, k)),
            )


def zero_slices(hand: np.ndarray, truth: np.ndarray, axis: int) -> list[int]:
    """Indices along an axis where hand is 0 and truth is not; [] if others differ."""
    h, t = (np.moveaxis(v, axis, 0).reshape(v.shape[axis], -1) for v in (hand, truth))
    lost = [k for k in range(len(t)) if t[k].any() and not h[k].any()]
    kept = [k for k in range(len(t)) if k not in lost]
    return lost if lost and near(h[kept], t[kept]) else []


def without(scene: Scene, i: int, axis: int) -> np.ndarray:
    """The truth with the slices zero that are zero in the hand."""
    lost = zero_slices(scene.hand[i], scene.truth[i], axis)
    planted = np.moveaxis(scene.truth[i].copy(), axis, 0)
    planted[lost] = 0
    return np.moveaxis(planted, 0, axis)


def described(lost: list[int], n: int) -> str:
    """Indices in words."""
    if lost == [n - 1]:
        return "the last index"
    if lost == list(range(lost[0], n)):
        return f"every index from {lost[0]} on"
    return ("index " if len(lost) == 1 else "indices ") + ", ".join(map(str, lost))
