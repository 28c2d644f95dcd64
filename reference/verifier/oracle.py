"""The truth in float64, the hand-written result, and the noise of both.

The judge is V = jax.vjp(f, x)(dy) in float64 at the highest matrix precision, on inputs
that were rounded once to the working dtype: the same numbers for both sides. H is the
hand-written backward at the same place. With u = 2^-53 and signs xi = ±1 drawn anew,

    (1)  s_V = max_k |V(x (1 + 2u xi_k), dy (1 + 2u xi'_k)) - V(x, dy)|
    (2)  s_H = the same with H
    (3)  s   = max(s_V, s_H)                                 entry by entry

s is what half a unit in the last place of the inputs does to the output: no right
program can promise less. Where (3) cannot excuse a difference, Monte Carlo arithmetic
(reference.verifier.replay) measures what rounding inside the two programs does.

Where reverse mode cannot run, as through a loop of unknown length, V is put together
column by column from jax.jvp, for arguments of up to 4096 entries.

Two readings of a function are available beside the plain one: widened, where casts to
narrower floats are undone, and inlined, where custom derivatives are opened.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cached_property, lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from reference.verifier.constants import convert_anew
from reference.verifier.eager import first_nonfinite, nonfinite_branches, one_by_one
from reference.verifier.noise import (
    Noisy,
    lifted,
    rounded,
    rounded_truth,
    run,
    shaken,
    spread,
    to_numpy,
    with_noise,
)
from reference.verifier.problem import ContractError, Functions, first_line
from reference.verifier.programs import (
    compared_integers,
    custom_derivatives,
    float_constants,
    iterations,
    misleading,
    narrowings,
    overwrites,
    wants_symmetry,
)
from reference.verifier.pullbacks import columns_of, depends, pullback_of
from reference.verifier.replay import Change, changed, replay

# How often functions ran, of all problems together: a check counts what it adds.
PASSES: Counter = Counter(hand=0, truth=0, forward=0)


@contextmanager
def exact_arithmetic(x64: bool = True) -> Iterator[None]:
    """float64, highest matrix precision, JAX's standard promotion; then as before."""
    convert_anew()
    with ExitStack() as stack:
        stack.enter_context(jax.enable_x64(x64))
        stack.enter_context(jax.numpy_dtype_promotion("standard"))
        stack.enter_context(jax.numpy_rank_promotion("allow"))
        stack.enter_context(jax.debug_key_reuse(False))
        stack.enter_context(jax.debug_nans(False))
        stack.enter_context(jax.debug_infs(False))
        if x64:
            stack.enter_context(jax.default_matmul_precision("highest"))
            if jax.default_backend() not in ("cpu", "gpu", "cuda", "rocm"):
                cpu = jax.local_devices(backend="cpu")[0]
                stack.enter_context(jax.default_device(cpu))
        yield


