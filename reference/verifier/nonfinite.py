"""NaN or inf from the hand, where the truth is finite: what does it say?

At the given point it is WRONG: even float64 is lost. Elsewhere it depends on where the
first operation that makes NaN or inf of finite numbers does so:

    beyond a range       exp(1e4), or 0/0 after exp(-1e4), and the same all around the
                         point: right in exact arithmetic, IMPRECISE; but not where
                         the truth itself is within a million of the largest float
    no derivative there  x/|x| at 0: NaN claims nothing where there is nothing to claim,
                         noted as a KINK
    else                 y/x at a zero of a product, log of a negative number: WRONG,
                         because the forward has a derivative there
"""

from typing import NamedTuple

import numpy as np

from reference.compare import rms
from reference.verdict import Verdict
from reference.verifier.points import Point
from reference.verifier.probe import Probe, Trial, lift

BESIDE = 2.0**-12  # Of an entry: too far for an exact zero or a tie to survive.
NEARLY = 2.0**-20 * np.finfo(np.float64).max  # The order of two factors decides.
JUMP = 1e-4  # Of the gradient's size: a curvature of 1 changes it by 1e-9.
OVERFLOWING = {
    "add", "add_any", "cosh", "cumprod", "cumsum", "dot_general", "exp", "exp2",
    "expm1", "integer_pow", "mul", "reduce_prod", "reduce_sum", "sinh", "square", "sub",
}  # fmt: skip
OF_ZERO = {"div", "integer_pow", "log", "pow", "rsqrt"}


class Culprit(NamedTuple):
    """The operation that first makes NaN or inf of finite numbers, and its operands."""

    operation: str = ""
    operands: tuple = ()

    @property
    def overflows(self) -> bool:
        """Whether by growing beyond the range of float64."""
        large = self.operation == "div" and not self.divides_by_zero
        return large or self.operation in OVERFLOWING

    @property
    def divides_by_zero(self) -> bool:
        """Whether because an operand is exactly 0."""
        return self.operation in OF_ZERO and any((v == 0).any() for v in self.operands)


def judge_nonfinite(
    probe: Probe, trial: Trial, i: int, hand: np.ndarray, truth: np.ndarray
) -> tuple[Verdict, str]:
    """The verdict on leaf `i`, and a sentence."""
    bad = np.isfinite(truth) & ~np.isfinite(hand)
    index = tuple(int(k) for k in np.argwhere(bad)[0])
    sentence = f"is {hand[index]} at {list(index)}, where the truth is finite"
    if trial.point.kind == "given":
        return Verdict.WRONG, sentence
    culprit = culprit_at(probe, trial, trial.point)
    if culprit.overflows and (abs(truth[bad]) > NEARLY).all():
        return Verdict.RIGHT, "overflows where the truth nearly does"
    if culprit.overflows:
        return Verdict.IMPRECISE, f"{sentence}: {culprit.operation} overflows"
    if culprit.divides_by_zero and underflows(probe, trial):
        return Verdict.IMPRECISE, f"{sentence}: a number underflows to 0"
    if not has_derivative(probe, trial, i, index, truth):
        return Verdict.KINK, f"is {hand[index]} where the forward has no derivative"
    return Verdict.WRONG, sentence


def underflows(probe: Probe, trial: Trial) -> bool:
    """Whether an operand is 0 all around the point, and not at the given floats."""
    beside = moved(trial.point, BESIDE, seed=probe.seed)
    given = Point("given", probe.problem.live, trial.point.rest)
    here, there = (culprit_at(probe, trial, p).divides_by_zero for p in (beside, given))
    return here and not there


def culprit_at(probe: Probe, trial: Trial, point: Point) -> Culprit:
    """What first makes NaN or inf in the hand at a point under the trial's dy."""
    dys = lift(probe.split(trial.cotangent))
    return Culprit(*probe.oracle.first_nonfinite(lift(point.live), point.rest, dys))


def has_derivative(probe, trial: Trial, i: int, index: tuple, truth) -> bool:
    """Whether the true gradient in one entry stays as it is all around the point."""
    dys = lift(probe.split(trial.cotangent))
    size = max(rms(truth), probe.scales[i] * rms(trial.cotangent.value))
    for seed in range(8):
        near = moved(trial.point, 2.0**-30, seed=seed)
        around = probe.oracle.truth(near.live, near.rest, dys).value[i]
        if not abs(around[index] - truth[index]) <= JUMP * size:
            return False
    return True


def moved(point: Point, size: float, *, seed: int) -> Point:
    """A point beside another, every entry moved by `size` of it and of its leaf."""
    rng = np.random.default_rng(seed)
    live = [
        v + size * (abs(v) + (rms(v) or 1.0)) * rng.standard_normal(v.shape)
        for v in lift(point.live)
    ]
    return Point(point.kind, live, point.rest)
