"""A hypothesis is two values of one leaf that are equal if it is true; its proof.

    repair     ψ(hand) = truth: what was done wrong, undone
    planting   hand = φ(truth): the mistake, made in the truth

Either is tried at fresh scenes and at another size, in noise units.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from reference.diagnosis.cause import Cause, Proof
from reference.diagnosis.scene import LIMIT, Scene, Stage

Sides = tuple[np.ndarray, np.ndarray]


class OtherProgram(Exception):
    """At this size the program has other equations: a loop written out, a branch."""


@dataclass(frozen=True)
class Hypothesis:
    """What may be wrong with one leaf.

    Attributes:
        label: "kind: what".
        mistake: "C4".
        sentence: For a person, without a subject: "is 1/N of the truth".
        sides: `sides(scene)` gives the two values of the leaf that must be equal.
        evidence: What it was found by.
        source: "file.py:line" or "".
    """

    label: str
    mistake: str
    sentence: str
    sides: Callable[[Scene], Sides]
    evidence: str = ""
    source: str = ""


def holds(hypothesis: Hypothesis, scene: Scene, i: int) -> float:
    """The disagreement in noise units; inf where it cannot be evaluated.

    Raises:
        OtherProgram: the hypothesis is about equations that are not there.
    """
    try:
        one, other = hypothesis.sides(scene)
        with np.errstate(all="ignore"):
            return scene.units(i, np.asarray(one), np.asarray(other))
    except (ArithmeticError, IndexError, TypeError, ValueError):
        return np.inf


def prove(hypothesis: Hypothesis, stage: Stage, i: int) -> Cause | None:
    """The cause, if the hypothesis holds at every fresh scene and at another size."""
    fresh = list(stage.fresh)
    if not any(s.is_wrong(i) for s in fresh):
        return None
    units = [holds(hypothesis, scene, i) for scene in fresh]
    sizes = 1
    if stage.resized is not None and max(units) <= LIMIT:
        try:
            units.append(holds(hypothesis, stage.resized.home, i))
            sizes = 2
        except OtherProgram:
            pass
    if not max(units) <= LIMIT:
        return None
    return Cause(
        hypothesis.label,
        hypothesis.mistake,
        (stage.names[i],),
        hypothesis.sentence,
        Proof(len(units), sizes, max(units)),
        hypothesis.evidence,
        hypothesis.source,
    )
