"""The truth as a program: reverse mode, or forward mode column by column."""

from collections.abc import Callable

import jax
import jax.numpy as jnp


def pullback_of(primal: Callable) -> Callable:
    """jax.vjp of a function of (live, rest) in `live`: the cotangents, then y."""

    def truth(live, rest, dys):
        y, pullback = jax.vjp(lambda vs: primal(vs, rest), live)
        # A forward may keep a dtype of its own whatever it is given.
        dys = [jnp.asarray(d, v.dtype) for d, v in zip(dys, y)]
        return [*pullback(dys)[0], *y]

    return truth


def columns_of(primal: Callable) -> Callable:
    """The same as `pullback_of`, by forward mode: V_j = ⟨dy, J e_j⟩."""

    def truth(live, rest, dys):
        y = primal(live, rest)

        def column(tangents):
            y_dot = jax.jvp(lambda vs: primal(vs, rest), (live,), (tangents,))[1]
            return sum(jnp.sum(d.astype(v.dtype) * v) for d, v in zip(dys, y_dot))

        zeros = [jnp.zeros_like(v) for v in live]
        cotangents = []
        for i, v in enumerate(live):
            units = jnp.eye(v.size, dtype=v.dtype).reshape(v.size, *v.shape)
            entries = jax.lax.map(
                lambda e, i=i: column([*zeros[:i], e, *zeros[i + 1 :]]), units
            )
            cotangents.append(entries.reshape(v.shape).astype(v.dtype))
        return [*cotangents, *y]

    return truth


def depends(jaxpr, output) -> bool:
    """Whether an output of a jaxpr depends on any of its inputs."""
    inputs = set(jaxpr.invars)
    reached = set()
    for eqn in jaxpr.eqns:
        sources = [
            v for v in eqn.invars if hasattr(v, "count") or not hasattr(v, "val")
        ]
        if any(v in inputs or v in reached for v in sources):
            reached.update(eqn.outvars)
    return not hasattr(output, "val") and (output in inputs or output in reached)
