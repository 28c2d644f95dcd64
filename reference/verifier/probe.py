"""Trials: the hand and the truth side by side at one point under one cotangent."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from reference.compare import Comparison, compare, rms, steady
from reference.verifier.cotangents import Cotangent, coded, decode, generator, normal
from reference.verifier.noise import lifted
from reference.verifier.oracle import Oracle
from reference.verifier.points import Point, kind_of, nearby_points
from reference.verifier.problem import ContractError, Problem, first_line
from reference.verifier.replay import UNIT

REPEATS = 4
LARGE = 2_000_000  # Entries in all live leaves beyond which fewer points are visited.


@dataclass(frozen=True)
class Trial:
    """One comparison of hand and truth; arrays are made again when asked for."""

    point: Point
    cotangent: Cotangent
    comparisons: list[Comparison]


@dataclass
class Probe:
    """Runs trials of one problem at one set of shapes."""

    problem: Problem
    oracle: Oracle
    seed: int
    scales: list[float] = field(default_factory=list)  # rms(V)/rms(dy), in the median.
    points: int = 24
    refusals: dict[str, list[str]] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Entries of all live output leaves."""
        return self.problem.shape.output_size

    def split(self, cotangent: Cotangent) -> list[np.ndarray]:
        """dy leaf by leaf, in float64: it need not fit into the output's dtype."""
        return self.problem.shape.split(cotangent.value)

    def output(self, point: Point) -> list[np.ndarray]:
        """The float leaves of y in float64, from the truth's own program."""
        dys = lift(self.split(Cotangent("zero", np.zeros(self.size))))
        value = self.oracle.truth(lift(point.live), point.rest, dys).value
        return value[len(point.live) :]

    def arrays(self, point: Point, cotangent: Cotangent, *, noisy: bool) -> tuple:
        """Hand, truth and noise at a point, all float64."""
        live, dys = lift(point.live), lift(self.split(cotangent))
        repeats = REPEATS if noisy else 0
        truth = self.oracle.truth(
            live, point.rest, dys, repeats=repeats, seed=self.seed
        )
        at_home = noisy and point.kind == "given"
        hand = self.oracle.hand(
            live, point.rest, dys, repeats=REPEATS if at_home else 0, seed=self.seed
        )
        count = len(hand.value)
        noise = [
            steady(np.asarray(np.fmax(a, b)), v)
            for a, b, v in zip(truth.noise[:count], hand.noise, truth.value)
        ]
        if point.kind != "given" and self.scales:
            # Far from home, what is rounding at the leaf's usual scale is no error.
            size = 4 * UNIT * rms(cotangent.value)
            noise = [
                np.asarray(np.fmax(s, size * scale))
                for s, scale in zip(noise, self.scales)
            ]
        return hand.value, truth.value[:count], noise

    def trial(self, point: Point, cotangent: Cotangent, noise=None) -> Trial:
        """Compare at one point under one cotangent; `noise` reuses an earlier one."""
        hand, truth, own = self.arrays(point, cotangent, noisy=noise is None)
        far = point.kind != "given"
        return Trial(
            point,
            cotangent,
            [
                compare(h, v, s, pooled_only=far)
                for h, v, s in zip(hand, truth, own if noise is None else noise)
            ],
        )


def lift(leaves: list[np.ndarray]) -> list[np.ndarray]:
    """The same numbers in float64 or complex128."""
    return [np.asarray(v.astype(lifted(v.dtype))) for v in leaves]


def given_trials(probe: Probe, given: Point, linear: bool) -> Iterator[Trial]:
    """At the given point: coded cotangents, then normal ones at three scales."""
    rng = generator(probe.seed, 1)
    codes = coded(probe.size, rng)
    _, _, noise = probe.arrays(given, codes[0], noisy=True)
    for cotangent in codes:
        yield probe.trial(given, cotangent, noise)
    unlike = lookalikes(probe, given)
    for scale in (1.0, 2.0**33, 2.0**-33) if linear else (1.0,):
        cotangent = normal(probe.size, rng, scale, unlike)
        trial = probe.trial(given, cotangent, [np.asarray(scale * s) for s in noise])
        if not all(c.passes for c in trial.comparisons):
            trial = probe.trial(given, cotangent)  # With a noise of its own.
        yield trial


def lookalikes(probe: Probe, given: Point) -> list[np.ndarray]:
    """y, and the arguments of its size, as vectors."""
    y = [v.ravel() for v in probe.output(given)]
    found = [np.concatenate(y), *(v.ravel() for v in given.live)]
    return [v for v in found if v.size == probe.size and np.isfinite(v).all()]


def nearby_trials(probe: Probe) -> Iterator[Trial]:
    """At every other point, one normal cotangent."""
    rng = generator(probe.seed, 2)
    large = sum(v.size for v in probe.problem.live) > LARGE
    most = min(probe.points, 3) if large else probe.points
    points = nearby_points(
        probe.problem,
        rng,
        probe.oracle.special,
        repeats=not probe.oracle.overwrites,
        symmetric=probe.oracle.wants_symmetry,
    )
    for i, point in enumerate(points):
        if i >= most:
            return
        cotangent = normal(probe.size, rng)
        inside = inside_domain(probe, point)
        if inside is None:
            continue
        try:
            trial = probe.trial(inside, cotangent)
        except Exception as refusal:  # Callbacks and code that is not traced may raise.
            why = str(refusal) if isinstance(refusal, ContractError) else ""
            why = why or f"backward raises {first_line(refusal)}"
            probe.refusals.setdefault(why, []).append(inside.kind)
            continue
        yield trial


def inside_domain(probe: Probe, point: Point) -> Point | None:
    """The point, or where the forward is not finite there, one just inside its domain.

    The domain is learnt by bisection of the way from the given arguments: where it ends
    between 0.2 and 1 of the way, the last finite point of eight halvings is taken. None
    where the other integers alone leave the domain.
    """
    if is_finite(probe, point):
        return point
    low, high, inside = 0.0, 1.0, None
    for _ in range(8):
        middle = (low + high) / 2
        between = on_the_way(probe.problem.live, point, middle)
        if is_finite(probe, between):
            low, inside = middle, between
        else:
            high = middle
    return inside


def is_finite(probe: Probe, point: Point) -> bool:
    """Whether every float of the forward's output is; False where it raises."""
    try:
        return all(np.isfinite(v).all() for v in probe.output(point))
    except Exception:  # A callback's refusal: it ends the domain as NaN does.
        return False


def on_the_way(given: list[np.ndarray], point: Point, t: float) -> Point:
    """The point at t between the given one and another; masks stay as given."""
    with np.errstate(over="ignore", invalid="ignore"):
        live = [
            a if kind_of(a) == "mask" else (a + t * (b - a)).astype(a.dtype)
            for a, b in zip(given, point.live)
        ]
    return Point(f"{point.kind}, at the end of the domain", live, point.rest)


def culprit(probe: Probe, trial: Trial, i: int) -> int | None:
    """The single output entry through which the worst entry is wrong, if it is one."""
    if trial.point.kind != "given" or sum(v.size for v in probe.problem.live) > LARGE:
        return None
    index = trial.comparisons[i].index
    responses = []
    for cotangent in coded(probe.size, generator(probe.seed, 1)):
        hand, truth, _ = probe.arrays(trial.point, cotangent, noisy=False)
        responses.append(float(np.real(hand[i][index] - truth[i][index])))
    return decode(responses, probe.size)
