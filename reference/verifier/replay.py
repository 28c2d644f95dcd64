"""Run a traced function again with one thing about it changed.

A jaxpr is a list of equations; `replay` evaluates them in order and recurses into the
bodies of jit, scan, while, cond, checkpoint and custom derivatives. Five changes serve
the oracle:

    widen   every narrower float becomes float64, casts included: the function that was
            meant, with the rounding of its low-precision parts removed. A backward that
            is right here and not as written loses digits in a cast and is not wrong.
    inline  custom_jvp and custom_vjp are replaced by what they compute, so that
            autodiff goes through the primal itself and not through another hand-written
            derivative.
    unstop  stop_gradient is taken out.
    prolong loops that take nothing in but their own state (fori_loop, while_loop) run
            for 2n + 1 steps in place of n: an iteration that has converged does not
            notice, one that swings between two values does.
    noise   the result of every operation that rounds is multiplied by 1 ± 2u, with
            u = 2^-53 and random signs, and so is every constant of a narrower dtype,
            with that dtype's u: Monte Carlo arithmetic (Parker, "Monte Carlo
            arithmetic", UCLA CSD-970002, 1997). The spread of the outputs is the
            rounding error that this very program may have, cancellation included.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend import core

from reference.verifier.programs import CUSTOM, is_narrow, iterates, narrowings

UNIT = 2.0**-53
CALLS = {"jit", "pjit", "closed_call", "core_call", "remat", "remat2", "checkpoint"}
SCATTERS = {
    "scatter": lax.scatter,
    "scatter-add": lax.scatter_add,
    "scatter_add": lax.scatter_add,
    "scatter-mul": lax.scatter_mul,
    "scatter_mul": lax.scatter_mul,
    "scatter-min": lax.scatter_min,
    "scatter_min": lax.scatter_min,
    "scatter-max": lax.scatter_max,
    "scatter_max": lax.scatter_max,
}
EXACT = {
    "abs", "and", "argmax", "argmin", "bitcast_convert_type", "broadcast_in_dim",
    "ceil", "clamp", "concatenate", "conj", "convert_element_type", "copy", "copy_p",
    "cummax", "cummin", "device_put", "dynamic_slice", "dynamic_update_slice", "eq",
    "expand_dims", "floor", "gather", "imag", "iota", "is_finite", "max", "min",
    "name", "ne", "neg", "nextafter", "optimization_barrier", "pad", "real",
    "reduce_max", "reduce_min", "reduce_precision", "reduce_window_max",
    "reduce_window_min", "reshape", "rev", "round", "scatter", "select_n", "sign",
    "slice", "sort", "split", "squeeze", "stack", "stop_gradient", "top_k",
    "transpose", "unstack",
}  # fmt: skip


@dataclass(frozen=True)
class Change:
    """What `replay` changes.

    `seed` is None, or a traced integer that draws noise; `size` is the noise in units
    of 2u, and may be traced.
    """

    widen: bool = False
    inline: bool = False
    unstop: bool = False
    prolong: bool = False
    seed: Any = None
    size: Any = 1.0


def changed(f: Callable, change: Change) -> Callable:
    """`f` with a change; it is traced at the arguments that it is called with."""

    def replayed(*args: Any) -> Any:
        closed, shape = jax.make_jaxpr(f, return_shape=True)(*args)
        outputs = replay(closed, jax.tree.leaves(args), change)
        return jax.tree.unflatten(jax.tree.structure(shape), outputs)

    return replayed


def replay(closed: core.ClosedJaxpr, inputs: list, change: Change) -> list:
    """Evaluate a closed jaxpr with a change."""
    return Replay(change).run(closed.jaxpr, closed.consts, inputs)


class Replay:
    """The walk: a count of equations gives each its own noise."""

    def __init__(self, change: Change):
        """Start counting."""
        self.change = change
        self.count = 0

    def run(self, jaxpr: core.Jaxpr, consts, inputs) -> list:
        """Evaluate the equations in order."""
        env: dict = dict(zip(jaxpr.constvars, map(self.lift, consts)))
        env.update(zip(jaxpr.invars, map(self.lift, inputs), strict=True))
        for eqn in jaxpr.eqns:
            values = [self.read(env, v) for v in eqn.invars]
            outputs = self.equation(eqn, values)
            env.update(zip(eqn.outvars, outputs, strict=True))
        return [self.read(env, v) for v in jaxpr.outvars]

    def read(self, env: dict, v) -> Any:
        """The value of a variable or a constant."""
        if not isinstance(v, core.Literal):
            return env[v]
        return self.lift(self.rounded_constant(v.val))

    def rounded_constant(self, value: Any) -> Any:
        """A constant, with the noise of the narrow dtype that it was rounded to.

        Its sign is a bit of the seed, so that some of any eight seeds in a row differ.
        """
        dtype = getattr(value, "dtype", None)
        if not (self.noisy and self.change.widen and is_narrow(dtype)):
            return value
        size, eps = abs(float(value)), float(jnp.finfo(dtype).eps)
        if not np.isfinite(size):  # A maximum starts from -inf.
            return value
        if size * 2**8 % 1 == 0 and size * eps <= 2:  # Written exactly: 0.5, 3.
            return value  # Beyond 2/eps, as 3000 in bfloat16, whole numbers round too.
        self.count += 1
        half = max(size, float(jnp.finfo(dtype).tiny)) * eps / 2
        bit = (jnp.asarray(self.change.seed) >> np.uint32(self.count % 3)) & np.uint32(
            1
        )
        return widened(value) + half * (1.0 - 2.0 * bit.astype(jnp.float64))

    def lift(self, value: Any) -> Any:
        """An input in the dtype of this replay."""
        return widened(value) if self.change.widen else value

    def equation(self, eqn, values: list) -> list:
        """The outputs of one equation."""
        name = eqn.primitive.name
        if name in CALLS:
            return self.body(
                eqn.params["jaxpr" if "jaxpr" in eqn.params else "call_jaxpr"]
            )(*values)
        if name in CUSTOM and self.opens(eqn):
            return self.body(eqn.params["call_jaxpr"])(*values)
        if name == "stop_gradient" and self.change.unstop:
            return values
        if name in ("scan", "while", "cond"):
            return getattr(self, f"{name}_")(eqn.params, values)
        if self.change.widen:
            return self.widened_bind(eqn, values)
        return self.perturb(name, bind(eqn, values, eqn.params))

    def opens(self, eqn) -> bool:
        """Whether a custom derivative must be replaced by its primal."""
        narrow = any(is_narrow(v.aval.dtype) for v in (*eqn.invars, *eqn.outvars))
        inner = self.change.widen and (narrow or narrowings(eqn.params["call_jaxpr"]))
        return self.change.inline or self.noisy or bool(inner)

    @property
    def noisy(self) -> bool:
        """Whether results are rounded at random."""
        return self.change.seed is not None

    def body(self, jaxpr) -> Callable:
        """An inner jaxpr as a function."""
        closed = (
            jaxpr
            if isinstance(jaxpr, core.ClosedJaxpr)
            else core.ClosedJaxpr(jaxpr, ())
        )
        return lambda *inputs: self.run(closed.jaxpr, closed.consts, list(inputs))

    def scan_(self, params: dict, values: list) -> list:
        """A scan whose body is replayed."""
        consts, carry = params["num_consts"], params["num_carry"]
        body = self.body(params["jaxpr"])

        def step(state, xs):
            outputs = body(*values[:consts], *state, *xs)
            return tuple(map(like, outputs[:carry], state)), outputs[carry:]

        state, ys = lax.scan(
            step,
            tuple(map(jnp.asarray, values[consts : consts + carry])),
            tuple(values[consts + carry :]),
            length=params["length"] * 2 + 1
            if self.prolongs(params)
            else params["length"],
            reverse=params["reverse"],
        )
        return [*state, *ys]

    def prolongs(self, params: dict) -> bool:
        """Whether a scan is one of those that run longer."""
        return self.change.prolong and iterates(params)

    def while_(self, params: dict, values: list) -> list:
        """A while loop whose condition and body are.

        Under vmap the condition has an entry for each of the batch, and whoever is done
        waits for the others.
        """
        c, b = params["cond_nconsts"], params["body_nconsts"]
        test, body = self.body(params["cond_jaxpr"]), self.body(params["body_jaxpr"])

        def step(goes_on, state):
            moved = map(like, body(*values[c : c + b], *state), state)
            return tuple(chosen(goes_on, v, w) for v, w in zip(moved, state))

        def advance(carry):
            goes_on, count, state = carry
            state = step(goes_on, state)
            return (
                test(*values[:c], *state)[0],
                count + goes_on.astype(jnp.int32),
                state,
            )

        def repeat(carry):
            count, state = carry
            return count - 1, step(count > 0, state)

        start = tuple(map(jnp.asarray, values[c + b :]))
        goes_on = jnp.asarray(test(*values[:c], *start)[0])
        count = jnp.zeros(goes_on.shape, jnp.int32)
        _, count, end = lax.while_loop(
            lambda carry: carry[0].any(), advance, (goes_on, count, start)
        )
        if self.change.prolong:
            count = jnp.where(count > 0, count + 1, 0)
            _, end = lax.while_loop(lambda s: (s[0] > 0).any(), repeat, (count, end))
        return list(end)

    def cond_(self, params: dict, values: list) -> list:
        """A choice whose branches are."""
        branches = [self.body(branch) for branch in params["branches"]]
        return list(lax.switch(values[0], branches, *values[1:]))

    def widened_bind(self, eqn, values: list) -> list:
        """The primitive on float64, whatever its parameters say."""
        name, params = eqn.primitive.name, dict(eqn.params)
        if name == "reduce_precision":
            return values
        if name == "bitcast_convert_type":  # Bits mean something in their own dtype.
            bits = [jnp.asarray(v, w.aval.dtype) for v, w in zip(values, eqn.invars)]
            return list(map(widened, bind(eqn, bits, params)))
        if name in SCATTERS:
            return [scatter(SCATTERS[name], params, values)]
        for key, value in params.items():
            if is_narrow(value):
                params[key] = np.dtype(np.float64)
        return self.perturb(name, bind(eqn, values, params))

    def perturb(self, name: str, outputs: list) -> list:
        """Noise on what rounds."""
        if not self.noisy or name in EXACT:
            return outputs
        self.count += 1
        seed, size = self.change.seed, self.change.size
        return [jiggled(v, seed, self.count, size) for v in outputs]


def bind(eqn, values: list, params: dict) -> list:
    """The equation's primitive on values, as a list of outputs."""
    bound = eqn.primitive.get_bind_params(params)
    # jax up to 0.9 returns (functions, params), later ones the params alone.
    functions, bound = bound if isinstance(bound, tuple) else ((), bound)
    outputs = eqn.primitive.bind(*functions, *values, **bound)
    return list(outputs) if eqn.primitive.multiple_results else [outputs]


