"""A leaf differs from the truth: is there an excuse?

The excuses are tried from the cheapest to the dearest; each is evidence, measured, and
what none of them explains is WRONG.
"""

from collections.abc import Callable
from functools import partial

import numpy as np

from reference.compare import LIMIT, Comparison, compare, rms, steady
from reference.verdict import Verdict
from reference.verifier.convergence import leaves_domain
from reference.verifier.kinks import dodge
from reference.verifier.nonfinite import JUMP, judge_nonfinite
from reference.verifier.numeric import (
    Difference,
    along,
    directional_derivative,
    judge_difference,
)
from reference.verifier.points import Point
from reference.verifier.probe import Probe, Trial, is_finite, lift
from reference.verifier.subgradient import subgradient_verdict

Excuse = tuple[Verdict, str]

LARGEST = 100_000  # Entries of a kink's search.
HEARINGS = 8  # Entries for which a dear witness is asked.
LOUDER = 16.0  # Times the noise, to tell rounding from a jump.


def excuse(probe: Probe, trial: Trial, i: int) -> Excuse:
    """The verdict on leaf `i` for one trial in which it differs, and a sentence."""
    hand, truth, noise = probe.arrays(trial.point, trial.cotangent, noisy=True)
    is_finite = np.isfinite(hand[i][np.isfinite(truth[i])]).all()
    if is_finite and again(trial, hand[i], truth[i], noise[i]).passes:
        return Verdict.RIGHT, ""
    if trial.point.kind != "given" and leaves_domain(probe, trial):
        return Verdict.RIGHT, ""
    if not is_finite:
        return judge_nonfinite(probe, trial, i, hand[i], truth[i])
    found = by_rounding(probe, trial, i, hand, truth, noise)
    found = found or by_kink(probe, trial, i, hand, truth)
    found = found or by_forward_mode(probe, trial, i, hand, truth, noise)
    found = found or by_surrogate(probe, trial, i, hand, noise)
    found = found or by_differences(probe, trial, i, hand, truth, noise)
    return found or (Verdict.WRONG, "is not the derivative of the forward")


def again(trial: Trial, hand, truth, noise) -> Comparison:
    """The comparison with another noise."""
    return compare(hand, truth, noise, pooled_only=trial.point.kind != "given")


def by_rounding(probe, trial: Trial, i: int, hand, truth, noise) -> Excuse | None:
    """Monte Carlo arithmetic on both programs.

    What excuses the leaf is also what the check is blind to, so the trial's comparison
    is put in terms of it; unless it leaves nothing, as of the gradient of attention's
    key bias, which is 0 in exact arithmetic.
    """
    own = rounding_without_jumps(probe, trial, i, "hand", hand)
    others = rounding_without_jumps(probe, trial, i, "truth", truth)
    spread = np.asarray(np.fmax(np.fmax(own, others), noise[i]))
    comparison = again(trial, hand[i], truth[i], spread)
    if not comparison.passes:
        return None
    if comparison.exercised:
        trial.comparisons[i] = comparison
    return Verdict.RIGHT, "differs by no more than rounding inside the two programs"


def rounding_without_jumps(probe, trial, i: int, which: str, value) -> np.ndarray:
    """The spread of "hand" or "truth" under Monte Carlo arithmetic, but for jumps.

    A spread that is large beside the value is a jump at a kink, or it is the rounding
    of a program that loses everything, as y (1 - y) does where y is near 1. Rounding
    grows with the noise; a jump is as large under any.
    """
    at = lift(trial.point.live), trial.point.rest, lift(probe.split(trial.cotangent))
    spread = probe.oracle.rounding(which, *at)[i]
    calm = steady(
        spread,
        value[i],
        jump=1e-2 if probe.oracle.leaks else 1e-8,
        scale=probe.scales[i] * rms(trial.cotangent.value),
    )
    if (calm == spread).all():
        return calm
    louder = probe.oracle.rounding(which, *at, size=LOUDER)[i]
    if which == "hand":  # What has lost all its digits need not grow: 1 / noise.
        rounds = abs(louder - spread) > spread / 100
    else:
        rounds = louder > LOUDER / 4 * spread
    return np.asarray(np.where(rounds, spread, calm))


