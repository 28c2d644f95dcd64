"""Hand and truth of one leaf side by side: zero, a multiple, moved, exchanged.

zero      hand = 0
scale     hand = c truth                      c named by reference.diagnosis.constants
factor    hand = truth ∘ q or truth / q       q an argument, a residual, y, or simple
                                              functions of them
axis      hand is truth with its axes permuted, reversed, rolled, read in another
          order, its slices along one axis permuted
mask      hand is truth where a mask of the arguments is 0, or only where it is 1
rows      hand is truth but for slices along one axis, which are 0
swap      hand of one leaf is the truth of another
"""

from collections.abc import Callable, Iterator
from itertools import chain, combinations, permutations

import numpy as np

from reference.diagnosis.constants import (
    close,
    name_factor,
    named_leaves,
    outputs,
    plain_name,
)
from reference.diagnosis.hypothesis import Hypothesis
from reference.diagnosis.scene import Scene, Stage
from reference.problem import Values

NEAR = 1e-8  # Of two arrays, relative to the larger: enough to propose, not to prove.


def relations(stage: Stage, i: int) -> Iterator[Hypothesis]:
    """What hand and truth of leaf `i` may have to do with each other."""
    yield from zero(stage, i)
    yield from scale(stage, i)
    yield from conjugates(stage, i)
    yield from swaps(stage, i)
    yield from axes(stage, i)
    yield from rows(stage, i)
    yield from masks(stage, i)
    yield from symmetric(stage, i)


def proportions(stage: Stage, i: int) -> Iterator[Hypothesis]:
    """What a sum or an array makes of the truth; much of it has a better name."""
    yield from summed(stage, i)
    yield from factors(stage, i)


def near(a: Values, b: Values) -> bool:
    """Whether two arrays are about equal; shapes do not broadcast."""
    if a.shape != b.shape or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return False
    size = max(float(np.abs(a).max(initial=0)), float(np.abs(b).max(initial=0)))
    return bool(np.abs(a - b).max(initial=0) <= NEAR * size)


def zero(stage: Stage, i: int) -> Iterator[Hypothesis]:
    """Nothing at all."""
    if not stage.home.hand[i].any():
        name = plain_name(stage.names[i])
        yield Hypothesis(
            f"zero: {stage.names[i]}",
            "C14",
            f"is zero: backward returns nothing for {name}",
            lambda s: (s.hand[i], np.zeros_like(s.hand[i])),
        )


def ratio(hand: Values, truth: Values) -> float:
    """c of the best hand = c truth, NaN where that is not good."""
    weight = np.vdot(truth, truth)
    c = np.vdot(truth, hand) / weight if weight else np.nan
    if not np.isfinite(c) or abs(np.imag(c)) > NEAR * abs(c):
        return np.nan
    c = float(np.real(c))
    return c if near(hand, c * truth) else np.nan


def scale(stage: Stage, i: int) -> Iterator[Hypothesis]:
    """One constant."""
    scenes = stage.scenes()
    values = [ratio(s.hand[i], s.truth[i]) for s in scenes]
    if not all(np.isfinite(values)) or values[0] in (0.0, 1.0):
        return
    if close(values[0], -1.0):
        yield Hypothesis(
            "sign: all",
            "C3",
            "has the wrong sign",
            lambda s: (-s.hand[i], s.truth[i]),
        )
        return
    constant = name_factor(values, scenes, unnamed=True)
    if constant is None:
        return
    yield Hypothesis(
        f"scale: {constant.name}",
        "C4",
        f"is {constant.name} times the truth: {advice(constant.name)}",
        lambda s: (s.hand[i] / constant.at(s), s.truth[i]),
        "hand / truth = "
        + ", ".join(f"{v:.6g}" for v in values)
        + (" at two sizes" if len(scenes) > 1 else ""),
    )


