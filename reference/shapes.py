"""Other shapes: a backward may be right at one batch size and wrong at the next.

Axes that have one length in several leaves mostly belong together, so a length is cut
everywhere at once: to 1, where broadcasting hides a missing sum, and all lengths at
once by one, where what was written for half of an even length shows.
Axes of length 1 are grown to 3, where a factor 1/N that is missing shows. Where a leaf
is square, transposing goes unseen; then the axes of that length are cut in every
combination until the forward accepts one that makes the leaf oblong.

A cut counts only if the forward runs at it and returns finite floats. A backward that
raises there is noted and not accused: it fails aloud.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations

import jax
import numpy as np

from reference.problem import Problem, flatten, is_inexact, is_key

Axis = tuple[int, int]  # The leaf's place among all leaves, and the axis.


def cuts(problem: Problem, most: int = 2) -> Iterator[tuple[str, Problem]]:
    """At most `most` + 1 other problems that the forward accepts, with what was cut."""
    shorter = shortened(problem)
    if shorter is not None:
        yield "every axis shortened by one", shorter
    count = 0
    for name, axes, length in candidates(problem):
        smaller = cut(problem, axes, length)
        if smaller is not None:
            yield name, smaller
            count += 1
        if count == most:
            return


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
    ones = [
        (i, k)
        for i, v in enumerate(problem.leaves)
        for k, n in enumerate(() if is_key(v) else v.shape)
        if n == 1
    ]
    for size in range(len(ones), 0, -1) if len(ones) <= 4 else (len(ones),):
        for some in combinations(ones, size):
            yield "axes of length 1 grown to 3", list(some), 3
    for n in leading_lengths(problem):
        yield f"axes of length {n} cut to 1", by_length[n], 1


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
