"""Which mutants are no mistakes: those that compute what the original computes.

A mutant is equal to the original at a point where every leaf is, to

    (1)  |m - o| <= max(1e-9 max|o|, 2^-46 max(|o'|, |dy|), 64 s)

over the entries of that leaf. The second bound, with o' every leaf, is for a leaf that
is zero but for rounding; s is the noise of the truth (reference.verifier.oracle) where
it is known. Equal at three points drawn afresh, at the points that the verifier visits
(ties, zeros, other scales, repeated indices) and at every registered input is
equivalent: 1/1 for 1, a summand that is identically zero, a sum over one entry.

A mutant that differs at a tie or a kink alone is not equivalent. It may still be right:
another subgradient. That is for the verifier to say, and is counted apart.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from reference.mutate.schema import Mutation, Schema
from reference.verifier.cotangents import generator, normal
from reference.verifier.points import Point, jitter, kind_of
from reference.verifier.probe import REPEATS, Probe, Trial, lift
from reference.verifier.problem import Problem

FRESH = 3


def differences(
    schema: Schema, probe: Probe, trials: Sequence[Trial]
) -> dict[int, Point]:
    """The mutants that are not equivalent at these shapes, and where each differs."""
    found: dict[int, Point] = {}
    for point, dys, noise in places(probe, trials):
        which = [k for k in range(len(schema.mutations)) if k not in found]
        live = lift(point.live)
        for k in differing(schema, which, live, point.rest, dys, noise):
            found[k] = point
    return found


def places(probe: Probe, trials: Sequence[Trial]) -> Iterator[tuple]:
    """Fresh points, then those of the trials: point, dy and the noise, where known."""
    problem, rng = probe.problem, generator(probe.seed, 14)
    for sign in (1, -1, 1)[:FRESH]:
        live = [jitter(v, kind_of(v), rng) for v in problem.live]
        dy = sign * np.abs(normal(probe.size, rng).value)
        if probe.size > 1:
            dy = normal(probe.size, rng).value
        point = Point("generic values", live, problem.rest)
        yield point, problem.shape.split(dy), None
    for trial in trials:
        dys = probe.split(trial.cotangent)
        at = lift(trial.point.live), trial.point.rest, lift(dys)
        noise = probe.oracle.truth(*at, repeats=REPEATS, seed=probe.seed).noise
        judged = [n for n, j in zip(noise, problem.is_judged) if j]
        yield trial.point, dys, judged


def elsewhere(
    schema: Schema, equal_so_far: Sequence[int], problem: Problem, seed: int = 0
) -> list[int]:
    """Of the mutants, those that differ at another problem, of any shape."""
    wanted: list[Mutation] = [schema.mutations[k] for k in equal_so_far]
    other, which = schema, list(equal_so_far)
    if problem.shape != schema.problem.shape:
        other = Schema(problem, schema.place, schema.terms, only=wanted)
        which = list(range(len(other.mutations)))
    flat = normal(problem.shape.output_size, generator(seed, 15)).value
    dys = problem.shape.split(flat)
    found = differing(other, which, lift(problem.live), problem.rest, dys)
    names = {identity(other.mutations[k]) for k in found}
    return [k for k in equal_so_far if identity(schema.mutations[k]) in names]


def identity(mutation: Mutation) -> tuple:
    """What a mutation is called at every shape."""
    place = getattr(mutation, "primitive", ""), getattr(mutation, "occurrence", 0)
    return (*place, mutation.kind, str(mutation))


def differing(
    schema: Schema, which: Sequence[int], live, rest, dys, noise: list | None = None
) -> list[int]:
    """The mutants that are not equal to the original at a point."""
    if not which:
        return []
    outputs = schema.outputs([-1, *which], live, rest, dys)
    original = [v[0] for v in outputs]
    if not all(np.isfinite(v).all() for v in original):
        return []
    largest = [np.abs(v).max() for v in [*original, *dys] if v.size]
    floor = 2.0**-46 * max(largest, default=0.0)
    allowed = [
        np.maximum(max(1e-9 * np.abs(o).max(initial=0), floor), 64 * s)  # (1)
        for o, s in zip(original, noise or [0.0] * len(original), strict=True)
    ]
    return [
        k
        for place, k in enumerate(which, 1)
        if not all(
            (np.abs(v[place] - o) <= a).all()
            for v, o, a in zip(outputs, original, allowed, strict=True)
        )
    ]
