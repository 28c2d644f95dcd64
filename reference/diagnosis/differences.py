"""A forward that nothing can follow, with a derivative by differences.

    (1)  ∂y/∂x_j = (8 (y_1 - y_-1) - (y_2 - y_-2)) / 12h         y_k = y(x + k h e_j)

to the fourth order in h, one entry of x at a time. It is a custom derivative around a
callback, so that to the diagnosis it is a forward like others, a black box with a
truth. Moved in its last bits, as for the noise of every truth, it tells its own error.
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from reference.verifier.problem import Problem, is_inexact

ENTRIES = 200  # Of all arguments; each costs four runs.
STEP = 1e-3  # Truncated below 1e-12 and rounded below 1e-12 for values of size 1.


def by_differences(problem: Problem) -> Callable | None:
    """y as a function that JAX can differentiate; None for too many entries."""
    if sum(v.size for v in problem.live) > ENTRIES:
        return None
    shape, forward = problem.shape, problem.subject.forward

    def value(live: list, rest: list) -> list[np.ndarray]:
        y = forward(*jax.tree.map(np.array, shape.merge(live, rest)))[0]
        floats = [np.asarray(v) for v in jax.tree.leaves(y)]
        return [v.astype(np.float64) for v in floats if is_inexact(v.dtype)]

    def pulled(live: list, rest: list, dys: list) -> list[np.ndarray]:
        live = [np.array(v, np.float64) for v in live]
        return [entries(lambda: value(live, rest), v, dys) for v in live]

    outputs = [jax.ShapeDtypeStruct(v.shape, np.float64) for v in shape.live_outputs]

    @jax.custom_vjp
    def primal(live, rest):
        return jax.pure_callback(value, outputs, live, rest, vmap_method="sequential")

    def backward(residuals, dys):
        like = [jax.ShapeDtypeStruct(v.shape, np.float64) for v in residuals[0]]
        dlive = jax.pure_callback(
            pulled, like, *residuals, dys, vmap_method="sequential"
        )
        return dlive, None

    primal.defvjp(lambda live, rest: (primal(live, rest), (live, rest)), backward)

    def of_args(*args: Any) -> list:
        leaves = jax.tree.leaves(args)
        live = [v for v, alive in zip(leaves, shape.is_live) if alive]
        rest = [v for v, alive in zip(leaves, shape.is_live) if not alive]
        return primal(live, rest)

    return of_args


def entries(value: Callable, v: np.ndarray, dys: list) -> np.ndarray:
    """(1) under dys, for every entry of a leaf that `value` reads."""
    found = np.zeros(v.shape)
    for j in np.ndindex(v.shape):
        at, h = v[j], STEP * max(1.0, abs(v[j]))
        sums = []
        for step in (1, -1, 2, -2):
            v[j] = at + step * h
            sums.append(sum(float(np.vdot(d, y)) for d, y in zip(dys, value())))
        v[j] = at
        found[j] = (8 * (sums[0] - sums[1]) - (sums[2] - sums[3])) / (12 * h)
    return found
