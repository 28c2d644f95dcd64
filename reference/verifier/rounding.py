"""ROUNDING: a backward that is right in float64, in the dtype that it is used in."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from reference.compare import steady
from reference.verdict import Verdict
from reference.verifier.cotangents import generator, normal
from reference.verifier.oracle import exact_arithmetic
from reference.verifier.points import Point
from reference.verifier.probe import REPEATS, Probe, lift
from reference.verifier.problem import Problem
from reference.verifier.replay import UNIT

IMPRECISE_FROM = 3.0  # Of 1100 right leaves none exceeds 1.1; imprecise from 9 on.
SATURATED = 2.0**-24
BETTER = 4.0  # Of 1100 right leaves none that copies autodiff has half of its error.


class Straying(NamedTuple):
    """How far a leaf strays from the truth in a working dtype.

    Attributes:
        error: The hand's largest error.
        allowed: What it may be.
        autodiff: The largest error of autodiff's; inf where it is not finite and the
            hand is.
        floor: Four units in the last place of the largest entry.
    """

    error: float
    allowed: float
    autodiff: float
    floor: float

    @property
    def ratio(self) -> float:
        """1 and less is as good as autodiff."""
        return self.error / self.allowed

    @property
    def gain(self) -> float:
        """How many times farther autodiff strays; what is below the floor is luck."""
        return self.autodiff / max(self.error, self.floor)


def strays(
    hand: np.ndarray,
    auto: np.ndarray,
    hand64: np.ndarray,
    truth: np.ndarray,
    noise: np.ndarray,
    unit: float,
    scale: float,
) -> Straying:
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
        noise: s of reference.verifier.oracle, in float64.
        unit: Unit roundoff of the working dtype.
        scale: What V's size is elsewhere. A leaf that is nothing beside it, because
            everything is saturated, has no digits worth keeping.

    Returns:
        The two, beside autodiff's; inf of 1 where the hand overflows and autodiff does
        not, 0 of 1 where there is nothing to lose.
    """
    sees = np.isfinite(truth) & np.isfinite(auto) & np.isfinite(hand64)
    alone = np.isfinite(truth) & np.isfinite(hand) & ~np.isfinite(auto)
    size = np.where(sees, np.fmax(np.abs(truth), np.abs(hand64)), 0)
    if not size.max(initial=0) > SATURATED * scale:
        return Straying(0.0, 1.0, np.inf if alone.any() else 0.0, 1.0)
    if not np.isfinite(hand[sees]).all():
        return Straying(np.inf, 1.0, 0.0, 1.0)
    error = np.abs(hand[sees] - hand64[sees]).max()
    own = np.abs(auto[sees] - truth[sees]).max()
    conditioning = steady(noise, truth)[sees].max() * unit / UNIT
    floor = 4 * unit * size.max()
    return Straying(
        float(error),
        float(max(own, floor, conditioning)),
        np.inf if alone.any() else float(own),
        float(floor),
    )


def straying(probe: Probe, given: Point, dtype, x64: bool) -> list[Straying]:
    """For each live leaf how far it strays in a working dtype, and how far it may.

    All are the largest over three cotangents: luck in one of them excuses nobody.
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
    return [Straying(*map(max, zip(*leaf))) for leaf in zip(*samples)]


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
        name = str(np.dtype(dtype))
        strays_of = straying(probe, given, dtype, x64)
        for i, (leaf, found) in enumerate(zip(findings, strays_of)):
            leaf.rounding[name] = found.ratio
            if found.ratio > IMPRECISE_FROM and may_be_imprecise(leaf, i):
                leaf.verdict = Verdict.IMPRECISE
                leaf.sentence = (
                    f"right in exact arithmetic, but in {name} "
                    f"{found.ratio:.3g} times as far from the truth as it may be"
                )
            elif found.gain > BETTER and leaf.verdict is Verdict.RIGHT:
                praise = f"better than autodiff in {name}, which {says(found)}"
                leaf.sentence = "; ".join(filter(None, (leaf.sentence, praise)))


def says(found: Straying) -> str:
    """What autodiff does worse."""
    if np.isinf(found.autodiff):
        return "is not finite"
    return f"is {found.gain:.3g} times as far from the truth"


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