def by_kink(probe, trial: Trial, i: int, hand, truth) -> Excuse | None:
    """Another subgradient than autodiff's, or a point on a kink of the forward.

    |p - t| has the subgradients (s, -s): leaves may be valid together and not beside
    autodiff's other ones. So they are tried together, then leaf i with the rest fixed.
    """
    judged = [k for k, is_judged in enumerate(probe.problem.is_judged) if is_judged]
    for group in (judged, [i]) if len(judged) > 1 else ([i],):
        sizes = [truth[k].size for k in group]
        if sum(sizes) > LARGEST or any(np.iscomplexobj(truth[k]) for k in group):
            continue
        found = subgradient_verdict(
            gradient_in(probe, trial, group),
            flat([lift(trial.point.live)[k] for k in group]),
            flat([hand[k] for k in group]),
            flat([truth[k] for k in group]),
            rng=np.random.default_rng(probe.seed),
            tolerance=LIMIT * 2**-50 * max(rms(truth[i]), rms(hand[i])),
        )
        if found.valid:
            low, high = found.interval
            return Verdict.KINK, (
                "valid at the kink, another convention than autodiff's: "
                f"hand {found.hand:.4g}, autodiff {found.autodiff:.4g}, "
                f"interval [{low:.4g}, {high:.4g}]"
            )
    return None


def points_beside(probe: Probe, trial: Trial) -> list[Point]:
    """The trial's point with the coordinates on a kink moved off it, to both sides.

    A coordinate lies on a kink where the true gradient jumps on a step of 1e-9.
    """
    group = [k for k, is_judged in enumerate(probe.problem.is_judged) if is_judged]
    live = lift(trial.point.live)
    if sum(live[k].size for k in group) > LARGEST or any(map(np.iscomplexobj, live)):
        return []
    gradient, rng = gradient_in(probe, trial, group), np.random.default_rng(probe.seed)

    def is_kinky(x: np.ndarray) -> np.ndarray:
        step = 1e-9 * (rms(x) or 1.0) * rng.choice([-1.0, 1.0], x.shape)
        ahead, behind = gradient(x + step), gradient(x - step)
        return abs(ahead - behind) > JUMP * rms(ahead)

    here = flat([live[k] for k in group])
    moved = dodge(here, is_kinky, rng=rng)
    ends = np.cumsum([live[k].size for k in group])[:-1]
    points = []
    for x in () if moved is None else (moved, 2 * here - moved):
        leaves = list(trial.point.live)
        for k, part in zip(group, np.split(x, ends)):
            leaves[k] = part.reshape(live[k].shape).astype(leaves[k].dtype)
        points.append(Point("beside the kink", leaves, trial.point.rest))
    return [point for point in points if is_finite(probe, point)]


def flat(leaves: list[np.ndarray]) -> np.ndarray:
    """Leaves as one vector."""
    return np.concatenate([v.ravel() for v in leaves])


def gradient_in(probe: Probe, trial: Trial, group: list[int]) -> Callable:
    """The truth as a function of the leaves of a group, flat; the rest stays."""
    live, rest = lift(trial.point.live), trial.point.rest
    dys = lift(probe.split(trial.cotangent))
    ends = np.cumsum([live[k].size for k in group])[:-1]

    def gradient(x: np.ndarray) -> np.ndarray:
        moved = list(live)
        for k, part in zip(group, np.split(x, ends)):
            moved[k] = part.reshape(live[k].shape)
        value = probe.oracle.truth(moved, rest, dys).value
        return flat([value[k] for k in group])

    return gradient


def forward_entry(probe: Probe, trial: Trial, i: int, index: tuple) -> float | None:
    """<dy, J e> for the unit vector of one entry, by forward mode; None if it fails."""
    live = lift(trial.point.live)
    tangents = [np.zeros_like(v) for v in live]
    tangents[i][index] = 1.0
    try:
        y_dot = probe.oracle.forward_mode(live, trial.point.rest, tangents)
    except Exception:  # A reverse-only rule inside the forward has no forward mode.
        return None
    dys = lift(probe.split(trial.cotangent))
    return float(sum(np.vdot(w, v).real for w, v in zip(dys, y_dot)))


