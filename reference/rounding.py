"""ROUNDING: a backward that is right in float64, in the dtype that it is used in."""

import jax.numpy as jnp
import numpy as np

from reference.compare import steady
from reference.cotangents import generator, normal
from reference.oracle import exact_arithmetic
from reference.points import Point
from reference.probe import REPEATS, Probe, lift
from reference.problem import Problem
from reference.replay import UNIT
from reference.verdict import Verdict

IMPRECISE_FROM = 3.0  # Of 1100 right leaves none exceeds 1.1; imprecise from 9 on.
SATURATED = 2.0**-24


def strays(
    hand: np.ndarray,
    auto: np.ndarray,
    hand64: np.ndarray,
    truth: np.ndarray,
    noise: np.ndarray,
    unit: float,
    scale: float,
) -> tuple[float, float]:
    """How far the hand strays in a working dtype, and how far it may.

    It strays by max_j |hand_j - H_j|, and may by the largest of max_j |auto_j - V_j|,
    four units in the last place of the largest entry, and the conditioning bound
    max_j s_j (unit / u). H, the hand in float64, was found right before: at a kink it
    may differ from V and is its own reference.

    Args:
        hand: The hand-written result in the working dtype, lifted.
        auto: Autodiff's.
        hand64: H in float64 at the same numbers.
        truth: V.
        noise: s of reference.oracle, in float64.
        unit: Unit roundoff of the working dtype.
        scale: What V's size is elsewhere. A leaf that is nothing beside it, because
            everything is saturated, has no digits worth keeping.

    Returns:
        The two; (inf, 1) where the hand overflows and autodiff does not, (0, 1) where
        there is nothing to lose.
    """
    sees = np.isfinite(truth) & np.isfinite(auto) & np.isfinite(hand64)
    size = np.where(sees, np.abs(truth), 0)
    if not size.max(initial=0) > SATURATED * scale:
        return 0.0, 1.0
    if not np.isfinite(hand[sees]).all():
        return np.inf, 1.0
    error = np.abs(hand[sees] - hand64[sees]).max()
    own = np.abs(auto[sees] - truth[sees]).max()
    conditioning = steady(noise, truth)[sees].max() * unit / UNIT
    return float(error), float(max(own, 4 * unit * size.max(), conditioning))


def rounding_ratios(probe: Probe, given: Point, dtype, x64: bool) -> list[float]:
    """For each live leaf how far it strays over how far it may, in a working dtype.

    Both are the largest over three cotangents: luck in one of them excuses nobody. 1
    and less is as good as autodiff.
    """
    rng = generator(probe.seed, 3)
    point = Point("given", quantised(given.live, dtype), given.rest)
    unit = float(jnp.finfo(dtype).eps) / 2
    samples = []
    for _ in range(3):
        dys = quantised(probe.split(normal(probe.size, rng)), dtype)
        with exact_arithmetic():
            at = lift(point.live), point.rest, lift(dys)
            truth = probe.oracle.truth(*at, repeats=REPEATS)
            hand64 = probe.oracle.hand(*at).value
        with exact_arithmetic(x64=x64):
            hand = probe.oracle.as_written("hand", point.live, point.rest, dys)
            auto = probe.oracle.as_written("truth", point.live, point.rest, dys)
        leaves = zip(hand, auto, hand64, truth.value, truth.noise, probe.scales)
        samples.append([strays(h, a, w, v, s, unit, k) for h, a, w, v, s, k in leaves])
    return [
        max(error for error, _ in leaf) / max(allowed for _, allowed in leaf)
        for leaf in zip(*samples)
    ]


def quantised(leaves: list[np.ndarray], dtype) -> list[np.ndarray]:
    """Float leaves rounded to a dtype; complex ones as they are."""
    with np.errstate(over="ignore"):
        return [
            v if np.iscomplexobj(v) else np.asarray(v.astype(dtype)) for v in leaves
        ]


def judge_rounding(probe: Probe, given: Point, findings, dtypes, x64: bool) -> None:
    """IMPRECISE for the leaves that are right in float64 and lose digits below.

    Args:
        probe: Whose problem.
        given: Its given point.
        findings: One a live leaf; they are updated.
        dtypes: The working dtypes; those of the arguments where None.
        x64: Whether the user's JAX is in its 64-bit mode.
    """
    for dtype in dtypes or working_dtypes(probe.problem, probe.oracle.leaks):
        ratios = rounding_ratios(probe, given, dtype, x64)
        for i, (leaf, ratio) in enumerate(zip(findings, ratios)):
            leaf.rounding[str(np.dtype(dtype))] = ratio
            if ratio > IMPRECISE_FROM and may_be_imprecise(leaf, i):
                leaf.verdict = Verdict.IMPRECISE
                leaf.sentence = (
                    f"right in exact arithmetic, but in {np.dtype(dtype)} "
                    f"{ratio:.3g} times as far from the truth as it may be"
                )


def may_be_imprecise(leaf, i: int) -> bool:
    """Whether a leaf that loses digits is IMPRECISE: one that was right before.

    And one that was WRONG only for NaN at a point nobody gave: 0/0 is where a formula
    ends that loses digits on the way there.
    """
    if leaf.verdict is not Verdict.WRONG:
        return leaf.verdict is Verdict.RIGHT
    away = leaf.trial is not None and leaf.trial.point.kind != "given"
    return away and bool(np.isinf(leaf.trial.comparisons[i].units))


def working_dtypes(problem: Problem, leaks: list[str]) -> list:
    """The float dtypes of the arguments; float32 where they are float64.

    In float64 the truth has no digits to spare, unless something casts to a narrower
    float: then float64 is judged too, and who casts alone is IMPRECISE.
    """
    dtypes = {v.dtype for v in problem.live if not np.iscomplexobj(v)}
    if leaks and np.dtype(np.float64) in dtypes:
        return [np.dtype(np.float32), np.dtype(np.float64)]
    return sorted(
        {np.dtype(np.float32) if d == np.float64 else d for d in dtypes}, key=str
    )
