"""Operations that one takes for another: a backward may belong to the other.

Beside the slips of the pen (reference.mutate.operators), for the forward alone: the
backward of an average pool under the forward of a maximum pool is no slip of one line.
"""

from typing import Any

import jax.numpy as jnp
from jax import lax

from reference.mutate.operators import operators_for
from reference.mutate.slips import Operator, count, exchanged, reduced, renamed


def mean(a: Any, axes: tuple[int, ...]) -> Any:
    """Over some axes."""
    return jnp.sum(a, axis=axes) / count(axes, a.shape)


def largest(a: Any, axes: tuple[int, ...]) -> Any:
    """The maximum as often as there are summands, so that a mean becomes a maximum."""
    return jnp.max(a, axis=axes) * count(axes, a.shape)


def total(a: Any, axes: tuple[int, ...]) -> Any:
    """The sum."""
    return jnp.sum(a, axis=axes)


def window_mean(eqn: Any, values: list) -> list:
    """The mean of each window of a pool."""
    p = eqn.params
    window = p["window_dimensions"], p["window_strides"], p["padding"]
    size = 1
    for n in p["window_dimensions"]:
        size *= n
    zero = jnp.zeros((), values[0].dtype)
    return [lax.reduce_window(values[0], zero, lax.add, *window) / size]


def reduction(before: str, after: str, f: Any) -> Operator:
    """One reduction for another."""
    return reduced(f"{before} to {after}", f"a {before} becomes a {after}", f)


EXTREME = {"reduce_max": "maximum", "reduce_min": "minimum"}
OTHER: dict[str, list[Operator]] = {
    **{
        primitive: [reduction(name, "mean", mean), reduction(name, "sum", total)]
        for primitive, name in EXTREME.items()
    },
    "reduce_prod": [reduction("product", "mean", mean)],
    "reduce_sum": [reduction("mean", "maximum", largest)],
    "reduce_window_max": [
        Operator("maximum to mean", "a maximum pool becomes an average", window_mean)
    ],
    "max": [exchanged("max(a, b)", "a + b", lax.add)],
    "min": [exchanged("min(a, b)", "a + b", lax.add)],
    "abs": [renamed("abs", "square", lax.square)],
    "square": [renamed("square", "abs", lax.abs)],
    "tanh": [renamed("tanh", "max0", lambda a: lax.max(a, jnp.zeros_like(a)))],
    "logistic": [renamed("logistic", "max0", lambda a: lax.max(a, jnp.zeros_like(a)))],
}


def in_place_of(eqn: Any) -> list[Operator]:
    """What may have been meant for an equation of the forward."""
    return [*operators_for(eqn), *OTHER.get(eqn.primitive.name, ())]
