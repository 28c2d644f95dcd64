"""A changed cotangent: the hand is the truth of φ(dy) for dy.

    nonlinear   ones, the sign, |dy|, dy², max(dy, 0), clip(dy, -1, 1)
    lost        the first entry, or the mean, for all; one index of an axis kept, or
                lost; the tail lost; one output's cotangent lost, twice, exchanged
    moved       reversed, shifted along an axis
    weighed     dy times or over an array at hand

Truth is linear in dy, so hand(dy) = truth(φ(dy)) at fresh dy names φ.
"""

from collections.abc import Callable, Iterator

import numpy as np

from reference.diagnosis.hypothesis import Hypothesis
from reference.diagnosis.known_arrays import FUNCTIONS, values
from reference.diagnosis.near import near
from reference.diagnosis.scene import Scene, Stage
from reference.verifier.problem import Values

Change = tuple[str, str, str, Callable[[list[np.ndarray]], list[np.ndarray]]]


def cotangents(stage: Stage, i: int) -> Iterator[Hypothesis]:
    """Every φ whose truth is the hand of leaf `i` at home."""
    home = stage.home
    for what, mistake, sentence, change in changes(home.dys):
        key = f"cotangent {what}"
        planted = home.once(key, lambda c=change: home.under(c(home.dys)).truth)
        if near(home.hand[i], planted[i]) and planted[i].any():

            def sides(s: Scene, c=change, key=key) -> tuple:
                return s.hand[i], s.once(key, lambda: s.under(c(s.dys)).truth)[i]

            yield Hypothesis(f"cotangent: {what}", mistake, sentence, sides)


def weighed(stage: Stage, i: int) -> Iterator[Hypothesis]:
    """dy times or over an array of its shape: the backward of another function of y."""
    home = stage.home
    if len(home.dys) > 1:
        return
    for name, v in values(home).items():
        if v.shape != home.dys[0].shape or v.dtype.kind != "f" or not v.ndim:
            continue
        for text, f in FUNCTIONS.items():
            yield from times(stage, i, name, text, f)


def times(stage: Stage, i: int, name: str, text: str, f: Callable) -> Iterator:
    """The hand as the truth under dy ∘ f(v), or under dy / f(v)."""
    for sign, what in ((1, "extra"), (-1, "missing")):
        key = f"weighed {sign} {text} {name}"

        def planted(s: Scene, sign=sign, key=key) -> list:
            with np.errstate(all="ignore"):
                q = np.asarray(f(values(s)[name])) ** sign
            return s.once(key, lambda: s.under([s.dys[0] * q]).truth)

        if near(stage.home.hand[i], planted(stage.home)[i]):
            q = text.replace("{}", name)
            yield Hypothesis(
                f"factor: {what} {q} at dy",
                "C4" if sign > 0 else "C2",
                f"is the gradient for dy {'times' if sign > 0 else 'over'} {q}",
                lambda s, p=planted: (s.hand[i], p(s)[i]),
            )


def each(f: Callable) -> Callable:
    """f on every leaf of dy."""
    return lambda dys: [f(d) for d in dys]


def changes(dys: list[np.ndarray]) -> Iterator[Change]:
    """What people do to dy."""
    yield (
        "ones",
        "C1",
        "ignores dy: it is the gradient for dy = 1",
        each(np.ones_like),
    )
    nonlinear = {
        "sign": ("sign(dy)", np.sign),
        "abs": ("|dy|", np.abs),
        "square": ("dy²", np.square),
        "relu": ("max(dy, 0)", lambda d: np.maximum(d, 0)),
        "clip": ("clip(dy, -1, 1)", lambda d: np.clip(d, -1, 1)),
    }
    is_complex = any(np.iscomplexobj(d) for d in dys)
    for what, (text, f) in nonlinear.items() if not is_complex else ():
        yield what, "C1", f"uses {text} for dy, which is not linear in dy", each(f)
    if any(d.size > 1 for d in dys):
        yield (
            "first entry",
            "C1",
            "uses the first entry of dy for all of dy",
            each(lambda d: np.full_like(d, d.flat[0])),
        )
        yield (
            "mean",
            "C1",
            "uses the mean of dy for every entry of dy",
            each(lambda d: np.full_like(d, d.mean())),
        )
        yield (
            "sum",
            "C1",
            "uses the sum of dy for every entry of dy",
            each(lambda d: np.full_like(d, d.sum())),
        )
    if len(dys) > 1:
        yield from between_outputs(dys)
    for k, d in enumerate(dys):
        name = "dy" if len(dys) == 1 else f"dy[{k}]"
        yield from along_axes(k, name, d)


