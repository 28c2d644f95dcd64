"""The verifier's judgement of many mutants at once.

A full check costs a second or two, most of it compilation, and a registry has thousands
of mutants. What does not depend on the mutant is done once: the trials that
reference.verifier.judge makes of the rule (its points, its cotangents), the truth there
and the truth's noise. All mutants run in one program (schema.py). Each is held against
the truth by the verifier's own comparison (reference.compare: 64 noise units, the
mutant's own noise included at the given point), and is out at its first failure.

A failure is no verdict yet: the verifier may excuse it. So a mutant counts as killed
here only where no excuse of reference.verifier.excuses can hold:

    rounding             its error is above 1e-7 of its leaf, a billion roundings
    kink                 the point is on none: the truth does not jump around it
    reverse, surrogate   forward mode confirms the truth at this trial

Whatever is not killed here is given to the full check. `tests/reference/mutate` holds
the two against each other.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from reference.compare import compare, rms, steady
from reference.mutate.schema import Schema
from reference.verifier.cotangents import generator
from reference.verifier.judge import typical_scale
from reference.verifier.noise import Noisy
from reference.verifier.nonfinite import JUMP
from reference.verifier.points import Point
from reference.verifier.probe import (
    REPEATS,
    Probe,
    Trial,
    given_trials,
    lift,
    nearby_trials,
)
from reference.verifier.replay import UNIT

PLAIN = 1e-7  # Of a leaf's size: what no rounding of float64 makes.


def trials_of(probe: Probe) -> list[Trial]:
    """The trials that reference.verifier.judge makes, the telling ones first."""
    given = Point("given", probe.problem.live, probe.problem.rest)
    home = list(given_trials(probe, given, True))
    count = len(probe.problem.names)
    probe.scales = [typical_scale(home, i) for i in range(count)]
    away = list(nearby_trials(probe))
    probe.scales = [typical_scale([home[-1], *away], i) for i in range(count)]
    return [*home[-3:], *away, *home[:-3]]


def quickly_killed(
    schema: Schema, probe: Probe, trials: list[Trial], wanted: Sequence[int]
) -> set[int]:
    """Of the wanted mutants, those that fail plainly at one of the trials."""
    alive = list(wanted)
    for trial in trials:
        if not alive:
            break
        dead = set(failing(schema, probe, trial, alive))
        alive = [k for k in alive if k not in dead]
    return set(wanted) - set(alive)


def failing(
    schema: Schema, probe: Probe, trial: Trial, alive: list[int]
) -> Iterator[int]:
    """The mutants that are wrong at one trial beyond any excuse."""
    live, dys = lift(trial.point.live), lift(probe.split(trial.cotangent))
    rest, at_home = trial.point.rest, trial.point.kind == "given"
    truth = probe.oracle.truth(live, rest, dys, repeats=REPEATS, seed=probe.seed)
    if not is_smooth(probe, trial, truth) or not is_confirmed(probe, trial, truth):
        return
    hands = schema.outputs(alive, live, rest, dys)
    spreads = own_noise(schema, alive, hands, live, rest, dys) if at_home else None
    judged = [i for i, is_judged in enumerate(probe.problem.is_judged) if is_judged]
    size = 4 * UNIT * rms(trial.cotangent.value)
    for place, k in enumerate(alive):
        for leaf, i in enumerate(judged):
            hand, value, noise = hands[leaf][place], truth.value[i], truth.noise[i]
            if spreads is not None:
                noise = np.fmax(noise, spreads[leaf][place])
            noise = steady(np.asarray(noise), value)
            if not at_home:
                noise = np.asarray(np.fmax(noise, size * probe.scales[i]))
            if is_plainly_wrong(hand, value, noise, at_home):
                yield k
                break


def is_plainly_wrong(hand, truth, noise, at_home: bool) -> bool:
    """Whether a leaf fails the verifier's comparison by more than rounding explains."""
    if np.isfinite(truth).all() and not np.isfinite(hand).all():
        return True
    if compare(hand, truth, noise, pooled_only=not at_home).passes:
        return False
    sees = np.isfinite(truth)
    error = np.abs(np.where(sees, hand - truth, 0)).max(initial=0)
    return bool(error > PLAIN * np.abs(np.where(sees, truth, 0)).max(initial=0))


def own_noise(schema: Schema, alive, hands, live, rest, dys) -> list[np.ndarray]:
    """How far each mutant moves when its inputs move by a rounding."""
    rng = generator(0, 11)
    spreads = [np.zeros(v.shape) for v in hands]
    for _ in range(REPEATS):
        moved = [shaken(v, rng) for v in live], rest, [shaken(v, rng) for v in dys]
        for spread, v, w in zip(spreads, hands, schema.outputs(alive, *moved)):
            with np.errstate(invalid="ignore"):
                np.fmax(spread, np.abs(w - v), out=spread)
    return [np.where(np.isfinite(s), s, 0.0) for s in spreads]


def shaken(v: np.ndarray, rng: np.random.Generator, size: float = 2 * UNIT):
    """Each entry times 1 ± size."""
    return v * (1 + size * rng.choice([-1.0, 1.0], v.shape))


def is_smooth(probe: Probe, trial: Trial, truth: Noisy) -> bool:
    """Whether the truth stays what it is on both sides of the point.

    Arguments that are not judged, labels kept as floats, stay what they are.
    """
    rng = generator(probe.seed, 12)
    live, dys = lift(trial.point.live), lift(probe.split(trial.cotangent))
    signs = [rng.choice([-1.0, 1.0], v.shape) for v in live]
    judged = probe.problem.is_judged
    for side in (1, -1):
        beside = [
            v + side * is_judged * 1e-9 * (rms(v) or 1.0) * s
            for v, s, is_judged in zip(live, signs, judged, strict=True)
        ]
        there = probe.oracle.truth(beside, trial.point.rest, dys).value
        for v, w, is_judged in zip(truth.value[: len(live)], there, judged):
            if not is_judged:
                continue
            if not np.isfinite(w).all() or np.abs(v - w).max(initial=0) > JUMP * rms(v):
                return False
    return True


def is_confirmed(probe: Probe, trial: Trial, truth: Noisy) -> bool:
    """Whether <V, d> = <dy, J d> for a random d: forward mode agrees with the truth."""
    rng = generator(probe.seed, 13)
    live, dys = lift(trial.point.live), lift(probe.split(trial.cotangent))
    d = [
        is_judged * rng.standard_normal(v.shape) * (rms(v) or 1.0)
        for v, is_judged in zip(live, probe.problem.is_judged, strict=True)
    ]
    forward = probe.oracle.forward_mode(live, trial.point.rest, d)
    terms = [v * w for v, w in zip(truth.value, d)]
    others = [v * w for v, w in zip(dys, forward)]
    size = sum(np.abs(v).sum() for v in [*terms, *others])
    gap = abs(sum(v.sum() for v in terms) - sum(v.sum() for v in others))
    return bool(gap <= 1e-9 * size)
