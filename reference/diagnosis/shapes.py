"""A cotangent of the wrong shape: what would make it the truth.

The check stops at a broken shape, since no comparison may broadcast. Here the backward
is run once more as it is, and its cotangent is summed, transposed or reshaped until it
has the leaf's shape and is the truth, at three cotangents.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import combinations, permutations
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from reference.compare import LIMIT, compare, steady
from reference.diagnosis.cause import Cause, Proof
from reference.diagnosis.near import near
from reference.diagnosis.numpy_code import followed
from reference.verifier.cotangents import generator, normal
from reference.verifier.oracle import oracle_for
from reference.verifier.probe import lift
from reference.verifier.problem import Problem, flatten, is_inexact, spread
from reference.verifier.verify import differentiable, output_of

PROBES = 3


def shape_causes(problem: Problem, seed: int) -> list[Cause]:
    """A cause for every leaf of the wrong shape that one of the repairs makes right."""
    if (read := readable(problem)) is None:
        return []
    runs = [run(read, seed, salt) for salt in range(PROBES)]
    found = []
    for i, name in enumerate(problem.names):
        hand, truth, _ = runs[0]
        if hand[i] is None or hand[i].shape == truth[i].shape:
            continue
        for label, mistake, sentence, repair in repairs(hand[i], truth[i]):
            units = [compared(repair, h[i], v[i], s[i]) for h, v, s in runs]
            if max(units) <= LIMIT:
                proof = Proof(PROBES - 1, 1, max(units))
                found.append(Cause(label, mistake, (name,), sentence, proof))
                break
    return found


def run(problem: Problem, seed: int, salt: int) -> tuple[list, list, list]:
    """The hand's leaves in whatever shapes, the truth and its noise."""
    oracle, shape = oracle_for(truth_alone(problem).functions), problem.shape
    flat = normal(shape.output_size, generator(seed, 30 + salt)).value
    live, dys = lift(problem.live), lift(shape.split(flat))
    truth = oracle.truth(live, problem.rest, dys, repeats=4, seed=seed)
    args = shape.merge([jnp.asarray(v) for v in live], problem.rest)
    _, residuals = problem.subject.forward(*args)
    cotangent = shape.cotangent([jnp.asarray(d) for d in dys])
    cotangents = problem.subject.backward(residuals, cotangent)
    count = len(live)
    noise = [steady(s, v) for s, v in zip(truth.noise[:count], truth.value)]
    return raw(args, cotangents), truth.value[:count], noise


def readable(problem: Problem) -> Problem | None:
    """The problem where JAX can differentiate its forward, as read where it cannot."""
    if differentiable(truth_alone(problem))[1] is not None:
        return problem
    read = followed(problem)
    return None if read is None else flatten(read, output_of(read))


def truth_alone(problem: Problem) -> Problem:
    """The problem with a backward that keeps every shape."""
    silent = Nothing(len(problem.subject.args))
    return replace(problem, subject=replace(problem.subject, backward=silent))


@dataclass(frozen=True)
class Nothing:
    """A backward without cotangents."""

    count: int

    def __call__(self, residuals: Any, dy: Any) -> tuple:
        """None for every argument."""
        return (None,) * self.count


def raw(args: tuple, cotangents: Any) -> list:
    """The cotangents of the live leaves, None or arrays of any shape."""
    found = []
    for arg, cotangent in zip(args, cotangents):
        for v, c in zip(jax.tree.leaves(arg), spread(arg, cotangent)):
            if is_inexact(v.dtype):
                found.append(None if c is None else np.asarray(c))
    return found


def compared(repair: Callable, hand, truth, noise) -> float:
    """The repaired hand's distance in noise units."""
    fixed = np.asarray(repair(np.asarray(hand)))
    if fixed.shape != truth.shape:
        return np.inf
    return compare(fixed.astype(truth.dtype), truth, noise).units


def repairs(hand: np.ndarray, truth: np.ndarray) -> Iterator[tuple]:
    """(label, class, sentence, repair), those that fit once."""
    for label, mistake, sentence, repair in candidates(hand, truth):
        try:
            if near(np.asarray(repair(hand)), truth):
                yield label, mistake, sentence, repair
        except ValueError:  # NumPy's refusal of an axis or a shape.
            continue


def candidates(hand: np.ndarray, truth: np.ndarray) -> Iterator[tuple]:
    """Everything that may give the truth's shape."""
    n = hand.ndim
    got = f"has shape {hand.shape} for {truth.shape}"
    for size in range(1, n + 1):
        for axes in combinations(range(n), size):
            kept = tuple(m for k, m in enumerate(hand.shape) if k not in axes)
            ones = tuple(1 if k in axes else m for k, m in enumerate(hand.shape))
            all_one = all(hand.shape[k] == 1 for k in axes)
            text = "axis " + ", ".join(map(str, axes))
            if kept == truth.shape and all_one:
                yield (
                    f"shape: {text} kept",
                    "C5",
                    f"{got}: drop {text}, as keepdims=False would",
                    lambda v, a=axes: v.reshape(kept_shape(v, a)),
                )
            elif kept == truth.shape or ones == truth.shape:
                keep = kept != truth.shape
                for what, f in (("sum", np.sum), ("mean", np.mean)):
                    yield (
                        f"{what}: {text} missing",
                        "C5",
                        f"{got}: the {what} over {text} is missing, over which the "
                        "forward broadcasts",
                        lambda v, a=axes, k=keep, f=f: f(v, axis=a, keepdims=k),
                    )
    for p in list(permutations(range(n)))[1:] if n <= 5 else ():
        if tuple(hand.shape[k] for k in p) == truth.shape:
            yield (
                f"shape: transposed {p}",
                "C6",
                f"{got}: it is transposed",
                lambda v, p=p: v.transpose(p),
            )
    if hand.size == truth.size:
        yield (
            "shape: axis reshaped",
            "C5",
            f"{got}: reshape it",
            lambda v: v.reshape(truth.shape),
        )


def kept_shape(v: np.ndarray, axes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape without some axes."""
    return tuple(n for k, n in enumerate(v.shape) if k not in axes)
