"""Where the forward is not the function that it stands for.

Newton's method in eight steps is the square root of 2 and not that of 10 000. Its
derivative by the implicit function theorem is right where the iteration has converged,
and that the moved arguments of reference.verifier.points left that domain is nobody's
mistake. So a point away from the given one says nothing where

    (1)  an iteration has not converged, as it has at the given arguments to 2^-40:
         after 2n + 1 steps in place of n it gives another y (2n would not show that
         it swings between two values)
    (2)  the forward gives another y than the primal whose derivative is the truth
    (3)  y is nothing but rounding, as the inverse of a singular matrix
"""

from collections.abc import Callable

import numpy as np

from reference.compare import rms
from reference.verifier.points import Point
from reference.verifier.probe import REPEATS, Probe, Trial, lift

CONVERGED = 2.0**-40
LOST = 2.0**-7  # Of y: two digits are left.


def leaves_domain(probe: Probe, trial: Trial) -> bool:
    """Whether (1), (2) or (3) holds at a trial's point, and not at the given one."""
    given = Point("given", probe.problem.live, probe.problem.rest)
    readings: list[tuple[Callable, Callable]] = []
    if probe.oracle.iterates:
        readings.append((probe.oracle.computed, probe.oracle.prolonged))  # (1)
    if probe.problem.subject.primal is not None:
        readings.append((probe.oracle.primal, probe.oracle.computed))  # (2)
    return is_rounding(probe, trial) or any(
        gap(*pair, given) <= CONVERGED < gap(*pair, trial.point) for pair in readings
    )


def gap(one: Callable, other: Callable, point: Point) -> float:
    """The largest relative difference between two readings of y."""
    at = lift(point.live), point.rest
    return max(
        share(np.asarray(a - b), max(rms(a), rms(b)))
        for a, b in zip(one(*at), other(*at))
    )


def is_rounding(probe: Probe, trial: Trial) -> bool:
    """(3) by moves of the last bits of the arguments; the truth's lists end with y."""
    at = lift(trial.point.live), trial.point.rest, lift(probe.split(trial.cotangent))
    found = probe.oracle.truth(*at, repeats=REPEATS, seed=probe.seed)
    y = slice(len(trial.point.live), None)
    pairs = zip(found.value[y], found.noise[y])
    return any(share(noise, rms(v)) > LOST for v, noise in pairs)


def share(part: np.ndarray, whole: float) -> float:
    """The size of a part; inf where it is not a number."""
    with np.errstate(invalid="ignore"):
        return float(np.nan_to_num(rms(part) / max(whole, 1e-300), nan=np.inf))
