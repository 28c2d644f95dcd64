"""Other shapes: a backward may be right at one batch size and wrong at the next.

Axes that have one length in several leaves mostly belong together, so a length is cut
everywhere at once: to 1, where broadcasting hides a missing sum, and all lengths at
once by one, where what was written for half of an even length shows.
Axes of length 1 are grown to 3, where a factor 1/N that is missing shows. Where a leaf
is square, transposing goes unseen; then the axes of that length are cut in every
combination until the forward accepts one that makes the leaf oblong.

A cut counts only if the forward runs at it and returns finite floats. A backward that
raises there is noted and not accused: it fails aloud. Nor is one that has its size
written into it, as range(3) or 2/15: it is right as far as it was written to go. So
each cut comes with a control, another size of the same axes at which a backward that
reads its sizes from its arguments is still right, whatever its mistake at the cut: all
axes of that length shortened by one, or by one more. Axes of length 1 need none: what
fails where they have grown was never divided by 1.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations, islice

import jax
import numpy as np

from reference.verifier.problem import Problem, flatten, is_inexact, is_key

Axis = tuple[int, int]  # The leaf's place among all leaves, and the axis.


@dataclass(frozen=True)
class Cut:
    """Another problem that the forward accepts, and its control.

    Attributes:
        name: What was cut.
        problem: The problem at the new shapes.
        control: Makes the one at which the backward must be right for a failure to
            count; None where the forward accepts none.
        grown: Axes of length 1 have grown, and no control is needed.
    """

    name: str
    problem: Problem
    control: Callable[[], Problem | None]
    grown: bool = False


def cuts(problem: Problem) -> Iterator[Cut]:
    """One cut that grows axes of length 1, one of all axes, and two more."""
    shorter = shortened(problem)
    if shorter is not None:
        yield Cut("every axis shortened by one", shorter, partial(shortened, shorter))
    for found, most in ((growths, 1), (candidates, 2)):
        tried = (made(problem, *how) for how in found(problem))
        yield from islice(filter(None, tried), most)


def made(problem: Problem, name: str, axes: list[Axis], length: int) -> Cut | None:
    """The cut, or None where the forward refuses it."""
    i, k = axes[0]
    n = problem.leaves[i].shape[k]
    other = cut(problem, axes, length)
    if other is None:
        return None
    return Cut(name, other, partial(control_of, problem, n), grown=length > n)


def control_of(problem: Problem, n: int) -> Problem | None:
    """All axes of length n shortened by one, if that is not 1."""
    return cut(problem, axes_by_length(problem)[n], n - 1) if n > 2 else None


def shortened(problem: Problem) -> Problem | None:
    """The problem with every length above 2 shortened by one, where that is allowed."""
    found = None
    for n in sorted(axes_by_length(problem)):
        axes = axes_by_length(found or problem).get(n, []) if n > 2 else []
        smaller = cut(found or problem, axes, n - 1) if axes else None
        found = smaller or found
    return found


def candidates(problem: Problem) -> Iterator[tuple[str, list[Axis], int]]:
    """Which axes to cut to which length, the most telling first."""
    by_length = axes_by_length(problem)
    for n in squares(problem):
        axes = by_length[n]
        for size in range(1, min(len(axes), 5)):
            for some in combinations(axes[:6], size):
                yield f"one side of the {n} by {n} leaves cut", list(some), n - 1
    for n in leading_lengths(problem):
        yield f"axes of length {n} cut to 1", by_length[n], 1


def growths(problem: Problem) -> Iterator[tuple[str, list[Axis], int]]:
    """Which axes of length 1 to grow, as many of them as the forward accepts."""
    ones = [
        (i, k)
        for i, v in enumerate(problem.leaves)
        for k, n in enumerate(() if is_key(v) else v.shape)
        if n == 1
    ]
    for size in range(len(ones), 0, -1) if len(ones) <= 4 else (len(ones),):
        for some in combinations(ones, size):
            yield "axes of length 1 grown to 3", list(some), 3


def axes_by_length(problem: Problem) -> dict[int, list[Axis]]:
    """The axes of each length above 1."""
    found: dict[int, list[Axis]] = {}
    for i, v in enumerate(problem.leaves):
        for axis, n in enumerate(() if is_key(v) else v.shape):
            if n > 1:
                found.setdefault(n, []).append((i, axis))
    return found


def squares(problem: Problem) -> list[int]:
    """Lengths that some float leaf has on two axes."""
    found = {}
    for v in problem.live:
        for n in v.shape:
            if n > 2 and v.shape.count(n) > 1:
                found[n] = None
    return list(found)


def leading_lengths(problem: Problem) -> list[int]:
    """Lengths of first axes, then of last ones, then the rest."""
    shapes = [v.shape for v in problem.live if v.ndim]
    order = [s[0] for s in shapes] + [s[-1] for s in shapes]
    order += [n for s in shapes for n in s]
    return list(dict.fromkeys(n for n in order if n > 1))


def cut(problem: Problem, axes: list[Axis], length: int) -> Problem | None:
    """The problem with some axes cut, or None where the forward refuses it."""
    by_leaf: dict[int, list[int]] = {}
    for i, axis in axes:
        by_leaf.setdefault(i, []).append(axis)
    n = problem.leaves[axes[0][0]].shape[axes[0][1]]
    leaves = [
        shorter(v, by_leaf.get(i, []), n, length) for i, v in enumerate(problem.leaves)
    ]
    args = jax.tree.unflatten(problem.shape.treedef, leaves)
    subject = replace(problem.subject, args=args)
    try:
        y = jax.eval_shape(subject.forward, *args)[0]
        if subject.primal is not None:
            jax.eval_shape(subject.primal, *args)
    except Exception:  # The forward's own refusal, in whatever way it refuses.
        return None
    return replace(flatten(subject, y), by_columns=problem.by_columns)


def shorter(v, axes: list[int], n: int, length: int):
    """A leaf with some axes cut or grown; indices into what was cut stay within."""
    if is_key(v):
        return v
    if length > n:
        for axis in axes:
            v = grown(v, axis, length)
        return v
    v = v[tuple(slice(length if k in axes else None) for k in range(v.ndim))]
    if is_inexact(v.dtype) or v.dtype == bool or v.size == 0:
        return v
    return np.where((v >= length) & (v < n), v % length, v).astype(v.dtype)


def grown(v: np.ndarray, axis: int, length: int) -> np.ndarray:
    """An axis of length 1 repeated; floats times 1, 2, ... so that no row is equal."""
    repeated = np.repeat(v, length, axis)
    if not is_inexact(v.dtype):
        return repeated
    steps = np.arange(1, length + 1) / 2
    shape = [length if k == axis else 1 for k in range(v.ndim)]
    return (repeated * steps.reshape(shape)).astype(v.dtype)
