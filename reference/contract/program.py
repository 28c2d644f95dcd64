"""Two pieces of code are the same when JAX traces them to the same program.

Running a rule a second time, interleaved with another call, under jax.vmap or through
jax.custom_vjp is only worth compiling where the trace differs: equal programs have
equal results. So the comparisons of the contract are first made on traces, and only
what cannot be proven that way is executed. Measured on 2 cores: a trace of a linear
layer and a layer norm takes 10 ms, compiling it 150 ms, running it uncompiled for the
first time 800 ms.

A program that calls back into Python, or a hand-written kernel, proves nothing.
"""

import re
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

import jax
import numpy as np
from jax.extend import core
from jax.interpreters import partial_eval

from reference.contract.leaves import type_of
from reference.verifier.subject import Subject

OPAQUE = re.compile("callback|pallas|ffi|custom_call|custom_vmap|custom_partitioning")


_MEMORY: OrderedDict = OrderedDict()


def remembered(key: Any, compute: Callable[[], Any], size: int = 256) -> Any:
    """`compute()`, or what it gave before for this key; the `size` latest are kept."""
    try:
        hash(key)
    except TypeError:
        return compute()
    if key not in _MEMORY:
        _MEMORY[key] = compute()
        while len(_MEMORY) > size:
            _MEMORY.popitem(last=False)
    _MEMORY.move_to_end(key)
    return _MEMORY[key]


def signature(subject: Subject, args: Any) -> tuple:
    """Two calls of equal signature trace to the same program."""
    leaves, tree = jax.tree.flatten(args)
    types = [(type_of(v), isinstance(v, jax.Array)) for v in leaves]
    settings = jax.config.jax_enable_x64, jax.config.jax_numpy_dtype_promotion
    functions = subject.forward, subject.backward, subject.names, subject.frozen
    key = *functions, settings, tree
    return *key, tuple((t.shape, t.dtype, t.weak_type, j) for t, j in types)


def trace(f: Callable, *args: Any) -> core.ClosedJaxpr:
    """The program of f, whose outputs are trees of arrays."""
    return jax.make_jaxpr(f)(*args)


def canonical(
    closed: core.ClosedJaxpr,
    outputs: slice = slice(None),
    labels: dict | None = None,
) -> tuple:
    """A value that two programs share exactly when they compute the same.

    Args:
        closed: The program.
        outputs: Which of its outputs count; what the others need is left out.
        labels: What to call an input (by its position, "in", i) or a constant (by the
            id of the array) in place of its own name.
    """
    n = len(closed.jaxpr.outvars)
    used = [i in range(n)[outputs] for i in range(n)]
    jaxpr, _ = partial_eval.dce_jaxpr(closed.jaxpr, used, instantiate=True)
    labels = labels or {}
    names: dict = {
        v: labels.get(("in", i), ("in", i)) for i, v in enumerate(jaxpr.invars)
    }
    for v, value in zip(jaxpr.constvars, closed.consts):
        names[v] = labels.get(id(value), ("const", _constant(value)))
    return _equations(jaxpr, names)


def unused_inputs(closed: core.ClosedJaxpr) -> list[bool]:
    """For each input, whether no output depends on it."""
    every = [True] * len(closed.jaxpr.outvars)
    return [not used for used in partial_eval.dce_jaxpr(closed.jaxpr, every)[1]]


def _equations(jaxpr: core.Jaxpr, names: dict) -> tuple:
    equations, inputs_and_constants = [], len(names)
    for eqn in jaxpr.eqns:
        params = tuple((k, _param(v)) for k, v in sorted(eqn.params.items()))
        inputs = tuple(_atom(v, names) for v in eqn.invars)
        for v in eqn.outvars:
            names[v] = ("v", len(names) - inputs_and_constants)
        types = tuple(str(v.aval) for v in eqn.outvars)
        equations.append((eqn.primitive.name, params, inputs, types))
    return tuple(equations), tuple(_atom(v, names) for v in jaxpr.outvars)


def _atom(atom: Any, names: dict) -> Any:
    if isinstance(atom, core.Literal):
        return _constant(atom.val), str(atom.aval)
    return names[atom]


def _constant(value: Any) -> Any:
    if isinstance(value, jax.Array) and jax.dtypes.issubdtype(
        value.dtype, jax.dtypes.prng_key
    ):
        value = jax.random.key_data(value)
    value = np.asarray(value)
    return value.shape, str(value.dtype), value.tobytes()


def _param(value: Any) -> Any:
    if isinstance(value, core.ClosedJaxpr):
        return canonical(value)
    if isinstance(value, core.Jaxpr):
        return canonical(core.ClosedJaxpr(value, ()))
    if isinstance(value, (tuple, list)):
        return tuple(_param(v) for v in value)
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))


def all_equations(jaxpr: core.Jaxpr):
    """The equations of a program and of the programs inside it."""
    for eqn in jaxpr.eqns:
        yield eqn
        for inner in core.jaxprs_in_params(eqn.params):
            yield from all_equations(inner)


def is_opaque(closed: core.ClosedJaxpr) -> bool:
    """Whether the program calls what its trace does not show."""
    return any(OPAQUE.search(e.primitive.name) for e in all_equations(closed.jaxpr))


def narrowest_epsilon(closed: core.ClosedJaxpr) -> float:
    """The largest spacing at 1 of the float dtypes that the program computes in."""
    computed = (v for e in all_equations(closed.jaxpr) for v in e.outvars)
    avals = (v.aval for v in (*closed.jaxpr.invars, *computed))
    return epsilon_of({a.dtype for a in avals if hasattr(a, "dtype")})


def epsilon_of(dtypes: Iterable) -> float:
    """The largest spacing at 1 of the floats among some dtypes; float64's if none."""
    floats = [d for d in dtypes if jax.numpy.issubdtype(d, np.inexact)]
    return max([float(jax.numpy.finfo(d).eps) for d in floats], default=2.0**-52)
