"""A forward that JAX cannot differentiate, judged by differences alone.

NumPy code, callbacks, loops of unknown length: there is no truth to compare with entry
by entry, only values of the forward. For a weight w on the output, H = backward(w), and
directions d in one leaf each, a few random ones and then single entries,

    (1)  ⟨H, d⟩  against  D ± err = d/dt ⟨w, f(x + t d)⟩ at t = 0

by reference.verifier.numeric. A leaf is RIGHT where every difference agrees and could
have seen an error of 1e-6, WRONG where one disagrees, INCONCLUSIVE otherwise. Where the
bar at the given point is wide and a generic point nearby is RIGHT, the exponents of
reference.verifier.kinks say why: on a kink, a claim between the two slopes is valid.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import jax
import numpy as np

from reference.compare import rms
from reference.verdict import Verdict
from reference.verifier.cotangents import Cotangent, generator, normal
from reference.verifier.digits import judge_digits
from reference.verifier.judge import Findings
from reference.verifier.kinks import Kink, gap_exponent, secants
from reference.verifier.numeric import (
    Difference,
    along,
    directional_derivative,
    judge_difference,
    taylor,
)
from reference.verifier.oracle import PASSES
from reference.verifier.points import Point, jitter, kind_of
from reference.verifier.probe import Trial, lift
from reference.verifier.problem import (
    ContractError,
    Problem,
    first_line,
    live_cotangents,
)
from reference.verifier.subject import to_jax

BUDGET = 4.0  # Seconds a leaf and point may take; at least three directions are tried.
RANDOM = 3
ENTRIES = 48
TOLERANCE = 2.0**-46  # Of ⟨|H|, |d|⟩: 128 roundings of the claim itself.


@dataclass(frozen=True)
class Seen:
    """What one direction shows of a leaf at a point."""

    verdict: Verdict
    phi: Callable[[float], float]
    hand: float
    difference: Difference
    entry: tuple[int, ...] = ()


def judge_black_box(problem: Problem, seed: int) -> tuple[list[Findings], list[str]]:
    """Findings for every live leaf, and notes."""
    rng = generator(seed, 5)
    given = Point("given", problem.live, problem.rest)
    near = [off_zero(jitter(v, kind_of(v), rng), rng) for v in problem.live]
    generic = Point("generic values", near, problem.rest)
    findings = [Findings() for _ in problem.names]
    for i, leaf in enumerate(findings):
        if not problem.is_judged[i]:
            continue
        seen = judge_leaf(problem, given, i, seed)
        record(leaf, seen, given)
        if leaf.verdict is not Verdict.WRONG:
            settle_nearby(problem, generic, i, leaf, seen, seed)
    judge_digits(problem, findings, rng)
    return findings, ["judged by differences: JAX cannot differentiate the forward"]


def off_zero(v: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A generic leaf with its zeros, which may be kinks, moved by half its size."""
    if kind_of(v) != "generic" or np.iscomplexobj(v):
        return v
    step = 0.5 * rms(v) * rng.choice([-1.0, 1.0], v.shape)
    return np.asarray(np.where(v == 0, step, v).astype(v.dtype))


def settle_nearby(
    problem, generic: Point, i: int, leaf: Findings, seen: list[Seen], seed: int
) -> None:
    """The generic point and the kind of the given one decide what that leaves open."""
    try:
        others = judge_leaf(problem, generic, i, seed)
    except ContractError:  # The function's own refusal of those values.
        return
    other = Findings()
    record(other, others, generic)
    if other.verdict is Verdict.WRONG:
        leaf.verdict, leaf.trial, leaf.shown = other.verdict, other.trial, other.shown
        leaf.sentence = f"{other.sentence} (at generic values)"
    elif all(s.hand == 0 and is_zero(s.difference) for s in (*seen, *others)):
        leaf.verdict = Verdict.UNTESTED
        leaf.sentence = "the true gradient is zero wherever it was probed"
    elif leaf.verdict is Verdict.INCONCLUSIVE and other.verdict is Verdict.RIGHT:
        excuse(leaf, [s for s in seen if s.verdict is Verdict.INCONCLUSIVE], other)


def is_zero(d: Difference) -> bool:
    """Whether a derivative is zero within its bars."""
    return abs(d.value) <= 8 * d.error < np.inf


def excuse(leaf: Findings, unseen: list[Seen], other: Findings) -> None:
    """KINK or RIGHT, where every direction left open is on a kink or has no slope."""
    kinds = [kind_of_point(s.phi) for s in unseen]
    leaf.shown["kink"] = kinds[0]
    on_kink = [k.kind in ("kink", "near kink") for k in kinds]
    flat = [k.kind == "smooth" and is_zero(s.difference) for s, k in zip(unseen, kinds)]
    if not all(a or b for a, b in zip(on_kink, flat)):
        return
    leaf.visible = other.visible
    leaf.verdict = Verdict.KINK if any(on_kink) else Verdict.RIGHT
    what = "within the slopes at the kink" if any(on_kink) else "zero within the bars"
    leaf.sentence = f"{what}; right at generic values nearby"