def between_outputs(dys: list[np.ndarray]) -> Iterator[Change]:
    """One output's cotangent among several."""
    for k in range(len(dys)):
        for weight, text in ((0.0, "lost"), (2.0, "doubled"), (-1.0, "negated")):
            yield (
                f"y[{k}] {text}",
                "C1" if weight == 0 else "C4" if weight == 2 else "C3",
                f"takes the cotangent of y[{k}] {weight:g} times"
                + (": it is lost" if weight == 0 else ""),
                lambda v, k=k, w=weight: [
                    w * d if j == k else d for j, d in enumerate(v)
                ],
            )
    for k in range(len(dys)):
        for j in range(k):
            if dys[j].shape == dys[k].shape:
                yield (
                    f"swapped y[{j}] y[{k}]",
                    "C3",
                    f"exchanges the cotangents of y[{j}] and y[{k}]",
                    lambda v, j=j, k=k: [
                        v[k] if n == j else v[j] if n == k else d
                        for n, d in enumerate(v)
                    ],
                )


def along_axes(k: int, name: str, d: np.ndarray) -> Iterator[Change]:
    """One leaf of dy along each of its axes."""
    for axis in range(d.ndim):
        at = f"of axis {axis} of {name}"
        for found in (parts_of, one_for_all, moved_along) if d.shape[axis] > 1 else ():
            for what, mistake, sentence, f in found(axis, d.shape[axis]):
                yield what, mistake, sentence.format(at=at, dy=name), on_leaf(k, f)


def on_leaf(k: int, f: Callable) -> Callable:
    """f on one leaf of dy."""
    return lambda dys: [f(v) if j == k else v for j, v in enumerate(dys)]


def parts_of(axis: int, n: int) -> Iterator[Change]:
    """Some indices of an axis are counted, others not."""
    ends = {"first": slice(0, 1), "last": slice(-1, None)}
    for text, end in ends.items():
        yield (
            f"{text} axis {axis} alone",
            "C7",
            f"counts the {text} index {{at}} alone: overwritten or not summed",
            lambda v, s=end: kept(v, axis, s),
        )
    for text, end in ends.items():
        yield (
            f"{text} axis {axis} dropped",
            "C13" if text == "last" else "C2",
            f"drops the {text} index {{at}}",
            lambda v, s=end: v - kept(v, axis, s),
        )
    for count in range(2, n - 1):
        yield (
            f"from {count} of axis {axis} dropped",
            "C13",
            f"drops every index from {count} on {{at}}",
            lambda v, c=count: kept(v, axis, slice(0, c)),
        )


def one_for_all(axis: int, n: int) -> Iterator[Change]:
    """One index of an axis, or the mean, stands for all."""
    yield (
        f"first axis {axis} for all",
        "C1",
        "uses the first index {at} for all",
        lambda v: np.broadcast_to(v.take([0], axis), v.shape).copy(),
    )
    yield (
        f"mean axis {axis}",
        "C1",
        f"uses the mean over axis {axis} of {{dy}} for every index",
        lambda v: np.broadcast_to(v.mean(axis, keepdims=True), v.shape).copy(),
    )


def moved_along(axis: int, n: int) -> Iterator[Change]:
    """The indices of an axis in another order."""
    yield (
        f"flipped axis {axis}",
        "C6",
        f"reads {{dy}} reversed along axis {axis}",
        lambda v: np.flip(v, axis),
    )
    for by in (1, -1):
        text = f"reads {{dy}} shifted by {by} along axis {axis}"
        yield (
            f"rolled axis {axis} by {by}",
            "C6",
            text,
            lambda v, by=by: np.roll(v, by, axis),
        )
        yield (
            f"shifted axis {axis} by {by}",
            "C6",
            f"{text}, with zeros from outside",
            lambda v, by=by: shifted(v, axis, by),
        )


def kept(v: Values, axis: int, part: slice) -> np.ndarray:
    """v in a slice of one axis, 0 elsewhere."""
    found = np.zeros_like(v)
    index = tuple(part if k == axis else slice(None) for k in range(v.ndim))
    found[index] = v[index]
    return found


def shifted(v: Values, axis: int, by: int) -> np.ndarray:
    """v shifted along an axis, zeros coming in."""
    moved = np.roll(v, by, axis)
    outside = slice(0, by) if by > 0 else slice(by, None)
    return moved - kept(moved, axis, outside)
