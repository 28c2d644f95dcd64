"""At a kink: is a claimed gradient one of those that the function has there?

φ is a function of one vector x, differentiable almost everywhere. Its Clarke
subdifferential at x is the convex hull of the limits of its gradients nearby,

    (1)  ∂φ(x) = conv { lim ∇φ(x_i) : x_i → x, φ differentiable at x_i }

one point where φ is continuously differentiable, [0, 1] for relu at 0, the simplex
over the tied entries for max. A backward pass is free to return any point of it, and
nothing else. A convex set is the intersection of its half-spaces, so

    (2)  H ∈ ∂φ(x)  ⇔  ⟨H, w⟩ ≤ max { ⟨V, w⟩ : V ∈ ∂φ(x) } for every w

and with gradients V_s sampled at x + h d_s either side of (2) can be certified:

    (3)  N = the point of conv {V_s} nearest to H;  H = N up to the tolerance: valid
    (4)  w = H - N;  ⟨H, w⟩ > max_s ⟨V_s, w⟩ by |w|², as N is the nearest: refuted,
         unless a gradient not yet sampled reaches farther along w

For convex φ the farthest one is met at x + h w, where the slope along w is the support
function of (2); for concave φ at x - h w. The search looks at x ± h w and, for
functions that are neither, at random beside them and beside the farthest yet; it adds
what it finds to the samples and goes back to (3), until H is reached or eight rounds
bring nothing farther. This is Wolfe's method for the nearest point, φ its oracle.
Where x ± h w are not themselves the farthest, φ is neither convex nor concave along w
and a corner may have escaped: (4) then refutes only by more than half the range of
⟨V_s, w⟩.

(1) projects: on any subset G of the entries H_G must lie in the hull of the V_G. The
subsets are the groups that move together, which keeps them small where φ sums many
independent kinks (the full hull of 50 relus has 2^50 corners):

    (5)  G_j = { i : V_i differs between x - h e_j, x and x + h e_j } and j itself

Intervals of one-sided slopes do not decide. For max over a tie of three, a rule that
hands dy to each passes every interval [0, dy], and is refuted along w = (1, 1, 1),
where all gradients reach dy. For relu(x_1) - relu(x_2) along (1, 1) both one-sided
slopes are 0, which the valid choice (1, 0) exceeds.

Valid choices do not compose: relu(x) - relu(-x) is x, whose gradient is 1 at 0, where
relu'(0) = 0 gives 0. Such a rule is refuted here, and rightly, though each part is
valid. An entry that is the same all around, and along its own axis, has no kink, and
nothing but that value is valid. Kinks nearer than 2^-40 of the size of x count as at x.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.optimize import nnls

CALLS = 300  # Of the gradient, at most.
PROBES = 60  # Entries moved alone, with two gradients each.
PAIRS = 6  # Of antipodal directions in the first look around, for each step.


@dataclass(frozen=True)
class Subgradient:
    """Whether a claimed gradient belongs to the subdifferential.

    Attributes:
        valid: False is refuted.
        proven: Whether the search came to its end: (3) on every group, or (4).
        interval: What the gradients nearby have at `index`, least and greatest.
        hand: The claim at `index`.
        autodiff: Autodiff's choice at `index`.
        index: The entry that refutes, or where valid the one farthest from autodiff's.
        reason: Why, in a few words.
    """

    valid: bool
    proven: bool
    interval: tuple[float, float]
    hand: float
    autodiff: float
    index: int
    reason: str


def subgradient_verdict(
    gradient: Callable[[np.ndarray], np.ndarray],
    x: Float[np.ndarray, " n"],
    hand: Float[np.ndarray, " n"],
    autodiff: Float[np.ndarray, " n"],
    *,
    rng: np.random.Generator,
    tolerance: float | Float[np.ndarray, " n"],
) -> Subgradient:
    """Judge a claimed gradient that differs from autodiff's, by equations (3) to (5).

    Args:
        gradient: x -> ∇φ(x), the reference, right wherever φ is differentiable.
        x: The point.
        hand: The claim there.
        autodiff: What `gradient` returns there, at a kink a convention.
        rng: Draws the directions.
        tolerance: The absolute deviation that rounding explains, ≥ 0; an array for one
            per entry.

    Returns:
        The judgement, after at most 300 gradients. Valid without proof is in doubt:
        they ran out, φ is too entangled, or none of them is finite.

    Example:
        >>> def gradient(x):
        ...     return np.where(x > 0, 1.0, 0.0)
        >>> for claim in (0.5, 1.5):
        ...     verdict = subgradient_verdict(gradient, np.zeros(1), np.array([claim]),
        ...         np.zeros(1), rng=np.random.default_rng(7), tolerance=1e-12)
        ...     print(verdict.valid, verdict.interval, verdict.reason)
        True (0.0, 1.0) a convex combination of the gradients nearby
        False (0.0, 1.0) entry 0 is 1.5, the gradients nearby have 0 to 1
    """
    differing = ~(abs(hand - autodiff) <= tolerance)
    first = int(np.argmax(np.where(differing, abs(np.nan_to_num(hand - autodiff)), -1)))

    def report(valid, proven, interval, index, reason) -> Subgradient:
        values = float(hand[index]), float(autodiff[index])
        return Subgradient(valid, proven, interval, *values, index, reason)

    if not np.isfinite(hand).all():
        wild = int(np.flatnonzero(~np.isfinite(hand))[0])
        return report(False, True, (np.nan, np.nan), wild, "hand is not finite")
    if not differing.any():
        own = float(autodiff[first])
        return report(True, True, (own, own), first, "as autodiff")
    around = _Around(gradient, x, rng, tolerance, differing)
    refuted = _search(around, hand, autodiff, differing)
    if refuted is not None:
        index, reason = _explain(around, *refuted, hand)
        return report(False, True, around.interval(index), index, reason)
    interval = around.interval(first)
    if not np.isfinite(interval).all():
        return report(True, False, interval, first, "no gradient nearby is finite")
    if around.weak:
        reason = f"not refuted by {around.calls} gradients nearby"
        return report(True, False, interval, first, reason)
    reason = "a convex combination of the gradients nearby"
    return report(True, True, interval, first, reason)


def _search(around: "_Around", hand, autodiff, differing) -> tuple | None:
    """The group and the w of (4) that refute hand."""
    suspects = around.suspects(hand, differing)
    worst = suspects[:1]
    away = hand[worst] - around.samples[0, worst]
    if (abs(away) > around.slack[worst]).all() and around.flat(int(worst[0])):
        return worst, away
    groups = around.groups(suspects, hand, autodiff)
    missed = np.setdiff1d(suspects, np.concatenate(groups)).size
    if not missed and around.reaches(groups, hand):
        return None
    around.weak = bool(missed)
    covered = np.zeros(hand.size, bool)
    for j, group in zip(suspects, groups):
        if not covered[j]:
            covered[group] = True
            w = around.outside(group, hand[group])
            if w is not None:
                return group, w
    return None


class _Around:
    """Gradients at points around x: the samples V_s, and the search for more."""

    def __init__(self, gradient, x, rng, tolerance, differing):
        self.gradient, self.x, self.rng, self.calls = gradient, x, rng, 0
        self.weak = False
        usual = np.sqrt(np.mean(x**2)) / 256
        size = np.maximum(abs(x), usual) if usual else np.ones(x.size)
        found = {}
        for power in (-30, -40):
            self.h, self.blur = 2.0**power * size, 2.0 ** (-46 - power)
            moves = self.all_round()
            found[power] = moves, self.look(moves)
        coarse, fine = (np.ptp(v, axis=0)[differing] for _, v in found.values())
        if not (fine < coarse / 2).any():  # No kink between the two, beside x.
            self.h, self.blur = self.h * 2.0**10, 2.0**-16
            found[-40] = map(np.concatenate, zip(*found.values()))
        self.moves, self.samples = found[-40]
        shorter = self.look(moves[:4] / 2) - self.look(moves[:4])
        curved = np.median(abs(shorter), axis=0)
        largest = abs(self.samples).max(axis=0)
        self.slack = tolerance + np.nan_to_num(4 * curved + 2.0**-30 * largest)

    def all_round(self) -> np.ndarray:
        """Normal directions and, for the conventions "first" and "last", a ramp."""
        normal = self.rng.standard_normal((PAIRS, self.x.size))
        ramp = np.linspace(2, 1, self.x.size)[None, :]
        return np.concatenate([normal, -normal, ramp, -ramp])

    def look(self, moves: np.ndarray) -> np.ndarray:
        """The gradients at x + h moves, one a row; NaN where they are not finite."""
        self.calls += len(moves)
        points = self.x + self.h * moves
        found = np.array([np.asarray(self.gradient(p), np.float64) for p in points])
        return np.where(np.isfinite(found), found, np.nan)

    def suspects(self, hand: np.ndarray, differing: np.ndarray) -> np.ndarray:
        """The differing entries, farthest outside the samples first."""
        low, high = self.samples.min(axis=0), self.samples.max(axis=0)
        order = np.argsort(-np.maximum(low - hand, hand - high), stable=True)
        return order[differing[order]]

    def flat(self, j: int) -> bool:
        """Whether entry j has no kink: neither around x nor, moved alone, along e_j."""
        e = np.zeros((2, self.x.size))
        e[:, j] = 1, -1
        for moves in self.blurred(e), self.rng.standard_normal((24, self.x.size)):
            self.add(moves)
            if not np.ptp(self.samples[:, j]) <= self.slack[j]:
                return False
        return True

    def groups(self, entries, hand, autodiff) -> list[np.ndarray]:
        """Equation (5) for the first entries; samples what it learns of hand's choices.

        Where one side of x gives the entry moved what hand says, hand may have taken
        that side: all such sides together, those of small groups ahead, are one more
        place to look, and their opposites another.
        """
        groups, sides = [], np.zeros(self.x.size)
        for j in entries[:PROBES]:
            e = np.zeros((2, self.x.size))
            e[:, j] = 1, -1
            one, other = self.look(e)
            moved = ~(np.ptp(np.stack([autodiff, one, other]), axis=0) <= self.slack)
            moved[j] = True
            groups.append(np.flatnonzero(moved))  # (5)
            near, far = abs(hand[j] - one[j]), abs(hand[j] - other[j])
            between = near + far <= abs(one[j] - other[j]) + self.slack[j]
            sides[j] = np.sign(far - near) if between else 0.0
        size = np.full(self.x.size, np.inf)
        size[entries[:PROBES]] = [len(group) for group in groups]
        ahead = np.where(size <= size.min(initial=np.inf), sides, 2.0**-8 * sides)
        self.add(self.blurred(np.stack([sides, -sides, ahead, -ahead])))
        return groups

    def reaches(self, groups: list[np.ndarray], hand: np.ndarray) -> bool:
        """Whether the samples so far have hand in their hull, all groups at once."""
        union = np.unique(np.concatenate(groups))
        rows = self.finite(union)
        if not len(rows):
            return False
        apart = hand[union] - _nearest(rows, hand[union])
        return bool((abs(apart) <= self.slack[union]).all())  # (3)

    def outside(self, group: np.ndarray, hand: np.ndarray) -> np.ndarray | None:
        """The w of (4) that refutes hand on a group of entries, or None."""
        slack, stalled, straight = self.slack[group], 0, -np.inf
        while self.calls <= CALLS - 8:
            rows = self.finite(group)
            if not len(rows):
                break
            w = hand - _nearest(rows, hand)  # (3)
            along = rows @ w
            excess = hand @ w - along.max()  # (4)
            if excess <= abs(w) @ slack:
                return None
            if stalled == 8:
                if along.max() - straight <= excess / 100 or excess > np.ptp(along) / 2:
                    return w
                break
            self.towards(group, w, along)
            added = self.samples[-8:, group] @ w
            straight = np.nanmax(added[:2], initial=-np.inf)
            farther = np.nanmax(added, initial=-np.inf) > along.max() + 1e-3 * excess
            stalled = 0 if farther else stalled + 1
        self.weak = True
        return None

    def towards(self, group: np.ndarray, w: np.ndarray, reach: np.ndarray) -> None:
        """Sample x ± h w, blurred against ties, and beside the farthest yet."""
        normal = self.rng.standard_normal
        unit = w / abs(w).max()
        random = normal((2, unit.size))
        straight = np.zeros((4, self.x.size))
        straight[:, group] = [unit, -unit, unit + random[0], random[1]]
        straight[:, group] *= self.h[group].min() / self.h[group]
        best = self.moves[self.is_finite(group)][reach.argmax()]
        widths = np.array([[0.1], [0.2], [0.4], [0.8]])
        climb = best / abs(best).max() + widths * normal((4, self.x.size))
        self.add(np.concatenate([self.blurred(straight), climb]))

    def blurred(self, moves: np.ndarray) -> np.ndarray:
        return moves + self.blur * self.rng.standard_normal(moves.shape)

    def add(self, moves: np.ndarray) -> None:
        self.moves = np.concatenate([self.moves, moves])
        self.samples = np.concatenate([self.samples, self.look(moves)])

    def is_finite(self, group: np.ndarray) -> np.ndarray:
        return np.isfinite(self.samples[:, group]).all(axis=1)

    def finite(self, group: np.ndarray) -> np.ndarray:
        return self.samples[np.ix_(self.is_finite(group), group)]

    def interval(self, j: int) -> tuple[float, float]:
        column = self.finite(np.array([j]))
        if not column.size:
            return np.nan, np.nan
        return _ends(column)


def _nearest(rows: np.ndarray, point: np.ndarray) -> np.ndarray:
    """The point of the convex hull of the rows that is nearest to a point.

    min |Pᵀλ|² + c² (1 - Σλ)² over λ ≥ 0, with the rows of P taken from the point: for
    λ = t μ, Σμ = 1, the least over t grows with |Pᵀμ|², so that μ is the least of that,
    whatever c.
    """
    rows = np.unique(rows, axis=0)
    away = rows - point
    c = abs(away).max() or 1.0
    short = np.linalg.qr(away.T, mode="r")  # Of the same products as P.
    system = np.concatenate([short, np.full((1, len(rows)), c)])
    target = np.append(np.zeros(len(short)), c)
    weights, _ = nnls(system, target, maxiter=100 * len(rows))
    return weights @ rows / weights.sum()


def _explain(around, group, w, hand) -> tuple[int, str]:
    """The entry and the words of a refutation: by a sum, by one entry, or by w."""
    rows, slack = around.finite(group), around.slack[group]
    low, high = rows.min(axis=0), rows.max(axis=0)
    excess = np.maximum(low - hand[group], hand[group] - high) - slack
    names = ", ".join(map(str, group[:8])) + (", ..." if len(group) > 8 else "")
    sums, total = rows.sum(axis=1), hand[group].sum()
    k = int(excess.argmax())
    if len(group) > 1 and abs(total - np.clip(total, *_ends(sums))) > slack.sum():
        reason = f"entries {names} add up to {total:.6g}, in the gradients nearby to "
        return int(group[k]), reason + "{:.6g} to {:.6g}".format(*_ends(sums))
    if excess[k] > 0:
        reason = f"entry {group[k]} is {hand[group[k]]:.6g}, the gradients nearby have "
        return int(group[k]), reason + f"{low[k]:.6g} to {high[k]:.6g}"
    reason = f"entries {names} are no convex combination of the gradients nearby"
    return int(group[abs(w).argmax()]), reason


def _ends(values: np.ndarray) -> tuple[float, float]:
    return float(values.min()), float(values.max())
