"""A subject made ready to run: lifted to float64, with a second point and a run.

The comparisons of this package are between two executions of one mathematics. They are
made in float64 where the rule can be lifted to it, and allow

    (1)  allowed = c · max(ε max|h|, n)

where ε is the spacing at 1 of the narrowest float type that the rule computes in, h the
leaf, n how far h moves when its inputs move by 2ε or every operation is off by ε, and
c = 2^10 (2^4 where ε is that of a 16-bit type, of which 2^10 would be more than the
leaf). n costs passes and is measured only where ε max|h| does not excuse a difference
by itself. Measured for right rules in float64: at most 1.8 ε max|h|, but 1100 ε max|h|
for a saturated softmax, whose p (dp − Σ p dp) cancels; there n excuses it.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np

from reference.contract.leaves import (
    float_cotangents,
    full_cotangent,
    is_float,
    own,
    type_of,
)
from reference.contract.program import remembered, signature
from reference.verifier.oracle import PASSES
from reference.verifier.replay import Change, changed
from reference.verifier.subject import Subject

SALT = 0x5EED0C7A
TRIALS = 8  # With 2, a saturated softmax came within 15 % of being accused.


@dataclass(frozen=True)
class Case:
    """A subject with what its tests share.

    Attributes:
        subject: The subject, its arguments lifted.
        dy: One array per float leaf of y.
        other_dy: The same shapes, drawn independently.
        other_args: A second point beside the first, inside the same domain.
        epsilon: ε of (1).
    """

    subject: Subject
    dy: list
    other_dy: list
    other_args: tuple
    epsilon: float

    def run(self, args: tuple, dy: list) -> dict[str, np.ndarray]:
        """The float cotangents by name: compiled where the subject can be traced."""
        f = compiled(self.subject) if self.subject.traceable else pullback(self.subject)
        PASSES["hand"] += 1
        with np.errstate(all="ignore"):
            return {k: np.asarray(v) for k, v in f(args, dy)[1].items()}

    def noise(self, base: dict, args: tuple, dy: list, *, move: bool) -> dict:
        """n of (1): how far each leaf is from `base` with dy moved by 2ε, or rounded.

        Rounded: every operation of backward off by a unit or two, where it can be
        traced; else the rounding of dy itself is the least that is assumed. `move` has
        the arguments moved and forward rounded too; where they stay, so does every tie
        in them.
        """
        rng = np.random.default_rng(SALT)
        traceable = self.subject.traceable
        least = 0.0 if traceable else 2.0**-52 * max(map(largest, dy))
        worst = dict.fromkeys(base, least)
        rounding = self._rounding(move) if traceable else None
        for trial in range(TRIALS):
            at = shake(args, 2 * self.epsilon, rng) if move else args
            moved = self.run(at, shake(dy, 2 * self.epsilon, rng))
            gaps = {k: distance(moved[k], base[k]) for k in base}
            if rounding is not None:
                drawn = rounding(args, dy, np.uint32(trial))
                units = self.epsilon / 2.0**-52
                for k in base:
                    off = distance(np.asarray(drawn[k]), base[k]) * units
                    gaps[k] = max(gaps[k], off)
            worst = {k: max(n, gaps[k]) for k, n in worst.items()}
        return worst

    def _rounding(self, everything: bool) -> Callable:
        """Monte Carlo arithmetic of backward, or of forward and backward."""
        subject = self.subject

        def rounded(args, dy, seed):
            if everything:
                whole = changed(pullback(subject), Change(seed=seed))
                return whole(args, dy)[1]
            y, residuals = subject.forward(*args)

            def after(dy):
                cotangents = subject.backward(residuals, full_cotangent(y, dy))
                return float_cotangents(subject, args, cotangents)

            return changed(after, Change(seed=seed))(dy)

        return jax.jit(rounded)

    def allowed(self, leaf: np.ndarray, noise: float) -> float:
        """Equation (1)."""
        c = 2**4 if self.epsilon > 2.0**-12 else 2**10
        return c * max(self.epsilon * largest(leaf), noise)  # (1)


def pullback(subject: Subject) -> Callable[[tuple, list], tuple[list, dict]]:
    """`(args, dy) -> (float leaves of y, float cotangents by name)`."""

    def y_and_cotangents(args, dy):
        y, residuals = subject.forward(*args)
        cotangents = subject.backward(residuals, full_cotangent(y, dy))
        floats = [v for v in jax.tree.leaves(y) if is_float(v)]
        return floats, float_cotangents(subject, args, cotangents)

    return y_and_cotangents


def compiled(subject: Subject) -> Callable[[tuple, list], tuple[list, dict]]:
    """`pullback` of a traceable subject, compiled once per function and signature."""
    key = ("compiled", signature(subject, subject.args))
    return remembered(key, lambda: jax.jit(pullback(subject)))


def make_case(subject: Subject, dy: list, epsilon: float) -> Case:
    """Draw the second cotangent and the second point from a private seed."""
    rng = np.random.default_rng(SALT)
    other = [cast(rng.standard_normal(v.shape) * (largest(v) or 1.0), v) for v in dy]
    return Case(subject, dy, other, shake(subject.args, 2.0**-6, rng), epsilon)


def shake(tree: Any, size: float, rng: np.random.Generator) -> Any:
    """Floats moved towards zero by `size` relatively, about half of them."""

    def move(leaf):
        if not is_float(leaf):
            return leaf
        v = np.asarray(leaf)
        moved = cast(np.asarray(v * (1 - size * rng.integers(0, 2, v.shape))), v)
        return jax.device_put(moved) if isinstance(leaf, jax.Array) else moved

    return jax.tree.map(move, tree)


def cast(value: Any, like: Any) -> np.ndarray:
    """`value` in the dtype of `like`."""
    return np.asarray(value).astype(like.dtype)


def largest(leaf: np.ndarray) -> float:
    """The largest finite magnitude; 0 of an empty array."""
    size = np.abs(wide(leaf))
    return float(np.max(size, initial=0.0, where=np.isfinite(size)))


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """The largest |a − b| where b is finite; infinite where a is not."""
    if a.shape != b.shape:
        return float("inf")
    a, b = wide(a), wide(b)
    with np.errstate(all="ignore"):
        gap = np.where(np.isfinite(b), np.abs(a - b), 0.0)
    return float(np.max(np.where(np.isnan(gap), np.inf, gap), initial=0.0))


def wide(v: np.ndarray) -> np.ndarray:
    """`v` in float64, or complex128."""
    return np.asarray(v, np.complex128 if np.iscomplexobj(v) else np.float64)


def lift(args: Any) -> Any:
    """JAX's arrays, floats in float64."""

    def lifted(leaf):
        if not is_float(leaf):
            return leaf
        return jax.device_put(wide(np.asarray(leaf, type_of(leaf).dtype)))

    return own(jax.tree.map(lifted, args), to_jax=True)


