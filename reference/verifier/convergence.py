"""Where the forward is not the function that it stands for.

Newton's method in eight steps is the square root of 2 and not that of 10 000. Its
derivative by the implicit function theorem is right where the iteration has converged,
and that the moved arguments of reference.verifier.points left that domain is nobody's
mistake. So a point away from the given one says nothing where

    (1)  an iteration has not converged, as it has at the given arguments to 2^-40:
         after twice as many steps it gives another y
    (2)  the forward gives another y than the primal whose derivative is the truth
"""

from collections.abc import Callable

import numpy as np

from reference.compare import rms
from reference.verifier.points import Point
from reference.verifier.probe import Probe, lift

CONVERGED = 2.0**-40


def leaves_domain(probe: Probe, point: Point) -> bool:
    """Whether (1) or (2) holds at a point, and not at the given one."""
    others: list[Callable] = []
    if probe.oracle.iterates:
        others.append(probe.oracle.prolonged)  # (1)
    if probe.problem.subject.primal is not None:
        others.append(probe.oracle.computed)  # (2)
    given = Point("given", probe.problem.live, probe.problem.rest)
    return any(gap(probe, f, given) <= CONVERGED < gap(probe, f, point) for f in others)


def gap(probe: Probe, other: Callable, point: Point) -> float:
    """The largest relative difference between two readings of y."""
    at = lift(point.live), point.rest
    pairs = zip(probe.oracle.primal(*at), other(*at))
    with np.errstate(invalid="ignore"):
        return max(
            np.nan_to_num(
                rms(np.asarray(a - b)) / max(rms(a), rms(b), 1e-300), nan=np.inf
            )
            for a, b in pairs
        )
