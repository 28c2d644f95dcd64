"""The rule of the rule: whether backward itself may be differentiated.

Where H(x, dy) = V(x, dy) at every x and dy, their derivatives are equal too, and with
them the symmetry of a Hessian, unless H hides something from autodiff: a stop_gradient
or a custom derivative inside backward. Only then are, along one random direction,

    (1)  jvp of H in (x, dy)   and   jvp of V in (x, dy)

compared. A difference is a note: the first derivative is right without it.
"""

import jax
import numpy as np

from reference.compare import rms
from reference.verdict import Verdict
from reference.verifier.cotangents import generator, normal
from reference.verifier.judge import Findings
from reference.verifier.points import Point
from reference.verifier.probe import Probe, lift

TOLERANCE = 1e-6  # Of the leaf's size: what is hidden is a term, not a rounding.


def second_order_notes(
    probe: Probe, given: Point, findings: list[Findings]
) -> list[str]:
    """A note for each leaf whose backward has another derivative than the truth."""
    hidden = probe.oracle.hidden
    if not hidden:
        return []
    rng = generator(probe.seed, 12)
    live, dys = lift(given.live), lift(probe.split(normal(probe.size, rng)))
    moves = [[rng.standard_normal(v.shape) for v in vs] for vs in (live, dys)]
    functions, pullback = probe.oracle.functions, probe.oracle.pullback

    def derivative(f):
        at = lambda live, dys: f(live, given.rest, dys)[: len(live)]  # noqa: E731
        return jax.jit(lambda: jax.jvp(at, (live, dys), tuple(moves))[1])()  # (1)

    try:
        hand = derivative(functions.hand)
        truth = derivative(pullback(functions.primal))
    except Exception:  # A reverse-only derivative inside: there is nothing to compare.
        return []
    notes = []
    for name, leaf, h, v in zip(probe.problem.names, findings, hand, truth):
        error = np.abs(np.asarray(h) - np.asarray(v)).max(initial=0)
        judged = leaf.verdict is Verdict.RIGHT and leaf.exercised > 0
        if judged and error > TOLERANCE * rms(np.asarray(v)):
            notes.append(
                f"{name}: the derivative of backward is not the second derivative of "
                f"the forward, because backward holds {', '.join(hidden)}"
            )
    return notes
