"""When the truth may be circular: a custom derivative inside the forward.

jax.vjp of a forward that contains a custom_jvp or custom_vjp returns what somebody
wrote by hand, and a hand that agrees with it has been compared with a hand. So the
custom rules are opened and the derivative of what they compute is taken
(reference.verifier.replay). Where the two readings differ, differences of the forward's
values decide between them.
A stop_gradient is no claim about a derivative but a wish: it is noted and obeyed.
"""

import numpy as np

from reference.compare import compare
from reference.verdict import Verdict
from reference.verifier.cotangents import generator, normal
from reference.verifier.judge import Findings
from reference.verifier.numeric import along, directional_derivative, judge_difference
from reference.verifier.points import Point
from reference.verifier.probe import Probe, lift


def judge_circular(probe: Probe, given: Point, findings: list[Findings], notes: list):
    """Hold leaves that agree with a custom derivative against its primal's."""
    customs = [c for c in probe.oracle.customs if not c.startswith("stop_gradient")]
    if not customs:
        return
    notes.append(f"the forward holds custom derivatives: {', '.join(customs)}")
    cotangent = normal(probe.size, generator(probe.seed, 8))
    dys = lift(probe.split(cotangent))
    _, truth, noise = probe.arrays(given, cotangent, noisy=True)
    try:
        opened = probe.oracle.inlined_truth(lift(given.live), given.rest, dys)
    except Exception as error:  # The primal has no derivative of its own: a loop.
        notes.append(f"and cannot be opened ({type(error).__name__})")
        opened = [np.full(v.shape, np.nan) for v in truth]
    for i, leaf in enumerate(findings):
        if leaf.verdict is not Verdict.RIGHT or not probe.problem.is_judged[i]:
            continue
        c = compare(truth[i], opened[i], noise[i], pooled_only=True)
        if not c.passes or c.blind == truth[i].size > 0:
            decide(probe, given, dys, i, leaf, truth[i])


def decide(probe: Probe, given: Point, dys: list, i: int, leaf: Findings, truth):
    """By differences along the truth and along random directions."""
    live = lift(given.live)
    rng = generator(probe.seed, 9)
    for d in (truth, *rng.standard_normal((2, *truth.shape))):
        size = float(np.sqrt(np.mean(d**2))) or 1.0
        tangents = [np.zeros_like(v) for v in live]
        tangents[i] = d / size
        found = directional_derivative(
            along(
                lambda vs: probe.oracle.primal(vs, given.rest),
                (live,),
                (tangents,),
                dys,
            )
        )
        claim = float(np.sum(truth * d)) / size
        tolerance = 2.0**-40 * float(np.sum(np.abs(truth * d))) / size
        verdict = judge_difference(claim, found, tolerance)
        if verdict is not Verdict.RIGHT and verdict.severity > leaf.verdict.severity:
            leaf.verdict = verdict
            leaf.sentence = (
                "agrees with a custom derivative inside the forward, and differences "
                f"of its values give {found.value:.6g} ± {found.error:.1g} "
                f"where it gives {claim:.6g}"
            )