def kind_of_point(phi: Callable[[float], float]) -> Kink:
    """Smooth, a kink or worse, from values alone."""
    slope_at, noise_at = secants(phi)
    return gap_exponent(slope_at, phi, noise_at=noise_at)


def judge_leaf(problem: Problem, point: Point, i: int, seed: int) -> list[Seen]:
    """(1) for one leaf at one point, up to the first direction that is WRONG."""
    shape, subject = problem.shape, problem.subject
    args = shape.merge(lift(point.live), point.rest)
    flat = normal(shape.output_size, generator(seed, 6)).value
    weight = shape.cotangent(lift(shape.split(flat)))
    if problem.is_jax:
        args, weight = jax.tree.map(to_jax, (args, weight))
    hand = hand_at(problem, args, weight, i)
    primal = subject.primal or (lambda *a: subject.forward(*a)[0])
    found = []
    for d, entry in directions(hand.shape, seed):
        f = phi(problem, primal, args, i, d, weight)
        difference = directional_derivative(f)
        PASSES["forward"] += difference.evaluations
        claim, size = float(np.sum(hand * d)), float(np.sum(np.abs(hand * d)))
        scale = rms(hand) * float(np.linalg.norm(d))
        verdict = judge_difference(claim, difference, TOLERANCE * size, scale)
        found.append(Seen(verdict, f, claim, difference, entry))
        if verdict is Verdict.WRONG:
            break
    return found


def hand_at(problem: Problem, args: tuple, weight, i: int) -> np.ndarray:
    """The hand-written cotangent of one leaf in float64.

    Raises:
        ContractError: what forward or backward raises there.
    """
    subject = problem.subject
    PASSES["hand"] += 1
    try:
        _, residuals = subject.forward(*args)
        cotangents = subject.backward(residuals, weight)
    except Exception as error:
        raise ContractError(
            f"forward and backward must run in float64, in which they are judged, but "
            f"raise {first_line(error)}"
        ) from error
    return np.asarray(live_cotangents(args, cotangents, problem.shape)[i], np.float64)


def directions(shape: tuple, seed: int) -> Iterator[tuple[np.ndarray, tuple]]:
    """Random directions of unit root mean square, then single entries by index."""
    rng, start = generator(seed, 7), time.perf_counter()
    for _ in range(RANDOM):
        yield rng.standard_normal(shape), ()
    size = int(np.prod(shape))
    for entry in rng.permutation(size)[:ENTRIES]:
        if time.perf_counter() - start > BUDGET:
            return
        d = np.zeros(size)
        d[entry] = 1.0
        yield d.reshape(shape), tuple(map(int, np.unravel_index(entry, shape)))


def phi(problem: Problem, primal: Callable, args: tuple, i: int, d, weight) -> Callable:
    """t -> ⟨w, f(x + t d)⟩ with d in live leaf i alone; NaN where f raises."""
    zeros = [np.zeros(v.shape) for v in problem.live]
    zeros[i] = d
    direction = problem.shape.merge(zeros, problem.rest)
    value_at = along(primal, args, direction, weight)

    def guarded(t: float) -> float:
        try:
            return value_at(t)
        except Exception:  # Outside of its domain a function may raise.
            return np.nan

    return guarded


def record(leaf: Findings, seen: list[Seen], point: Point) -> None:
    """The worst of the directions is the leaf's."""
    worst = max(seen, key=lambda s: s.verdict.severity)
    leaf.verdict, leaf.exercised = worst.verdict, 1.0
    leaf.visible = float(np.median([s.difference.visible for s in seen]))
    leaf.visible_worst = max(s.difference.visible for s in seen)
    if worst.verdict is Verdict.RIGHT:
        return
    found = worst.difference
    place = f"at {list(worst.entry)}" if worst.entry else "along a direction"
    leaf.sentence = (
        f"{place} hand {worst.hand:.6g}, differences {found.value:.6g} ± "
        f"{found.error:.1g}"
    )
    leaf.shown = {
        "point": point.kind,
        "index": worst.entry,
        "hand": worst.hand,
        "difference": (found.value, found.error),
    }
    if worst.verdict is Verdict.INCONCLUSIVE:
        leaf.sentence += f": only errors above {found.visible:.1g} can be seen"
        return
    leaf.trial = Trial(point, Cotangent("normal", np.zeros(0)), [])
    leaf.shown |= {
        "relative": abs(worst.hand - found.value) / max(abs(found.value), found.error),
        "taylor": taylor(worst.phi, worst.hand),
        "kink": kind_of_point(worst.phi),
    }