class Oracle:
    """The compiled programs of one problem; all of them want `exact_arithmetic`.

    The truth's lists hold the cotangents of the live leaves and then y's float leaves.
    """

    def __init__(self, functions: Functions):
        """Trace the functions in float64; compile nothing yet.

        Raises:
            Exception: whatever tracing the forward raised. A backward that cannot be
                traced is called eagerly instead.
        """
        self.functions = functions
        self.pullback = columns_of if functions.by_columns else pullback_of
        self.passes = PASSES
        examples = self._examples()
        self._primal_jaxpr = jax.make_jaxpr(functions.primal)(*examples[:2])
        self.customs = custom_derivatives(self._primal_jaxpr)
        self._suspects = misleading(self._primal_jaxpr)
        self.special = compared_integers(self._primal_jaxpr)
        self.overwrites = overwrites(self._primal_jaxpr)
        self.wants_symmetry = wants_symmetry(self._primal_jaxpr)
        try:
            hand_jaxpr = jax.make_jaxpr(functions.hand)(*examples)
            self.eager = False
        except ContractError:
            raise
        except Exception as error:  # What cannot be traced may still run.
            self.eager, self.trace_error = True, error
            hand_jaxpr = jax.make_jaxpr(lambda: ())()
        mine = custom_derivatives(hand_jaxpr)
        self.hidden = [name for name in mine if name not in self.customs]
        self.forward_constants = float_constants(self._primal_jaxpr)
        leaks = narrowings(self._primal_jaxpr) + narrowings(hand_jaxpr)
        self.leaks = list(dict.fromkeys(leaks))

    @cached_property
    def iterates(self) -> bool:
        """Whether the forward, which may be another than the primal, holds a loop."""
        if self.functions.subject_primal is None:
            return iterations(self._primal_jaxpr)
        if self.eager:  # The forward may be NumPy's.
            return False
        forward = self._forward_itself.primal
        return iterations(jax.make_jaxpr(forward)(*self._examples()[:2]))

    @cached_property
    def is_dead(self) -> list[bool]:
        """Which live leaves the output does not depend on at all."""
        pullback = self.pullback(self.functions.primal)
        jaxpr = jax.make_jaxpr(pullback)(*self._examples()).jaxpr
        count = len(self.functions.shape.live)
        return [not depends(jaxpr, v) for v in jaxpr.outvars[:count]]

    def hand(self, live, rest, dys, *, repeats: int = 0, seed: int = 0) -> Noisy:
        """(2), in the widened reading where there is a leak."""
        self.passes["hand"] += 1 + repeats
        if self.eager:
            value = self._eagerly(live, rest, dys)
            return Noisy(value, [np.zeros(v.shape) for v in value])
        return run(self._hand, live, rest, dys, seed, repeats)

    def truth(self, live, rest, dys, *, repeats: int = 0, seed: int = 0) -> Noisy:
        """(1), likewise."""
        self.passes["truth"] += 1 + repeats
        return run(self._truth, live, rest, dys, seed, repeats)

    def both(self, live, rest, dys) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Hand and truth from one program, without noise: cheap to compile."""
        if self.eager:
            return self.hand(live, rest, dys).value, self.truth(live, rest, dys).value
        self.passes["hand"] += 1
        self.passes["truth"] += 1
        hand, truth = self._both(live, rest, dys)
        return to_numpy(hand), to_numpy(truth)

    def inlined_truth(self, live, rest, dys, *, unstop: bool = False) -> list:
        """jax.vjp through the primals of custom derivatives, and past stop_gradient."""
        self.passes["truth"] += 1
        return to_numpy(self._inlined[unstop](live, rest, dys))

    def forward_mode(self, live, rest, tangents) -> list[np.ndarray]:
        """jax.jvp of the forward."""
        self.passes["forward"] += 1
        return to_numpy(self._forward_mode(live, rest, tangents))

    def primal(self, live, rest) -> list[np.ndarray]:
        """The float leaves of y."""
        self.passes["forward"] += 1
        return to_numpy(self._primal(live, rest))

    def prolonged(self, live, rest) -> list[np.ndarray]:
        """`computed`, after 2n + 1 steps of every iteration of n."""
        return to_numpy(self._prolonged(live, rest))

    def computed(self, live, rest) -> list[np.ndarray]:
        """y by the forward, where the truth is the derivative of another."""
        if self.eager:  # The forward may be NumPy's.
            return to_numpy(self._forward_itself.primal(live, rest))
        return to_numpy(self._computed(live, rest))

    def as_written(self, which: str, live, rest, dys) -> list[np.ndarray]:
        """ "hand" or "truth" in the dtype of its arguments, nothing widened."""
        self.passes[which] += 1
        if which == "hand" and self.eager:
            return self._eagerly(live, rest, dys)
        is_half = any(v.dtype.itemsize == 2 for v in live)
        return to_numpy(self._written[which, is_half](live, rest, dys))

    def rounding(
        self, which: str, live, rest, dys, *, count: int = 6, size: float = 1.0
    ) -> list[np.ndarray]:
        """The spread of "hand" or "truth" under Monte Carlo arithmetic.

        Of what cannot be traced, under moves of the last bits of its inputs. `size` is
        the noise in units of 2u.
        """
        self.passes[which] += 1 + count
        if which == "hand" and self.eager:
            rng = np.random.default_rng(0)
            moved = [live, *(shaken(live, rng, size) for _ in range(count))]
            return spread([self._eagerly(at, rest, dys) for at in moved])
        program = self._monte_carlo[which]
        seeds = np.arange(count + 1, dtype=np.uint32)
        return spread([to_numpy(program(live, rest, dys, s, size)) for s in seeds])

    def first_nonfinite(self, live, rest, dys) -> tuple[str, tuple]:
        """The operation of the hand that first makes NaN or inf, and its operands."""
        if self.eager:
            return "", ()
        hand = self._reading(self.functions.hand)
        return first_nonfinite(jax.make_jaxpr(hand)(live, rest, dys), live, rest, dys)

    def misleading(self, live, rest) -> list[str]:
        """Operations of the forward that can make autodiff another thing than truth.

        Those known for it by name, and choices over a branch that is not finite here.
        """
        branches = nonfinite_branches(self._primal_jaxpr, live, rest)
        return list(dict.fromkeys([*self._suspects, *branches]))

    def widened_trace(self, live, rest, dys, dtype) -> list[np.ndarray]:
        """The hand-written program as traced in a working dtype, run in float64."""

        def program(live, rest, dys):
            narrow = jax.make_jaxpr(self.functions.hand)(
                [like(v, dtype) for v in live], rest, [like(v, dtype) for v in dys]
            )
            return replay(narrow, [*live, *rest, *dys], Change(widen=True))

        return to_numpy(jax.jit(program)(live, rest, dys))

    def _eagerly(self, live, rest, dys) -> list[np.ndarray]:
        """The hand-written result of code that cannot be traced."""
        try:
            return to_numpy(self.functions.hand(live, rest, dys))
        except ContractError:
            raise
        except Exception as error:
            dtypes = ", ".join(dict.fromkeys(str(v.dtype) for v in live))
            raise ContractError(
                f"backward must run in {dtypes} wherever forward does, but raises "
                f"{first_line(error)}"
            ) from error

    # The programs, compiled when first asked for.

    @cached_property
    def _hand(self):
        return self.jit(with_noise(self._reading(self.functions.hand)))

    @cached_property
    def _truth(self):
        return self.jit(with_noise(self.pullback(self._reading(self.functions.primal))))

    @cached_property
    def _both(self):
        truth = self.pullback(self._reading(self.functions.primal))
        hand = self._reading(self.functions.hand)
        return self.jit(lambda *args: (hand(*args), truth(*args)))

    @cached_property
    def _inlined(self):
        def program(unstop: bool):
            change = Change(widen=bool(self.leaks), inline=True, unstop=unstop)
            return self.jit(self.pullback(changed(self.functions.primal, change)))

        return {unstop: program(unstop) for unstop in (False, True)}

    @cached_property
    def _forward_mode(self):
        return self.jit(self._reading(self.functions.forward_mode))

    @cached_property
    def _primal(self):
        return self.jit(self._reading(self.functions.primal))

    @cached_property
    def _prolonged(self):
        change = Change(widen=bool(self.leaks), prolong=True)
        return self.jit(changed(self._forward_itself.primal, change))

    @property
    def _forward_itself(self) -> Functions:
        return replace(self.functions, subject_primal=None)

    @cached_property
    def _computed(self):
        return self.jit(self._reading(self._forward_itself.primal))

    @cached_property
    def _written(self):
        truth = self.pullback(self.functions.primal)
        programs = {"hand": self.functions.hand, "truth": truth}
        return {
            (name, is_half): one_by_one(f) if is_half else jax.jit(f)
            for name, f in programs.items()
            for is_half in (False, True)
        }

    @cached_property
    def _monte_carlo(self):
        f, widen = self.functions, bool(self.leaks)
        return {
            "hand": self.jit(rounded(f.hand, widen)),
            "truth": self.jit(rounded_truth(f.primal, self.pullback, widen)),
        }

    def jit(self, f: Callable) -> Callable:
        """jax.jit; for small programs without LLVM's passes, which cost more than gain.

        Measured on 2 CPU cores: 0.11 s instead of 0.16 s for a layer norm's pullback.
        """
        leaves = (*self.functions.shape.leaves, *self.functions.shape.outputs)
        small = sum(int(np.prod(v.shape)) for v in leaves) < 100_000
        options = {"xla_backend_optimization_level": 0} if small else None
        return jax.jit(f, compiler_options=options)

    def _reading(self, f: Callable) -> Callable:
        return changed(f, Change(widen=True)) if self.leaks else f

    def _examples(self) -> tuple[list, list, list]:
        shape = self.functions.shape
        live = [jax.ShapeDtypeStruct(v.shape, lifted(v.dtype)) for v in shape.live]
        rest = [v for v, alive in zip(shape.leaves, shape.is_live) if not alive]
        dys = [
            jax.ShapeDtypeStruct(v.shape, lifted(v.dtype)) for v in shape.live_outputs
        ]
        return live, rest, dys


@lru_cache(maxsize=128)
def oracle_for(functions: Functions) -> Oracle:
    """The oracle of a problem; compiled programs are kept for the last 128."""
    return Oracle(functions)


def like(v: Any, dtype: Any) -> jax.ShapeDtypeStruct:
    """A leaf's shape in another float dtype; complex leaves stay."""
    is_float = jnp.issubdtype(v.dtype, jnp.floating)
    return jax.ShapeDtypeStruct(v.shape, dtype if is_float else v.dtype)