def by_forward_mode(probe, trial: Trial, i: int, hand, truth, noise) -> Excuse | None:
    """Reverse mode is the one that errs, as behind `where(x > 0, sqrt(x), 0)`."""

    def acquits(index: tuple) -> bool:
        forward = forward_entry(probe, trial, i, index)
        h, v = hand[i][index], truth[i][index]
        tolerance = LIMIT * 2**-50 * max(abs(h), rms(hand[i]))
        return forward is not None and bool(
            abs(forward - h) <= tolerance < abs(forward - v)
        )

    if not wherever_they_differ(trial, i, hand, truth, noise, acquits):
        return None
    return Verdict.RIGHT, (
        f"forward mode agrees with it; reverse mode errs here{suspects(probe, trial)}"
    )


def by_surrogate(probe, trial: Trial, i: int, hand, noise) -> Excuse | None:
    """A custom derivative or stop_gradient makes autodiff the wrong witness."""
    if not probe.oracle.customs:
        return None
    dys = lift(probe.split(trial.cotangent))
    at = lift(trial.point.live), trial.point.rest, dys
    inlined = probe.oracle.inlined_truth(*at, unstop=True)
    comparison = again(trial, hand[i], inlined[i], noise[i])
    if not comparison.passes:
        return None
    trial.comparisons[i] = comparison
    hidden = ", ".join(probe.oracle.customs)
    return Verdict.RIGHT, f"the derivative of what is computed; autodiff sees {hidden}"


def by_differences(probe, trial: Trial, i: int, hand, truth, noise) -> Excuse | None:
    """Autodiff errs for reasons of its own: bit operations, an overflowing square."""

    def acquits(index: tuple) -> bool:
        found = difference_at(probe, trial, i, index)
        if found is None:
            return False
        h, v = float(hand[i][index]), float(truth[i][index])
        tolerance = 2.0**-40 * rms(hand[i])
        says = [judge_difference(claim, found, tolerance, abs(v)) for claim in (h, v)]
        return says == [Verdict.RIGHT, Verdict.WRONG]

    if not wherever_they_differ(trial, i, hand, truth, noise, acquits):
        return None
    return Verdict.RIGHT, (
        f"differences agree with it; autodiff errs here{suspects(probe, trial)}"
    )


def wherever_they_differ(trial, i: int, hand, truth, noise, acquits: Callable) -> bool:
    """Whether a witness acquits the hand in every entry that is off, or the worst.

    The hand is then what was found true, so that the trial's comparison is put in terms
    of it: a leaf whose autodiff is 0 everywhere, and wrong, has been tested.
    """
    mended, comparison = truth[i].copy(), trial.comparisons[i]
    for _ in range(HEARINGS):
        if not acquits(comparison.index):
            return False
        mended[comparison.index] = hand[i][comparison.index]
        comparison = again(trial, hand[i], mended, noise[i])
        if comparison.passes:
            break
    trial.comparisons[i] = again(trial, hand[i], mended, noise[i])
    return True


def suspects(probe: Probe, trial: Trial) -> str:
    """What in the forward can mislead autodiff, as the end of a sentence."""
    found = probe.oracle.misleading(lift(trial.point.live), trial.point.rest)
    return f": the forward holds {', '.join(found)}" if found else ""


def difference_at(probe, trial: Trial, i: int, index: tuple) -> Difference | None:
    """The numerical derivative in one entry, by values of the forward alone."""
    phi = values_along(probe, trial, i, index)
    return None if phi is None else directional_derivative(phi)


def values_along(probe, trial: Trial, i: int, index: tuple) -> Callable | None:
    """t -> ⟨dy, f(x + t e)⟩ for the unit vector of one entry; None for complex x."""
    live = lift(trial.point.live)
    if any(map(np.iscomplexobj, live)):
        return None
    tangents = [np.zeros_like(v) for v in live]
    tangents[i][index] = 1.0
    dys = lift(probe.split(trial.cotangent))
    primal = partial(probe.oracle.primal, rest=trial.point.rest)
    return along(primal, (live,), (tangents,), dys)
