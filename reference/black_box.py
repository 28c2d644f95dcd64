"""A forward that JAX cannot differentiate, judged by differences alone.

NumPy code, callbacks, loops of unknown length: there is no truth to compare with entry
by entry, only values of the forward. For a weight w on the output, H = backward(w), and
directions d in one leaf each, a few random ones and then single entries,

    (1)  ⟨H, d⟩  against  D ± err = d/dt ⟨w, f(x + t d)⟩ at t = 0

by reference.numeric. A leaf is RIGHT where every difference agrees and could have seen
an error of 1e-6, WRONG where one disagrees, INCONCLUSIVE otherwise. Where the bar at
the given point is wide and a generic point nearby is RIGHT, the given point is on a
kink.
"""

import time
from collections.abc import Callable, Iterator

import numpy as np

from reference.cotangents import generator, normal
from reference.judge import Findings
from reference.numeric import (
    Difference,
    along,
    directional_derivative,
    judge_difference,
)
from reference.points import Point, jitter, kind_of
from reference.probe import lift
from reference.problem import Problem, live_cotangents
from reference.verdict import Verdict

BUDGET = 4.0  # Seconds a leaf and point may take; at least three directions are tried.
RANDOM = 3
ENTRIES = 48
TOLERANCE = 2.0**-46  # Of ⟨|H|, |d|⟩: 128 roundings of the claim itself.


def judge_black_box(problem: Problem, seed: int) -> tuple[list[Findings], list[str]]:
    """Findings for every live leaf, and notes."""
    rng = generator(seed, 5)
    given = Point("given", problem.live, problem.rest)
    near = [jitter(v, kind_of(v), rng) for v in problem.live]
    generic = Point("generic values", near, problem.rest)
    findings = [Findings() for _ in problem.names]
    for i, leaf in enumerate(findings):
        if not problem.is_judged[i]:
            continue
        judge_leaf(problem, given, i, leaf, seed)
        if leaf.verdict in (Verdict.RIGHT, Verdict.INCONCLUSIVE):
            settle_nearby(problem, generic, i, leaf, seed)
    return findings, ["judged by differences: JAX cannot differentiate the forward"]


def settle_nearby(problem, generic: Point, i: int, leaf: Findings, seed: int) -> None:
    """The generic point decides what the given one leaves open."""
    other = Findings()
    judge_leaf(problem, generic, i, other, seed)
    if other.verdict is Verdict.WRONG:
        leaf.verdict = Verdict.WRONG
        leaf.sentence = f"{other.sentence} (at generic values)"
    elif leaf.verdict is Verdict.INCONCLUSIVE and other.verdict is Verdict.RIGHT:
        leaf.verdict, leaf.visible = Verdict.KINK, other.visible
        leaf.sentence = "within the slopes at the kink; right at generic values nearby"


def judge_leaf(problem: Problem, point: Point, i: int, leaf: Findings, seed: int):
    """(1) for one leaf at one point."""
    shape, subject = problem.shape, problem.subject
    live = lift(point.live)
    args = shape.merge(live, point.rest)
    _, residuals = subject.forward(*args)
    flat = normal(shape.output_size, generator(seed, 6)).value
    weight = shape.cotangent(lift(shape.split(flat)))
    hand = np.asarray(
        live_cotangents(args, subject.backward(residuals, weight), shape)[i], np.float64
    )
    primal = subject.primal or (lambda *a: subject.forward(*a)[0])
    visible = []
    for d in directions(hand.shape, seed):
        difference = directional_derivative(phi(problem, primal, args, i, d, weight))
        verdict = judge_difference(
            float(np.sum(hand * d)),
            difference,
            TOLERANCE * float(np.sum(np.abs(hand * d))),
        )
        visible.append(difference.visible)
        record(leaf, verdict, float(np.sum(hand * d)), difference)
        if leaf.verdict is Verdict.WRONG:
            break
    leaf.visible = float(np.median(visible)) if visible else np.inf
    leaf.exercised = 1.0


def directions(shape: tuple, seed: int) -> Iterator[np.ndarray]:
    """Random directions of unit root mean square, then single entries."""
    rng, start = generator(seed, 7), time.perf_counter()
    for _ in range(RANDOM):
        yield rng.standard_normal(shape)
    size = int(np.prod(shape))
    for entry in rng.permutation(size)[:ENTRIES]:
        if time.perf_counter() - start > BUDGET:
            return
        d = np.zeros(size)
        d[entry] = 1.0
        yield d.reshape(shape)


def phi(problem: Problem, primal: Callable, args: tuple, i: int, d, weight) -> Callable:
    """t -> ⟨w, f(x + t d)⟩ with d in live leaf i alone."""
    zeros = [np.zeros(v.shape) for v in problem.live]
    zeros[i] = d
    direction = problem.shape.merge(zeros, problem.rest)
    return along(primal, args, direction, weight)


def record(leaf: Findings, verdict: Verdict, hand: float, found: Difference) -> None:
    """The worst of the directions is the leaf's."""
    if verdict.severity <= leaf.verdict.severity:
        return
    leaf.verdict = verdict
    leaf.sentence = (
        f"along a direction hand {hand:.6g}, differences {found.value:.6g} ± "
        f"{found.error:.1g}"
    )
    if verdict is Verdict.INCONCLUSIVE:
        leaf.sentence += f": only errors above {found.visible:.1g} can be seen"
