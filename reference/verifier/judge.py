"""The judgement: run the probes, excuse what can be excused, accuse the rest.

MATH. At the given point under coded and normal cotangents, then at the points of
reference.verifier.points, hand and truth are compared in float64 (reference.compare). A
leaf that differs there is not wrong yet. In this order it may be excused:

    domain       away from the given point an iteration of the forward has not converged
                 (reference.verifier.convergence)
    rounding     Monte Carlo arithmetic on both programs explains the difference
    kink         the hand-written value is a subgradient where the forward has a kink
    reverse      forward mode agrees with the hand and not with reverse mode
    surrogate    the forward hides a custom derivative or stop_gradient, and the
                 derivative of what it computes agrees with the hand

NaN and inf where the truth is finite have rules of their own
(reference.verifier.nonfinite).
"""

from dataclasses import dataclass, field

import numpy as np

from reference.compare import Comparison, rms
from reference.verdict import Verdict
from reference.verifier.audit import degenerate_arguments, saturation
from reference.verifier.cotangents import Cotangent, generator, normal
from reference.verifier.excuses import by_kink, excuse, forward_entry, points_beside
from reference.verifier.oracle import oracle_for
from reference.verifier.points import Point
from reference.verifier.probe import (
    Probe,
    Trial,
    given_trials,
    is_finite,
    lift,
    nearby_trials,
)
from reference.verifier.problem import Problem, first_line, is_key
from reference.verifier.shapes import Cut, cuts

PLAIN = 1e9  # Units beyond which one error is as plain as another.


@dataclass
class Findings:
    """What is known of one leaf so far."""

    verdict: Verdict = Verdict.RIGHT
    sentence: str = ""
    trial: Trial | None = None
    units: float = 0.0
    visible: float = np.inf
    visible_worst: float = np.inf
    exercised: float = 0.0
    blind: int = 0
    worst: Comparison | None = None
    shown: dict = field(default_factory=dict)  # What the report's leaf has besides.
    rounding: dict[str, float] = field(default_factory=dict)


def judge_math(probe: Probe, given: Point, linear: bool) -> tuple[list[Findings], list]:
    """MATH for every leaf, and notes."""
    names = probe.problem.names
    findings, notes = [Findings() for _ in names], []
    home = list(given_trials(probe, given, linear))
    probe.scales = [typical_scale(home, i) for i in range(len(names))]
    away = list(nearby_trials(probe))
    probe.scales = [typical_scale([home[-1], *away], i) for i in range(len(names))]
    judged = [(i, v) for i, v in enumerate(findings) if probe.problem.is_judged[i]]
    notes += saturation(names, home, away) + degenerate_arguments(probe.problem)
    for i, leaf in judged:
        settle(probe, leaf, i, home, notes)
        record(leaf, [t.comparisons[i] for t in home])
    if any(leaf.verdict is Verdict.KINK for _, leaf in judged):
        beside = points_beside(probe, home[-1])
        away += [probe.trial(point, home[-1].cotangent) for point in beside]
    for i, leaf in judged:
        if undecided(leaf):
            settle(probe, leaf, i, away, notes)
        see_blind(probe, leaf, i, home)
        see_life(probe, leaf, i, home, away)
    return findings, notes


def judge_shapes(probe: Probe, findings: list[Findings], notes: list) -> None:
    """MATH once more with some axes cut, for the leaves still right.

    The cuts are those of reference.verifier.shapes. The leaves are the same at every
    shape, so a finding carries over by its place.
    """
    judged = [leaf for leaf, i in zip(findings, probe.problem.is_judged) if i]
    if not any(map(undecided, judged)):
        return
    for cut in cuts(probe.problem):
        if probe.oracle.overwrites and repeats_an_index(cut.problem):
            continue
        try:
            other, trial = tried(probe, cut.name, cut.problem)
        except Exception as error:
            notes.append(f"with {cut.name} the check fails: {first_line(error)}")
            continue
        if trial is None:
            continue
        for i, leaf in enumerate(findings):
            if not probe.problem.is_judged[i] or not undecided(leaf):
                continue
            before = leaf.verdict, leaf.sentence, leaf.trial
            settle(other, leaf, i, [trial], notes)
            if undecided(leaf) or cut.grown or reads_its_sizes(probe, cut, i):
                continue
            leaf.verdict, leaf.sentence, leaf.trial = before
            notes.append(f"backward has sizes written into it: not right {cut.name}")


def tried(probe: Probe, name: str, problem: Problem) -> tuple[Probe, Trial | None]:
    """The problem at other shapes, and a trial there if hand and truth differ.

    Where the forward is not finite, as a length beyond its array may make it, they have
    nothing to agree on.
    """
    other = Probe(problem, oracle_for(problem.functions), probe.seed, probe.scales)
    point = Point(name, problem.live, problem.rest)
    cotangent = normal(other.size, generator(probe.seed, 4))
    if agree(other, point, cotangent) or not is_finite(other, point):
        return other, None
    return other, other.trial(point, cotangent)


def reads_its_sizes(probe: Probe, cut: Cut, i: int) -> bool:
    """Whether leaf `i` is right at the control of a cut."""
    control = cut.control()
    if control is None:
        return False
    try:
        trial = tried(probe, "another size", control)[1]
    except Exception:  # It fails aloud where it was not written for.
        return False
    return trial is None or trial.comparisons[i].passes


