"""Where to look: the given point, and others like it that hide nothing.

A term of a derivative can vanish at the given arguments: at bias 0, scale 1, batch 1,
without ties, without repeated indices. So the check moves, and moves with care, because
a rule may be right on its domain alone: a leaf that looks like a mask stays one,
probabilities stay probabilities, a symmetric matrix stays symmetric but for one point,
zeros stay zero (unless all are), signs stay. Where the forward is not finite, the last
finite point on the way there is taken.

All values are rounded to the working dtype, so that every precision sees the same.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

from reference.verifier.problem import Problem, Values, is_key

TRIES = 8  # One in 27 draws of three indices out of three is the given one.


@dataclass(frozen=True)
class Point:
    """Arguments to judge at; `kind` names the situation."""

    kind: str
    live: list[np.ndarray]
    rest: list


def nearby_points(
    problem: Problem,
    rng: np.random.Generator,
    special: list[int],
    *,
    repeats: bool,
    symmetric: bool,
) -> Iterator[Point]:
    """The situations of `MOVES`, each applied to every leaf that allows it.

    Args:
        problem: Whose arguments.
        rng: Draws the moves.
        special: Integers that the forward compares its arguments with, like the index
            that a loss ignores.
        repeats: Whether an index may occur twice; where the forward overwrites entries,
            the order of two equal indices is nobody's promise.
        symmetric: Whether the forward is defined for symmetric matrices alone.
    """
    for kind, (live_move, rest_move) in MOVES.items():
        rest_move = rest_move if repeats else "permute"
        for _ in range(TRIES):
            live = [np.asarray(live_move(v, kind_of(v), rng)) for v in problem.live]
            rest = [
                move_rest(v, rest_move, rng, problem, special) for v in problem.rest
            ]
            point = Point(kind, live, rest)
            if differs(point, problem):
                yield point
                break
    point = Point("equal rows", equal_rows(problem.live), problem.rest)
    if differs(point, problem):
        yield point
    if not symmetric and any(kind_of(v) == "symmetric" for v in problem.live):
        live = [np.asarray(lopsided(v, kind_of(v), rng)) for v in problem.live]
        yield Point("matrices not symmetric", live, problem.rest)


def differs(point: Point, problem: Problem) -> bool:
    """Whether a point is another than the given one."""
    pairs = [*zip(point.live, problem.live), *zip(point.rest, problem.rest)]
    return any(not is_key(a) and not np.array_equal(a, b) for a, b in pairs)


def kind_of(v: Values) -> str:
    """What the values of a float leaf look like."""
    x = v.astype(np.complex128 if np.iscomplexobj(v) else np.float64)
    if x.size == 0 or np.iscomplexobj(x) or not np.isfinite(x).all():
        return "fixed" if x.size == 0 else "generic"
    if x.size > 1 and np.isin(x, (0.0, 1.0)).all() and x.min() != x.max():
        return "mask"
    if is_simplex(x):
        return "simplex"
    if x.size > 1 and x.min() >= 0 and x.max() <= 1 and x.min() != x.max():
        return "unit"
    if is_symmetric(x):
        return "symmetric"
    if x.ndim and x.shape[-1] > 3 and (np.diff(x, axis=-1) > 0).all():
        return "sorted"
    return "zero" if not x.any() else "generic"


def is_simplex(x: Values) -> bool:
    """Rows of non-negative numbers that sum to one, to the last digits of 16 bits."""
    if x.ndim == 0 or x.shape[-1] < 2 or x.min() < 0:
        return False
    return bool(np.allclose(x.sum(-1), 1.0, rtol=0, atol=2e-2 * (x.max() < 1)))


def is_symmetric(x: Values) -> bool:
    """Square in the last two axes, equal to its transpose and not constant."""
    if x.ndim < 2 or x.shape[-1] != x.shape[-2] or x.shape[-1] < 2:
        return False
    return bool(x.min() != x.max() and np.allclose(x, np.swapaxes(x, -1, -2)))


def jitter(v: Values, kind: str, rng: np.random.Generator) -> Values:
    """A generic neighbour within the leaf's domain."""
    x = v.astype(np.complex128 if np.iscomplexobj(v) else np.float64)
    factor = 1 + 0.25 * rng.uniform(-1, 1, x.shape)
    if kind == "zero":
        x = 0.5 * rng.standard_normal(x.shape)
    elif kind == "mask":
        x = rng.permutation(x.ravel()).reshape(x.shape)
    elif kind == "symmetric":
        x = x * (factor + np.swapaxes(factor, -1, -2)) / 2
    elif kind == "unit":
        x = np.clip(x * factor, 0, 1)
    elif kind == "sorted":
        x = np.sort(x * factor, axis=-1)
    elif kind != "fixed":
        x = x * factor
    if kind == "simplex":
        x = x / x.sum(-1, keepdims=True)
    return np.asarray(x.astype(v.dtype))


def lopsided(v: Values, kind: str, rng: np.random.Generator) -> Values:
    """Symmetric leaves made generic."""
    return jitter(v, "generic" if kind == "symmetric" else kind, rng)


def resigned(v: Values, kind: str, rng: np.random.Generator) -> Values:
    """Generic leaves with other signs, sorted ones out of order."""
    moved = jitter(v, kind, rng)
    if kind == "sorted":
        return rng.permuted(moved, axis=-1)
    if kind not in ("generic", "unit") or np.iscomplexobj(v):
        return moved
    sign = np.asarray(rng.choice([-1, 1], v.shape))
    if v.size:
        sign.flat[rng.integers(v.size)] = -1
    return np.asarray((moved * sign).astype(v.dtype))


