"""What each witness says at the worst entry of a leaf, for the report.

Four values of one number, dL/dx_j under one cotangent dy: the hand's, reverse mode's,
forward mode's ⟨dy, J e_j⟩, and the difference quotient with its bar. They name who
errs: three agree against the hand, or the hand and the differences against autodiff.
Taylor's remainder says by how much the hand does, again without any autodiff.
"""

from reference.excuses import forward_entry, values_along
from reference.judge import Findings
from reference.numeric import directional_derivative, taylor
from reference.probe import Probe, Trial, culprit
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
    if leaf.verdict is not Verdict.WRONG:
        return Leaf(**common)
    shapes = [[v.shape for v in vs] for vs in (probe.problem.live, trial.point.live)]
    if shapes[0] != shapes[1] or trial.cotangent.value.size != probe.size:
        common["sentence"] = f"{leaf.sentence}; seen with {trial.point.kind}"
        return Leaf(**common)
    phi = values_along(probe, trial, i, c.index)
    found = None if phi is None else directional_derivative(phi)
    remainder = None if phi is None else taylor(phi, number(c.hand))
    common["sentence"] = "; ".join([leaf.sentence, *where(probe, trial, i)])
    return Leaf(
        **common,
        forward_mode=forward_entry(probe, trial, i, c.index),
        difference=None if found is None else (found.value, found.error),
        taylor=None
        if remainder is None
        else (remainder.relative_error, remainder.uncertainty),
    )


def where(probe: Probe, trial: Trial, i: int) -> list[str]:
    """The situation, if not the given one, and the single output that is to blame."""
    found = [] if trial.point.kind == "given" else [f"seen with {trial.point.kind}"]
    entry = culprit(probe, trial, i)
    if entry is not None:
        found.append(f"only through {probe.problem.shape.output_entry(entry)}")
    return found


def number(value: float | complex) -> float:
    """A float; of a complex entry the modulus."""
    return abs(value) if isinstance(value, complex) else float(value)
