"""What each witness says at the worst entry of a leaf, for the report.

Four values of one number, dL/dx_j under one cotangent dy: the hand's, reverse mode's,
forward mode's ⟨dy, J e_j⟩, and the difference quotient with its bar. They name who
errs: three agree against the hand, or the hand and the differences against autodiff.
"""

import numpy as np

from reference.compare import Comparison
from reference.excuses import forward_entry
from reference.judge import Findings
from reference.numeric import along, directional_derivative
from reference.probe import Probe, Trial, culprit, lift
from reference.report import Leaf
from reference.verdict import Verdict


def leaf_with_witnesses(probe: Probe, name: str, i: int, leaf: Findings) -> Leaf:
    """A leaf of the report; the dear witnesses are heard only where it is wrong."""
    common = dict(
        name=name,
        verdict=leaf.verdict,
        sentence=leaf.sentence,
        units=leaf.units,
        visible=leaf.visible,
        exercised=leaf.exercised,
        rounding=leaf.rounding,
    )
    if leaf.trial is None:
        return Leaf(**common)
    c, trial = leaf.trial.comparisons[i], leaf.trial
    common |= dict(units=c.units, relative=c.relative, point=trial.point.kind)
    common |= dict(index=c.index, hand=number(c.hand), autodiff=number(c.truth))
    same_shapes = probe.problem.live[i].shape == trial.point.live[i].shape
    if leaf.verdict is not Verdict.WRONG or not same_shapes:
        return Leaf(**common)
    common["sentence"] = "; ".join([leaf.sentence, *where(probe, trial, i)])
    return Leaf(
        **common,
        forward_mode=forward_entry(probe, trial, i, c.index),
        difference=difference(probe, trial, i, c),
    )


def where(probe: Probe, trial: Trial, i: int) -> list[str]:
    """The situation, if not the given one, and the single output that is to blame."""
    found = [] if trial.point.kind == "given" else [f"seen with {trial.point.kind}"]
    entry = culprit(probe, trial, i)
    if entry is not None:
        found.append(f"only through entry {entry} of y, counted flat")
    return found


def difference(
    probe: Probe, trial: Trial, i: int, c: Comparison
) -> tuple[float, float] | None:
    """The numerical value at the worst entry and its bar."""
    live = lift(trial.point.live)
    if any(map(np.iscomplexobj, live)):
        return None
    tangents = [np.zeros_like(v) for v in live]
    tangents[i][c.index] = 1.0
    dys = lift(probe.split(trial.cotangent))
    primal = lambda vs: probe.oracle.primal(vs, trial.point.rest)  # noqa: E731
    found = directional_derivative(along(primal, (live,), (tangents,), dys))
    return found.value, found.error


def number(value: float | complex) -> float:
    """A float; of a complex entry the modulus."""
    return abs(value) if isinstance(value, complex) else float(value)
