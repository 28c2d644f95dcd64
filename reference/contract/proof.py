"""What the traces of a subject prove without running it (see program.py).

Traced under everything that must not change it, a subject must give one program:

    purity       a second call, interleaved with one at another point
    jit          called with arrays instead of tracers
    vmap         batched as code, and its program batched: over dy, over the arguments,
                 over both
    custom_vjp   end to end through jax.custom_vjp and jax.vjp

What gives another program, calls back into Python or refuses is left to purity.py and
transforms.py, which run it. Nobody is accused from a trace, with one exception: code
that keeps a tracer after its trace has ended.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.extend import core

from reference.contract.case import compiled, pullback, watched_randomness
from reference.contract.finding import Finding, draws, leak
from reference.contract.leaves import (
    float_cotangents,
    full_cotangent,
    is_float,
    leaf_names,
    type_of,
)
from reference.contract.program import (
    canonical,
    is_opaque,
    narrowest_epsilon,
    trace,
    unused_inputs,
)
from reference.verifier.subject import Subject

UNSEEN = 2.0**-23  # float32, in which code that cannot be seen may compute.


@dataclass(frozen=True)
class Proof:
    """What the traces of a subject show.

    Attributes:
        unproven: The clauses that must be run: "purity", "jit", "vmap", "custom_vjp".
        findings: What is known already.
        unused: The names of the residuals whose values backward does not use.
        epsilon: The spacing at 1 of the narrowest float type in use.
    """

    unproven: frozenset[str]
    findings: tuple[Finding, ...]
    unused: frozenset[str]
    epsilon: float


def prove(subject: Subject, dy: list) -> Proof:
    """Compare the programs of a traceable subject.

    Args:
        subject: Its arguments are JAX's arrays.
        dy: One array, or its type, per float leaf of y.

    Raises:
        Exception: what forward or backward raises when traced.
    """
    unproven, findings, unused = set(), [], frozenset()
    with watched_randomness() as watch:
        program = compiled(subject).trace(subject.args, dy).jaxpr
        watched = watch.over(subject)
        try:
            unused = unused_residuals(subject, dy)
            for check, same in CLAUSES.items():
                if is_opaque(program) or not _attempt(same, watched, dy, program):
                    unproven.add(check)
        except jax.errors.UnexpectedTracerError:
            unproven.add("purity")
            findings.append(leak())
    if watch.advanced:
        findings.append(draws(watch.advanced))
    epsilon = max(narrowest_epsilon(program), UNSEEN if is_opaque(program) else 0.0)
    return Proof(frozenset(unproven), tuple(findings), unused, epsilon)


def _attempt(same: Callable, subject: Subject, dy: list, program: Any) -> bool:
    try:
        return same(subject, dy, program)
    except jax.errors.UnexpectedTracerError:
        raise
    except Exception:
        return False


def same_when_interleaved(subject: Subject, dy: list, program: Any) -> bool:
    """Of two calls, each backward follows from its own forward alone."""

    def interleaved(one, dy, two):
        y1, r1 = subject.forward(*one)
        y2, r2 = subject.forward(*two)
        return [
            outputs(subject, args, y, subject.backward(r, full_cotangent(y, dy)))
            for args, y, r in ((one, y1, r1), (two, y2, r2), (one, y1, r1))
        ]

    args = abstract(subject.args)
    both = trace(interleaved, args, abstract(dy), args)
    n, m = len(jax.tree.leaves(args)), len(program.jaxpr.outvars)
    second = {("in", n + len(dy) + i): ("in", i) for i in range(n)}
    wanted = canonical(program)
    return all(
        canonical(both, slice(i * m, (i + 1) * m), labels) == wanted
        for i, labels in enumerate(({}, second, {}))
    )


def same_for_arrays(subject: Subject, dy: list, program: Any) -> bool:
    """Arrays go the way of tracers, through forward and through backward."""
    del program
    traced, y, residuals = trace_forward(subject, abstract(subject.args))
    concrete, _, _ = trace_forward(subject, subject.args, staged=False)
    if canonical(traced) != canonical(concrete, labels=_labels(subject.args)):
        return False
    backward = backward_of(subject, y, residuals)
    types = [v for v in jax.tree.leaves(residuals) if is_type(v)]
    inputs = [stand_in(t) for t in types], [stand_in(t) for t in dy]
    traced = trace(backward, types, abstract(dy))
    concrete = trace(lambda: backward(*inputs))
    return canonical(traced) == canonical(concrete, labels=_labels(inputs))


def same_when_batched(subject: Subject, dy: list, program: Any) -> bool:
    """Batching the code gives what batching its program gives."""
    replayed = core.jaxpr_as_fun(program)

    def replay(args, dy):
        return replayed(*jax.tree.leaves((args, dy)))

    for axes in (0, 0), (None, 0), (0, None):
        inputs = tuple(
            abstract(v, *(() if axis is None else (2,)))
            for v, axis in zip((subject.args, dy), axes)
        )
        code, batched = (
            canonical(trace(jax.vmap(f, axes), *inputs))
            for f in (pullback(subject), replay)
        )
        if code != batched:
            return False
    return True


def same_through_custom_vjp(subject: Subject, dy: list, program: Any) -> bool:
    """jax.custom_vjp adds nothing and loses nothing."""
    inputs = abstract(subject.args), abstract(dy)
    return canonical(trace(through_custom_vjp(subject), *inputs)) == canonical(program)


CLAUSES = {
    "purity": same_when_interleaved,
    "jit": same_for_arrays,
    "vmap": same_when_batched,
    "custom_vjp": same_through_custom_vjp,
}


def through_custom_vjp(subject: Subject, wrap: Callable = lambda f: f) -> Callable:
    """`pullback` of a subject, by way of jax.custom_vjp, a wrapper and jax.vjp."""
    f = jax.custom_vjp(lambda *args: subject.forward(*args)[0])
    f.defvjp(subject.forward, subject.backward)

    def y_and_cotangents(args, dy):
        y, pull = jax.vjp(wrap(f), *args)
        return outputs(subject, args, y, pull(full_cotangent(y, dy)))

    return y_and_cotangents


def unused_residuals(subject: Subject, dy: list) -> frozenset[str]:
    """The residuals that no output of backward depends on."""
    _, y, residuals = trace_forward(subject, abstract(subject.args))
    leaves = jax.tree.leaves(residuals)
    names = leaf_names(("residuals",), (residuals,))
    names = [name for name, v in zip(names, leaves) if is_type(v)]
    types = [v for v in leaves if is_type(v)]
    program = trace(backward_of(subject, y, residuals), types, abstract(dy))
    unused = unused_inputs(program)
    return frozenset(n for n, lost in zip(names, unused) if lost)


def trace_forward(subject: Subject, args: tuple, staged: bool = True) -> tuple:
    """The program of forward, and its y and residuals with types for arrays."""
    kept = []

    def forward(*args):
        result = subject.forward(*args)
        kept.append(jax.tree.map(lambda v: abstract(v) if _is_array(v) else v, result))
        return [v for v in jax.tree.leaves(result) if _is_array(v)]

    program = trace(forward, *args) if staged else trace(lambda: forward(*args))
    return program, *kept[0]


def backward_of(subject: Subject, y: Any, residuals: Any) -> Callable:
    """Backward as a function of the residual arrays and the float leaves of dy."""
    leaves, tree = jax.tree.flatten(residuals)

    def backward(arrays, dy):
        rest = iter(arrays)
        full = jax.tree.unflatten(
            tree, [next(rest) if is_type(v) else v for v in leaves]
        )
        cotangents = subject.backward(full, full_cotangent(y, dy))
        return float_cotangents(subject, subject.args, cotangents)

    return backward


def outputs(subject: Subject, args: tuple, y: Any, cotangents: Any) -> tuple:
    """What is compared: the float leaves of y and the float cotangents."""
    floats = [v for v in jax.tree.leaves(y) if is_float(v)]
    return floats, float_cotangents(subject, args, cotangents)


def abstract(tree: Any, *lead: int) -> Any:
    """Shapes and dtypes in place of arrays, with leading axes if asked."""

    def describe(leaf):
        t = type_of(leaf)
        weak = t.weak_type
        return jax.ShapeDtypeStruct((*lead, *t.shape), t.dtype, weak_type=weak)

    return jax.tree.map(describe, tree)


def is_type(leaf: Any) -> bool:
    """Whether a leaf stands for an array."""
    return isinstance(leaf, jax.ShapeDtypeStruct)


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, (jax.Array, np.ndarray))


def stand_in(t: jax.ShapeDtypeStruct) -> jax.Array:
    """An array of zeros, or keys, of this type."""
    if jax.dtypes.issubdtype(t.dtype, jax.dtypes.prng_key):
        return jax.random.split(jax.random.key(0), t.shape)
    return jax.device_put(np.zeros(t.shape, t.dtype))


def _labels(tree: Any) -> dict:
    return {id(v): ("in", i) for i, v in enumerate(jax.tree.leaves(tree))}