def scatter(function: Callable, params: dict, values: list) -> Any:
    """A scatter through its public function, which makes its body for the new dtype."""
    return function(
        *values,
        params["dimension_numbers"],
        indices_are_sorted=params["indices_are_sorted"],
        unique_indices=params["unique_indices"],
        mode=params["mode"],
    )


def widened(value: Any) -> Any:
    """Narrow floats as float64; everything else as it is."""
    if is_narrow(getattr(value, "dtype", None)):
        return jnp.asarray(value, jnp.float64)
    return value


def like(value: Any, model: Any) -> Any:
    """A carry in the dtype that it came in."""
    return (
        value
        if value.dtype == model.dtype
        else lax.convert_element_type(value, model.dtype)
    )


def chosen(condition: Any, value: Any, other: Any) -> Any:
    """One of two values; entry by entry of the leading axes that a condition has."""
    if condition.ndim == 0:  # Of a loop, which ends where it does not hold.
        return value
    axes = tuple(range(condition.ndim))
    return lax.select(lax.broadcast_in_dim(condition, value.shape, axes), value, other)


def random_signs(shape: tuple, seed: Any, salt: int) -> jax.Array:
    """±1 in float64 from an integer hash, which is cheap to compile."""
    n = lax.iota(jnp.uint32, int(np.prod(shape)))
    h = n * np.uint32(2654435761) + jnp.asarray(seed).astype(jnp.uint32)
    h = (h ^ np.uint32(salt * 0x9E3779B1 % 2**32)) * np.uint32(2246822519)
    h = (h ^ (h >> np.uint32(15))) * np.uint32(3266489917)
    bit = (h >> np.uint32(17)) & np.uint32(1)
    return (1.0 - 2.0 * bit.astype(jnp.float64)).reshape(shape)


def jiggled(value: Any, seed: Any, salt: int, size: Any = 1.0) -> Any:
    """value * (1 ± 2u size) with random signs; integers as they are."""
    value = jnp.asarray(value)
    if not jnp.issubdtype(value.dtype, jnp.inexact):
        return value
    factor = 1.0 + 2 * UNIT * size * random_signs(value.shape, seed, salt)
    return value * factor.astype(value.dtype)
