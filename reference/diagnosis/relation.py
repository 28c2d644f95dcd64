"""Hand and truth of one leaf side by side: zero, a multiple, exchanged, conjugate.

zero      hand = 0
scale     hand = c truth                      c named by reference.diagnosis.constants
swap      hand of one leaf is the truth of another
symmetric half of what stands off the diagonal

Masks, and truth that is all there and elsewhere, have modules of their own.
"""

from collections.abc import Iterator

import numpy as np

from reference.diagnosis.arrangements import axes, rows
from reference.diagnosis.constants import (
    close,
    name_factor,
    plain_name,
)
from reference.diagnosis.hypothesis import Hypothesis
from reference.diagnosis.masks import zero_outside
from reference.diagnosis.near import NEAR, near
from reference.diagnosis.scene import Scene, Stage
from reference.verifier.problem import Values


def relations(stage: Stage, i: int) -> Iterator[Hypothesis]:
    """What hand and truth of leaf `i` may have to do with each other."""
    yield from zero(stage, i)
    yield from scale(stage, i)
    yield from conjugates(stage, i)
    yield from swaps(stage, i)
    yield from axes(stage, i)
    yield from rows(stage, i)
    yield from zero_outside(stage, i)
    yield from symmetric(stage, i)


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
        f"scale: {constant.names}",
        "C4",
        f"is {constant.names} times the truth: {advice(constant.name)}",
        lambda s: (s.hand[i] / constant.at(s), s.truth[i]),
        "hand / truth = "
        + ", ".join(f"{v:.6g}" for v in values)
        + (" at two sizes" if len(scenes) > 1 else ""),
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