class Watch:
    """What became of the global generators while functions ran."""

    def __init__(self):
        """Nothing seen yet."""
        self.advanced: list[str] = []
        self.ends: list[tuple] = []

    def over(self, subject: Subject) -> Subject:
        """The subject, each call of whose functions begins in a state of its own."""

        def watched(f):
            def call(*args):
                random.seed(SALT + len(self.ends))
                result = f(*args)
                self.ends.append(random.getstate())
                return result

            return call

        forward, backward = watched(subject.forward), watched(subject.backward)
        return replace(subject, forward=forward, backward=backward)


@contextmanager
def watched_randomness() -> Iterator[Watch]:
    """Which global generators the block used; both are set back.

    numpy.random must not advance at all. Python's generator may: beartype draws from it
    at every call of a function whose annotations it checks. But two calls that began in
    different states and ended in one have seeded it; and a result that depends on what
    is drawn differs from call to call, which other clauses see.
    """
    watch = Watch()
    callers = np.random.get_state(), random.getstate()
    np.random.seed(SALT)  # Not the caller's: code that seeds may have run already.
    before = _comparable(np.random.get_state())
    try:
        yield watch
    finally:
        if _comparable(np.random.get_state()) != before:
            watch.advanced.append("numpy.random")
        if len(set(watch.ends)) < len(watch.ends):
            watch.advanced.append("random")
        np.random.set_state(callers[0])
        random.setstate(callers[1])


def _comparable(state: Any) -> tuple:
    name, key, *rest = state
    return name, key.tobytes(), *rest
