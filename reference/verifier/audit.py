"""What a check could not see at the given arguments, said aloud.

    saturated   the true gradient is nothing beside what it is nearby
    degenerate  arguments that are zero or constant, or equal to each other, hide terms:
                a scale of 1, a bias of 0, a prediction that meets its target

The points nearby see what these hide, so they are notes and not verdicts.
"""

import numpy as np

from reference.compare import rms
from reference.verifier.probe import Trial
from reference.verifier.problem import Problem

SATURATED = 1e-12
CALM = ("generic values", "other signs", "small values", "ties", "zeros")


def saturation(names: list[str], home: list[Trial], away: list[Trial]) -> list[str]:
    """A note for each leaf whose gradient is saturated at the given point."""
    calm = [t for t in away if t.point.kind in CALM]  # Where nothing grows.
    notes = []
    for i, name in enumerate(names):
        here, nearby = largest_scale(home, i), largest_scale(calm, i)
        if 0 < here < SATURATED * nearby:
            notes.append(
                f"{name}: saturated at the given point, where the true gradient is "
                f"{here / nearby:.0e} of what it is nearby"
            )
    return notes


def largest_scale(trials: list[Trial], i: int) -> float:
    """The largest rms(V)/rms(dy) of a leaf."""
    ratios = [t.comparisons[i].scale / rms(t.cotangent.value) for t in trials]
    return max((r for r in ratios if np.isfinite(r)), default=0.0)


def degenerate_arguments(problem: Problem) -> list[str]:
    """Notes on float arguments that are constant or equal to one another."""
    named = [(n, v) for n, v in zip(problem.names, problem.live) if v.size > 1]
    constant = [n for n, v in named if (v == v.ravel()[0]).all()]
    equal = [
        f"{n} and {m}"
        for k, (n, v) in enumerate(named)
        for m, w in named[k + 1 :]
        if n not in constant and v.shape == w.shape and np.array_equal(v, w)
    ]
    notes = []
    if constant:
        notes.append(
            f"the arguments of {', '.join(constant)} are constant: what that hides is "
            "judged at the points nearby"
        )
    if equal:
        notes.append(
            f"the arguments of {', '.join(equal)} are equal: what that hides is judged "
            "at the points nearby"
        )
    return notes