def scaled(factor: float, shift: float = 0.0) -> Callable:
    """Generic leaves times a factor, plus a shift; others jittered."""

    def move(v, kind, rng):
        moved = jitter(v, kind, rng)
        if kind not in ("generic", "zero", "sorted", "unit"):
            return moved
        wide = np.complex128 if np.iscomplexobj(v) else np.float64
        return in_range(moved.astype(wide) * factor + shift, v.dtype)

    return move


def in_range(x: Values, dtype: np.dtype) -> Values:
    """x in a dtype, as a whole scaled down to a quarter of its range where need be."""
    most = float(jnp.finfo(dtype).max) / 4
    size = float(np.abs(x).max(initial=0))
    return np.asarray((x * (most / size) if size > most else x).astype(dtype))


def tied(v: Values, kind: str, rng: np.random.Generator) -> Values:
    """Rounded to halves of the leaf's scale, and two neighbours equal: ties, zeros."""
    if kind not in ("generic", "zero") or np.iscomplexobj(v):
        return jitter(v, kind, rng)
    x = v.astype(np.float64)
    scale = np.abs(x).mean() or 1.0
    x = np.asarray(np.round(2 * x / scale) / 2 * scale)
    if x.ndim and x.shape[-1] > 1:
        k = rng.integers(x.shape[-1] - 1)
        x[..., k + 1] = x[..., k]
    return x.astype(v.dtype)


def holed(v: Values, kind: str, rng: np.random.Generator) -> Values:
    """A third of the entries exactly zero, and at least one."""
    moved = jitter(v, kind, rng)
    if kind != "generic" or v.size < 2:
        return moved
    hole = rng.random(v.shape) < 0.34
    hole.flat[rng.integers(v.size)] = True
    return np.where(hole, v.dtype.type(0), moved)


def shuffled(v: Values, kind: str, rng: np.random.Generator) -> Values:
    """The same entries in other places: other orders and other neighbours."""
    moved = jitter(v, kind, rng)
    if kind not in ("generic", "unit"):
        return moved
    return rng.permutation(moved.ravel()).reshape(v.shape)


def flat_rows(v: Values, kind: str, rng: np.random.Generator) -> Values:
    """Every row constant."""
    if kind != "generic" or v.ndim == 0 or v.shape[-1] < 2:
        return v
    return np.broadcast_to(v[..., :1], v.shape).copy()


def rows_of_many_scales(v: Values, kind: str, rng) -> Values:
    """Rows scaled by powers of ten from 1e-3 to 1e3."""
    moved = jitter(v, kind, rng)
    if kind != "generic" or v.ndim < 2:
        return moved
    scale = 10.0 ** rng.uniform(-3, 3, (v.shape[0],) + (1,) * (v.ndim - 1))
    wide = np.complex128 if np.iscomplexobj(v) else np.float64
    return in_range(moved.astype(wide) * scale, v.dtype)


def same(v: Values, kind: str, rng: np.random.Generator) -> Values:
    """As given."""
    return v


def equal_rows(live: list[np.ndarray]) -> list[np.ndarray]:
    """The second row a copy of the first, in every leaf with two rows or more."""
    moved = [v.copy() for v in live]
    for v in moved:
        if v.ndim >= 2 and v.shape[0] >= 2 and not is_symmetric(v):
            v[1] = v[0]
    return moved


def move_rest(v, move: str, rng, problem: Problem, special: list[int]):
    """Another value of a leaf without cotangent, mostly from what it was given."""
    if is_key(v) or v.size < 2 or move == "keep":
        return v
    if v.dtype == bool:
        fill = {"first": True, "last": False}.get(move)
        if fill is not None:
            return np.full_like(v, fill)
        return rng.random(v.shape) < 0.5
    if move == "permute" or is_permutation(v, problem):
        moved = rng.permutation(v.ravel()).reshape(v.shape)
    elif move == "draw":
        moved = rng.choice(v.ravel(), v.shape)
    elif move == "range":
        # Where all are negative, none is an index yet, as in a loss that ignores them.
        low, high = (min(v.min(), 0), v.max()) if v.max() >= 0 else (0, 1)
        moved = rng.integers(low, high + 1, v.shape).astype(v.dtype)
    elif move == "special":
        values = rng.choice(np.array(special or v.ravel()), v.shape)
        moved = np.where(rng.random(v.shape) < 0.4, values, v).astype(v.dtype)
    else:
        moved = np.full_like(v, v.ravel()[0 if move == "first" else -1])
    in_order = v.ndim == 1 and (np.diff(v.astype(np.int64)) >= 0).all()
    return np.sort(moved) if in_order else moved


def is_permutation(v: Values, problem: Problem) -> bool:
    """0, ..., n-1 in any order, where n is the length of some axis of a float leaf."""
    n = v.size
    axes = {s for w in problem.live for s in w.shape}
    return v.ndim == 1 and n in axes and np.array_equal(np.sort(v), np.arange(n))


MOVES: dict[str, tuple[Callable, str]] = {
    "generic values": (jitter, "permute"),
    "other indices": (jitter, "draw"),
    "other signs": (resigned, "permute"),
    "entries shuffled": (shuffled, "keep"),
    "entries and indices shuffled": (shuffled, "draw"),
    "small values": (scaled(1e-2), "keep"),
    "values times 30": (scaled(30.0), "keep"),
    "values times 1e4": (scaled(1e4), "keep"),
    "mean 100": (scaled(1.0, 100.0), "keep"),
    "ties": (tied, "first"),
    "zeros": (holed, "last"),
    "constant rows": (flat_rows, "keep"),
    "rows of many scales": (rows_of_many_scales, "draw"),
    "indices alone": (same, "draw"),
    "any index": (same, "range"),
    "special indices": (same, "special"),
}
