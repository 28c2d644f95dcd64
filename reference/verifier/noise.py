"""The noise of a program: what the last bits of its inputs do to its outputs.

Equation (1) of reference.verifier.oracle, with u = 2^-53 and random signs. It is
measured in one compiled program, in a loop of which the first round is without noise.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from reference.verifier.problem import Values
from reference.verifier.replay import UNIT, Change, changed, random_signs


@dataclass(frozen=True)
class Noisy:
    """A value and its noise, leaf by leaf, in NumPy float64."""

    value: list[np.ndarray]
    noise: list[np.ndarray]


def run(program: Callable, live, rest, dys, seed: int, repeats: int) -> Noisy:
    """A program made by `with_noise`, its results on the host."""
    value, noise = program(live, rest, dys, np.uint32(seed), np.int32(repeats))
    return Noisy(to_numpy(value), [np.asarray(v) for v in noise])


def with_noise(f: Callable) -> Callable:
    """f, and by (1) its noise from `repeats` perturbed calls; f is compiled once."""

    def program(live, rest, dys, seed, repeats):
        shapes = jax.eval_shape(f, live, rest, dys)
        start = [jnp.zeros(v.shape, v.dtype) for v in shapes]
        spread = [jnp.zeros(v.shape, jnp.float64) for v in shapes]

        def body(k, state):
            base, spread = state
            size = jnp.where(k == 0, 0.0, 2 * UNIT)
            x = perturbed(live, size, seed + k.astype(jnp.uint32), 0)
            dy = perturbed(dys, size, seed + k.astype(jnp.uint32), len(live))
            value = f(x, rest, dy)
            base = [jnp.where(k == 0, v, b) for v, b in zip(value, base)]
            spread = [
                jnp.fmax(s, jnp.abs(v - b)) for s, v, b in zip(spread, value, base)
            ]
            return base, spread

        return lax.fori_loop(0, repeats + 1, body, (start, spread))

    return program


def rounded(f: Callable, widen: bool) -> Callable:
    """f under Monte Carlo arithmetic, of a seed and the size of the noise."""

    def program(live, rest, dys, seed, size):
        return changed(f, Change(widen=widen, seed=seed, size=size))(live, rest, dys)

    return program


def rounded_truth(primal: Callable, pullback: Callable, widen: bool) -> Callable:
    """The pullback of a primal, likewise."""

    def program(live, rest, dys, seed, size):
        read = primal
        if widen:  # For the noise of its constants.
            read = changed(primal, Change(widen=True, seed=seed, size=size))
        noisy = Change(seed=seed + np.uint32(1), size=size)
        return changed(pullback(read), noisy)(live, rest, dys)

    return program


def spread(runs: list[list]) -> list[np.ndarray]:
    """How far the runs are from the first, leaf by leaf; NaN and inf as 0."""
    with np.errstate(invalid="ignore"):  # inf - inf
        return [
            np.asarray(np.max([finite(abs(v - values[0])) for v in values[1:]], axis=0))
            for values in zip(*runs)
        ]


def finite(v: Values) -> np.ndarray:
    """NaN and inf as 0."""
    return np.asarray(np.where(np.isfinite(v), v, 0.0))


def perturbed(values: list, size: Any, seed: Any, salt: int) -> list:
    """Each value times 1 ± size."""
    return [
        v * (1 + size * random_signs(v.shape, seed, salt + i)).astype(v.dtype)
        for i, v in enumerate(values)
    ]


def shaken(
    values: list, rng: np.random.Generator, size: float = 1.0
) -> list[np.ndarray]:
    """Each value times 1 ± 2u size, on the host."""
    signs = [rng.choice([-size, size], np.shape(v)) for v in values]
    return [np.asarray(v * (1 + 2 * UNIT * s)) for v, s in zip(values, signs)]


def lifted(dtype: Any) -> Any:
    """float64 for a float, complex128 for a complex dtype."""
    return np.complex128 if jnp.issubdtype(dtype, np.complexfloating) else np.float64


def to_numpy(values: list) -> list[np.ndarray]:
    """Arrays on the host, narrow floats as float64."""
    arrays = [np.asarray(v) for v in jax.device_get(values)]
    return [np.asarray(v.astype(lifted(v.dtype))) for v in arrays]
