"""A traced function run on numbers, one operation at a time."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

from reference.verifier.programs import CUSTOM, named
from reference.verifier.replay import CALLS, Change, Replay, bind


def one_by_one(f: Callable) -> Callable:
    """`f` with every operation run by itself, as where no jit is around it.

    XLA fuses operations of 16 bits into programs that keep the digits of float32
    inside, or multiplies and adds with one rounding: they show what the dtype does only
    where they are apart. What is traced once serves every call of the same shapes.
    """
    traced: dict = {}

    def run(*args: Any) -> Any:
        leaves = list(map(jnp.asarray, jax.tree.leaves(args)))
        key = tuple((v.shape, v.dtype) for v in leaves)
        if key not in traced:
            traced[key] = jax.make_jaxpr(f, return_shape=True)(*args)
        closed, shape = traced[key]
        outputs = _OneByOne(Change()).run(closed.jaxpr, closed.consts, leaves)
        return jax.tree.unflatten(jax.tree.structure(shape), outputs)

    return run


def first_nonfinite(closed: core.ClosedJaxpr, *inputs: Any) -> tuple[str, tuple]:
    """The first operation that makes NaN or inf of finite numbers, and its operands.

    ("", ()) where there is none. Loops count as one operation. The function is run
    eagerly, one equation at a time.
    """
    watch = _Watch(Change())
    watch.run(closed.jaxpr, closed.consts, jax.tree.leaves(inputs))
    return watch.found, watch.operands


def nonfinite_branches(closed: core.ClosedJaxpr, *inputs: Any) -> list[str]:
    """The choices that pass over NaN or inf, as `where(x > 0, sqrt(x), 0)` does.

    The derivative of the branch that was not taken is multiplied by zero, and is NaN.
    """
    watch = _Choices(Change())
    watch.run(closed.jaxpr, closed.consts, jax.tree.leaves(inputs))
    return watch.found


class _OneByOne(Replay):
    """A replay that opens calls and leaves loops whole."""

    def equation(self, eqn, values: list) -> list:
        if eqn.primitive.name in CALLS | CUSTOM:
            return super().equation(eqn, values)
        return bind(eqn, values, eqn.params)

    def opens(self, eqn) -> bool:
        return True


class _Watch(Replay):
    """A replay that looks at every result."""

    found = ""
    operands: tuple = ()

    def equation(self, eqn, values: list) -> list:
        outputs = super().equation(eqn, values)
        if not self.found and all_finite(values) and not all_finite(outputs):
            self.found = eqn.primitive.name
            self.operands = tuple(map(np.asarray, values))
        return outputs


class _Choices(Replay):
    """A replay that looks at what is not chosen."""

    def __init__(self, change: Change):
        super().__init__(change)
        self.found: list[str] = []

    def equation(self, eqn, values: list) -> list:
        outputs = super().equation(eqn, values)
        if eqn.primitive.name == "select_n" and not all_finite(values):
            if all_finite(outputs):
                self.found.append(f"{named(eqn)} over a branch that is not finite")
        return outputs


def all_finite(values: list) -> bool:
    """Whether no float among concrete values is NaN or inf; True while tracing."""
    return all(
        isinstance(v, jax.core.Tracer)
        or not jnp.issubdtype(jnp.result_type(v), jnp.inexact)
        or bool(np.isfinite(np.asarray(v)).all())
        for v in values
    )