def summed(stage: Stage, i: int) -> Iterator[Hypothesis]:
    """The truth's sum or mean over some axes at every index of them."""
    truth = stage.home.truth[i]
    every = range(truth.ndim)
    for axes in chain.from_iterable(combinations(every, k) for k in (1, 2, 3, 4)):
        if all(truth.shape[k] == 1 for k in axes):
            continue
        for what, f in (("sum", np.sum), ("mean", np.mean)):

            def sides(s: Scene, axes=axes, f=f) -> tuple:
                t = s.truth[i]
                return s.hand[i], np.broadcast_to(f(t, axes, keepdims=True), t.shape)

            if near(*sides(stage.home)):
                text = ", ".join(map(str, axes))
                yield Hypothesis(
                    f"product: {what} over axis {text} of the truth",
                    "C5",
                    f"is the {what} of the truth over axis {text} at every index",
                    sides,
                )


def advice(name: str) -> str:
    """What to do about a factor."""
    name = name.removeprefix("-")
    if name.startswith("1/(") or (name.startswith("1/") and "/" not in name[2:]):
        body = name[2:].removeprefix("(").removesuffix(")")
        return f"multiply by {body}, or do not divide by it"
    return f"divide by {name}"


def conjugates(stage: Stage, i: int) -> Iterator[Hypothesis]:
    """Complex leaves."""
    home = stage.home
    if np.iscomplexobj(home.truth[i]) and near(home.hand[i], np.conj(home.truth[i])):
        yield Hypothesis(
            "conjugate: all",
            "C15",
            "is the complex conjugate of the truth",
            lambda s: (np.conj(s.hand[i]), s.truth[i]),
        )


def swaps(stage: Stage, i: int) -> Iterator[Hypothesis]:
    """Another leaf's gradient in this one's place."""
    home, names = stage.home, stage.names
    for j, name in enumerate(names):
        if j == i or home.truth[j].shape != home.hand[i].shape:
            continue
        for sign in (1, -1):
            if near(home.hand[i], sign * home.truth[j]):
                both = near(home.hand[j], sign * home.truth[i])
                minus = "minus " if sign < 0 else ""
                tail = f"; {name} holds this one's" if both else ""
                yield Hypothesis(
                    f"swap: {names[i]} {name}",
                    "C3",
                    f"is {minus}the gradient of {plain_name(name)}{tail}",
                    lambda s, j=j, sign=sign: (s.hand[i], sign * s.truth[j]),
                )


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


def masks(stage: Stage, i: int) -> Iterator[Hypothesis]:
    """What a mask in the arguments should have taken out, or took out too much."""
    home = stage.home
    found = mask_arrays(home)
    for name, mask in found.items():
        for fitted in broadcasts(mask, home.truth[i].shape):
            hand, truth = home.hand[i], home.truth[i]
            m = fitted(mask)
            if m.all() or not m.any():
                continue
            if near(hand * m, truth):
                text, sides = "is not masked by", repaired_by
            elif near(hand, truth * m):
                text, sides = "is zero outside of", planted_by
            else:
                continue
            yield Hypothesis(
                f"mask: {name}",
                "C8",
                f"{text} {name}",
                lambda s, f=fitted, n=name, sides=sides: sides(
                    s, i, f(mask_arrays(s)[n])
                ),
            )


def repaired_by(scene: Scene, i: int, mask: np.ndarray) -> tuple:
    """The mask applied to the hand."""
    return scene.hand[i] * mask, scene.truth[i]


def planted_by(scene: Scene, i: int, mask: np.ndarray) -> tuple:
    """The mask applied to the truth."""
    return scene.hand[i], scene.truth[i] * mask


def mask_arrays(scene: Scene) -> dict[str, np.ndarray]:
    """Arrays of 0 and 1 that the arguments mean."""

    def make() -> dict[str, np.ndarray]:
        found = {}
        for name, v in named_leaves(scene):
            if v.dtype == bool:
                found[name] = v
                found[f"not {name}"] = ~v
            elif np.issubdtype(v.dtype, np.integer):
                for special in scene.stage.oracle.special:
                    found[f"{name} != {special}"] = v != special
            elif not np.iscomplexobj(v):
                found[f"{name} > 0"] = v > 0
                found[f"{name} < 0"] = v < 0
        return found

    return scene.once("masks", make)


