"""What each witness says at the worst entry of a leaf, for the report.

Four values of one number, dL/dx_j under one cotangent dy: the hand's, reverse mode's,
forward mode's ⟨dy, J e_j⟩, and the difference quotient with its bar. They name who
errs: three agree against the hand, or the hand and the differences against autodiff.
Taylor's remainder says by how much the hand does, again without any autodiff, and the
truth's slopes on both sides say what kind of point it is.
"""

from functools import cache

import numpy as np

from reference.report import Leaf
from reference.verdict import Verdict
from reference.verifier.excuses import LARGEST, forward_entry, values_along
from reference.verifier.judge import Findings
from reference.verifier.kinks import Kink, gap_exponent
from reference.verifier.numeric import directional_derivative, taylor
from reference.verifier.probe import Probe, Trial, culprit, lift

ASKED = (Verdict.WRONG, Verdict.KINK, Verdict.INCONCLUSIVE)


def plain_leaf(name: str, leaf: Findings) -> Leaf:
    """A leaf of the report with what is known already."""
    shown = {} if leaf.worst is None else entry(leaf.worst)
    shown |= {"units": leaf.units} | leaf.shown
    return Leaf(
        name,
        leaf.verdict,
        leaf.sentence,
        visible=leaf.visible,
        visible_worst=leaf.visible_worst,
        exercised=leaf.exercised,
        rounding=leaf.rounding,
        **shown,
    )


def entry(c) -> dict:
    """The worst entry of a comparison."""
    return dict(
        units=c.units,
        relative=c.relative,
        index=c.index,
        hand=number(c.hand),
        autodiff=number(c.truth),
    )


def leaf_with_witnesses(probe: Probe, name: str, i: int, leaf: Findings) -> Leaf:
    """A leaf of the report; the dear witnesses are heard only where it matters."""
    trial = leaf.trial
    if trial is None:
        return plain_leaf(name, leaf)
    leaf.shown = entry(trial.comparisons[i]) | {"point": trial.point.kind}
    shapes = [[v.shape for v in vs] for vs in (probe.problem.live, trial.point.live)]
    if shapes[0] != shapes[1] or trial.cotangent.value.size != probe.size:
        leaf.sentence = f"{leaf.sentence}; seen with {trial.point.kind}"
    elif leaf.verdict in ASKED:
        leaf.shown |= testimony(probe, trial, i)
        if leaf.verdict is Verdict.WRONG:
            leaf.sentence = "; ".join([leaf.sentence, *where(probe, trial, i)])
    return plain_leaf(name, leaf)


def testimony(probe: Probe, trial: Trial, i: int) -> dict:
    """Forward mode, differences, Taylor's remainder and the kind of the point."""
    c = trial.comparisons[i]
    shown = {"forward_mode": forward_entry(probe, trial, i, c.index)}
    phi = values_along(probe, trial, i, c.index)
    if phi is not None:
        found = directional_derivative(phi)
        shown |= {"difference": (found.value, found.error)}
        if np.isfinite(number(c.hand)):
            shown |= {"taylor": taylor(phi, number(c.hand))}
    if sum(v.size for v in trial.point.live) <= LARGEST and phi is not None:
        shown |= {"kink": kind_of_point(probe, trial, i, c.index)}
    return shown


def kind_of_point(probe: Probe, trial: Trial, i: int, index: tuple) -> Kink:
    """Whether the forward has a derivative there, by the truth along one entry."""
    live, rest = lift(trial.point.live), trial.point.rest
    dys = lift(probe.split(trial.cotangent))
    size = abs(live[i][index]) or float(np.abs(live[i]).mean()) or 1.0

    @cache
    def slope_and_value(h: float) -> tuple[float, float]:
        moved = list(live)
        moved[i] = live[i].copy()
        moved[i][index] += h
        value = probe.oracle.truth(moved, rest, dys).value
        y = value[len(live) :]
        return value[i][index], sum(float(np.sum(d * v)) for d, v in zip(dys, y))

    return gap_exponent(
        lambda h: slope_and_value(h)[0], lambda h: slope_and_value(h)[1], scale=size
    )


def where(probe: Probe, trial: Trial, i: int) -> list[str]:
    """The situation, if not the given one, and the single output that is to blame."""
    found = [] if trial.point.kind == "given" else [f"seen with {trial.point.kind}"]
    single = culprit(probe, trial, i)
    if single is not None:
        found.append(f"only through {probe.problem.shape.output_entry(single)}")
    return found


def number(value: float | complex) -> float:
    """A float; of a complex entry the modulus."""
    return abs(value) if isinstance(value, complex) else float(value)
