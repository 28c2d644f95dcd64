"""Digits of a backward whose forward JAX cannot differentiate.

There is no error of autodiff's to hold the hand's against in a working dtype. With its
unit roundoff u and H the hand in float64 at the same numbers, it may stray by

    (1)  max(4u max|H|, max_k |H(x (1 + u ξ_k)) - H(x)|),  ξ = ±1

what one rounding of the arguments does to it; beyond 16 times that it is IMPRECISE.
"""

import jax
import jax.numpy as jnp
import numpy as np

from reference.verdict import Verdict
from reference.verifier.cotangents import normal
from reference.verifier.judge import Findings
from reference.verifier.noise import to_numpy
from reference.verifier.oracle import PASSES
from reference.verifier.probe import REPEATS, lift
from reference.verifier.problem import Problem, live_cotangents
from reference.verifier.rounding import quantised, working_dtypes
from reference.verifier.subject import to_jax

STRAYS = 16.0  # A variance in one pass at mean 100 strays by 89, in two by 0.96.


def judge_digits(problem: Problem, findings: list[Findings], rng) -> None:
    """IMPRECISE for the leaves that are not WRONG and stray by more than (1) allows."""
    for dtype in working_dtypes(problem, []):
        unit = float(jnp.finfo(dtype).eps) / 2
        live = quantised(problem.live, dtype)
        flat = normal(problem.shape.output_size, rng).value
        dys = quantised(problem.shape.split(flat), dtype)
        hand = hand_at(problem, live, dys)
        exact = hand_at(problem, lift(live), lift(dys))
        moved = [
            hand_at(problem, moved_by(unit, lift(live), rng), lift(dys))
            for _ in range(REPEATS)
        ]
        for i, leaf in enumerate(findings):
            if not problem.is_judged[i] or exact[i].size == 0:
                continue
            noise = max(float(abs(m[i] - exact[i]).max()) for m in moved)
            allowed = max(4 * unit * float(abs(exact[i]).max()), noise)  # (1)
            error = float(np.nan_to_num(abs(hand[i] - exact[i]), nan=np.inf).max())
            ratio = error / allowed if error else 0.0
            leaf.rounding[str(np.dtype(dtype))] = ratio
            if ratio > STRAYS and leaf.verdict.severity < Verdict.IMPRECISE.severity:
                leaf.verdict = Verdict.IMPRECISE
                leaf.sentence = (
                    f"right in exact arithmetic, but in {np.dtype(dtype)} {ratio:.3g} "
                    "times as far from its own value in float64 as it may be"
                )


def hand_at(problem: Problem, live: list, dys: list) -> list[np.ndarray]:
    """The cotangents of the live leaves in the dtype of `live`, as float64."""
    args, dy = problem.shape.merge(live, problem.rest), problem.shape.cotangent(dys)
    if problem.is_jax:
        args, dy = jax.tree.map(to_jax, (args, dy))
    PASSES["hand"] += 1
    with np.errstate(all="ignore"):
        _, residuals = problem.subject.forward(*args)
        found = problem.subject.backward(residuals, dy)
    return to_numpy(live_cotangents(args, found, problem.shape))


def moved_by(unit: float, live: list[np.ndarray], rng) -> list[np.ndarray]:
    """Every entry times 1 ± unit."""
    return [v * (1 + unit * rng.choice([-1.0, 1.0], v.shape)) for v in live]