def broadcasts(v: np.ndarray, shape: tuple[int, ...]) -> Iterator[Callable]:
    """Ways to give an array a leaf's shape, axes in order."""
    if v.ndim > len(shape) or v.ndim == 0:
        return
    for start in range(len(shape) - v.ndim + 1):
        target = shape[start : start + v.ndim]
        if all(n in (1, m) for n, m in zip(v.shape, target)) and v.size > 1:
            after = len(shape) - v.ndim - start

            def fitted(w, start=start, after=after):
                return w.reshape((1,) * start + w.shape + (1,) * after)

            yield fitted


def symmetric(stage: Stage, i: int) -> Iterator[Hypothesis]:
    """Half of what stands off the diagonal."""
    truth = stage.home.truth[i]
    if truth.ndim < 2 or truth.shape[-1] != truth.shape[-2]:
        return

    def sides(scene: Scene) -> tuple:
        half = np.where(np.eye(scene.truth[i].shape[-1], dtype=bool), 1, 0.5)
        return scene.hand[i], scene.truth[i] * half

    if near(*sides(stage.home)):
        yield Hypothesis(
            "symmetric: half off the diagonal",
            "C15",
            "is half of the truth off the diagonal and the truth on it",
            sides,
        )

    def symmetrised(scene: Scene) -> tuple:
        t = scene.truth[i]
        return scene.hand[i], (t + np.swapaxes(t, -1, -2)) / 2

    if near(*symmetrised(stage.home)):
        yield Hypothesis(
            "symmetric: symmetrised",
            "C15",
            "is the symmetric part of the truth",
            symmetrised,
        )


FUNCTIONS: dict[str, Callable] = {
    "{}": lambda v: v,
    "{}^2": lambda v: v**2,
    "sqrt({})": np.sqrt,
    "1 - {}": lambda v: 1 - v,
    "1 - {}^2": lambda v: 1 - v**2,
    "{} (1 - {})": lambda v: v * (1 - v),
    "exp({})": np.exp,
    "exp(-{})": lambda v: np.exp(-v),
    "1 + {}^2": lambda v: 1 + v**2,
    "|{}|": np.abs,
    "cos({})": np.cos,
    "sigmoid({})": lambda v: 1 / (1 + np.exp(-v)),
}


def factors(stage: Stage, i: int) -> Iterator[Hypothesis]:
    """An array too few or too many in a product."""
    home = stage.home
    hand, truth = home.hand[i], home.truth[i]
    for text, f in FUNCTIONS.items():
        for missing in (True, False):
            for name, fitted in fitting(values(home), truth.shape):
                with np.errstate(all="ignore"):
                    q = f(fitted(values(home)[name]))
                    fits = near(hand * q, truth) if missing else near(hand, truth * q)
                if not fits or near(q, np.broadcast_to(q.flat[0], q.shape)):
                    continue
                label = text.replace("{}", name)

                def sides(s: Scene, n=name, g=fitted, f=f, missing=missing) -> tuple:
                    q = f(g(values(s)[n]))
                    if missing:
                        return s.hand[i] * q, s.truth[i]
                    return s.hand[i], s.truth[i] * q

                yield Hypothesis(
                    f"factor: {'missing' if missing else 'extra'} {label}",
                    "C2" if missing else "C4",
                    f"{'lacks the' if missing else 'has a'} factor {label}"
                    + ("" if missing else " too many"),
                    sides,
                )


def fitting(known: dict, shape: tuple[int, ...]) -> Iterator[tuple[str, Callable]]:
    """Each way in which each of the arrays broadcasts into a shape."""
    for name, v in known.items():
        for fitted in broadcasts(v, shape):
            yield name, fitted


def values(scene: Scene) -> dict[str, np.ndarray]:
    """Every array at hand by name, numbers only."""

    def make() -> dict[str, np.ndarray]:
        found = dict(named_leaves(scene))
        found |= dict(zip(scene.stage.residual_names, scene.run.residuals))
        found |= {f"y{k}": v for k, v in outputs(scene)}
        lifted = {
            k: v.astype(float) if v.dtype == bool else v for k, v in found.items()
        }
        return {k: v for k, v in lifted.items() if v.dtype.kind in "fiuc"}

    return scene.once("values", make)