def repeats_an_index(problem: Problem) -> bool:
    """Whether some integer leaf holds a value twice."""
    whole = [v for v in problem.rest if not is_key(v) and v.dtype != bool]
    return any(np.unique(v).size < v.size for v in whole)


def agree(probe: Probe, point: Point, cotangent: Cotangent) -> bool:
    """Whether hand and truth are so near that their noise need not be measured."""
    at = lift(point.live), point.rest, lift(probe.split(cotangent))
    hand, truth = probe.oracle.both(*at)
    return all(
        np.isfinite(v).all() and np.abs(h - v).max(initial=0) <= 1e-12 * rms(v)
        for h, v in zip(hand, truth)
    )


def typical_scale(trials: list[Trial], i: int) -> float:
    """The median of rms(V)/rms(dy) over the trials in which it is not zero."""
    ratios = [t.comparisons[i].scale / rms(t.cotangent.value) for t in trials]
    return float(np.median([r for r in ratios if r > 0] or [0.0]))


def undecided(leaf: Findings) -> bool:
    """Whether other points may still change the verdict."""
    return leaf.verdict in (Verdict.RIGHT, Verdict.KINK)


def record(leaf: Findings, comparisons: list[Comparison]) -> None:
    """The figures of a leaf at the given point, of what was not excused there."""
    if leaf.verdict is Verdict.RIGHT:
        comparisons = [c for c in comparisons if c.passes] or comparisons
    leaf.units = max(c.units for c in comparisons)
    leaf.worst = max(comparisons, key=lambda c: c.units)
    leaf.visible = min(c.visible for c in comparisons)
    leaf.visible_worst = min(c.visible_worst for c in comparisons)
    leaf.exercised = max(c.exercised for c in comparisons)
    leaf.blind = max(c.blind for c in comparisons)


def settle(probe, leaf: Findings, i: int, trials: list[Trial], notes: list) -> None:
    """Excuse or accuse a leaf for the trials in which it differs."""
    suspects = [t for t in trials if not t.comparisons[i].passes]
    suspects.sort(key=lambda t: min(t.comparisons[i].units, PLAIN), reverse=True)
    kinks = 0
    for trial in one_a_point(suspects):
        verdict, sentence = excuse(probe, trial, i)
        if not sentence or (verdict is Verdict.RIGHT and trial.point.kind != "given"):
            continue
        if verdict is Verdict.KINK and trial.point.kind != "given":
            kinks += 1
            if kinks == 1 and leaf.verdict is not Verdict.KINK:
                notes.append(
                    f"{probe.problem.names[i]} ({trial.point.kind}): {sentence}"
                )
        elif verdict is Verdict.RIGHT:
            notes.append(f"{probe.problem.names[i]}: {sentence}")
        elif verdict.severity > leaf.verdict.severity:
            leaf.verdict, leaf.sentence, leaf.trial = verdict, sentence, trial
        if leaf.verdict is Verdict.WRONG:
            return


def one_a_point(trials: list[Trial]) -> list[Trial]:
    """The first trial of each point."""
    first: dict[int, Trial] = {}
    for t in trials:
        first.setdefault(id(t.point), t)
    return list(first.values())


def see_blind(probe, leaf: Findings, i: int, home: list[Trial]) -> None:
    """Entries of which reverse mode knows nothing.

    Forward mode decides, or the gradients all around, or nobody.
    """
    trial = home[-1]
    if not undecided(leaf) or not leaf.blind:
        return
    hand, truth, _ = probe.arrays(trial.point, trial.cotangent, noisy=False)
    blind = np.argwhere(~np.isfinite(truth[i]))[:4]
    for index in map(tuple, blind):
        forward = forward_entry(probe, trial, i, index)
        if forward is None or not np.isfinite(forward):
            seen = [np.nan_to_num(v, posinf=0, neginf=0) for v in truth]
            verdict = by_kink(probe, trial, i, hand, seen) or (
                Verdict.UNTESTED,
                f"the truth is not finite in {leaf.blind} entries",
            )
            leaf.verdict, leaf.sentence, leaf.trial = *verdict, trial
            return
        elif not abs(hand[i][index] - forward) <= 2**-40 * max(1.0, abs(forward)):
            leaf.verdict, leaf.trial = Verdict.WRONG, trial
            leaf.sentence = (
                f"is {hand[i][index]} at {[int(k) for k in index]}, where forward mode "
                f"gives {forward:.6g} and reverse mode nothing finite"
            )


def see_life(probe, leaf: Findings, i: int, home: list[Trial], away: list) -> None:
    """UNTESTED, unless the truth was seen to be other than zero, or must be zero."""
    if not undecided(leaf) or leaf.exercised > 0:
        return
    if probe.problem.live[i].size == 0:
        leaf.sentence, leaf.exercised = "has no entries", 1.0
    elif probe.oracle.is_dead[i]:
        leaf.sentence, leaf.visible = "exactly zero, as y does not depend on it", 0.0
    elif any(c.exercised > 0 and c.passes for c in (t.comparisons[i] for t in away)):
        leaf.sentence = "zero at the given point; judged at points nearby"
        leaf.visible = min(t.comparisons[i].visible for t in away)
    else:
        leaf.verdict = Verdict.UNTESTED
        leaf.sentence = "the true gradient is zero or not finite wherever it was probed"
        leaf.trial = home[-1]
