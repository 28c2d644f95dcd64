"""What a traced program holds: casts, custom derivatives, loops, comparisons."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
from jax.extend import core

LIBRARY = (
    *(Path(m.__file__).parent for m in (jax, np, jaxtyping)),
    Path(__file__).parents[1],
)
CUSTOM = {"custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr"}
MISLEADING = {
    "bitcast_convert_type", "ceil", "floor", "reduce_precision", "round", "sign",
    "sort", "stop_gradient", "while",
}  # fmt: skip


def is_narrow(dtype: Any) -> bool:
    """Whether a value is a float dtype with fewer bits than float64."""
    if not isinstance(dtype, np.dtype):
        return False
    return jnp.issubdtype(dtype, jnp.floating) and jnp.finfo(dtype).bits < 64


def equations(jaxpr) -> Iterator:
    """Every equation of a jaxpr, those of its inner jaxprs included."""
    for eqn in getattr(jaxpr, "jaxpr", jaxpr).eqns:
        yield eqn
        for inner in core.jaxprs_in_params(eqn.params):
            yield from equations(inner)


def source_of(eqn) -> str:
    """`file.py:line` of the user's code that made an equation, or ''."""
    frame = user_frame(eqn)
    return f"{Path(frame[0]).name}:{frame[1]}" if frame else ""


def user_frame(eqn) -> tuple[str, int] | None:
    """File and line of the user's code that made an equation."""
    traceback = getattr(eqn.source_info, "traceback", None)
    for frame in getattr(traceback, "frames", ()):
        if not in_library(frame.file_name):
            return frame.file_name, frame.line_num
    return None


def in_library(file_name: str) -> bool:
    """Whether a file is JAX's, NumPy's or ours, or code that was made at run time."""
    made = file_name.startswith("<")
    return made or any(Path(file_name).is_relative_to(folder) for folder in LIBRARY)


def is_library(jaxpr: core.Jaxpr) -> bool:
    """Whether a jaxpr is the body of a function of JAX's."""
    where = jaxpr.debug_info.func_src_info  # "name at /path/file.py:line"
    return in_library(where.partition(" at ")[2].rpartition(":")[0])


def narrowings(jaxpr) -> list[str]:
    """Where a function traced in float64 casts to a narrower float."""
    found = {}
    for eqn in equations(jaxpr):
        for v in eqn.outvars:
            dtype = getattr(v.aval, "dtype", None)
            if is_narrow(dtype) and any(
                getattr(w.aval, "dtype", None) == np.float64 for w in eqn.invars
            ):
                place = source_of(eqn) or "a library"
                found[f"{place} casts float64 to {dtype}"] = None
    return list(found)


def custom_derivatives(jaxpr) -> list[str]:
    """Names of the custom derivatives and stop_gradients inside a function."""
    found = {}
    for eqn in equations(jaxpr):
        if eqn.primitive.name in CUSTOM or eqn.primitive.name == "stop_gradient":
            inner = eqn.params.get("call_jaxpr")
            info = getattr(getattr(inner, "jaxpr", None), "debug_info", None)
            name = getattr(info, "func_name", "") if info else ""
            found[f"{eqn.primitive.name} {name}".strip()] = None
    return list(found)


def misleading(jaxpr) -> list[str]:
    """Operations whose derivative is not that of their values, with their lines."""
    found = {}
    for eqn in equations(jaxpr):
        if eqn.primitive.name in CUSTOM | MISLEADING:
            found[named(eqn)] = None
    return list(found)


def named(eqn) -> str:
    """An equation as "primitive (file.py:line)"."""
    place = source_of(eqn)
    return f"{eqn.primitive.name} ({place})" if place else eqn.primitive.name


def float_constants(jaxpr) -> Counter:
    """The float numbers written into a function, with how often they occur."""
    return Counter(
        float(v.val)
        for eqn in equations(jaxpr)
        for v in eqn.invars
        if isinstance(v, core.Literal) and np.issubdtype(np.asarray(v.val).dtype, float)
    )


def iterates(scan: dict) -> bool:
    """Whether a scan, by its parameters, takes nothing in but its own state."""
    inputs = len(scan["jaxpr"].in_avals) - scan["num_consts"] - scan["num_carry"]
    return inputs == 0 and len(scan["jaxpr"].out_avals) == scan["num_carry"]


def iterations(jaxpr) -> bool:
    """Whether a function holds a loop that may be one towards a fixed point."""
    return any(
        e.primitive.name == "while"
        or (e.primitive.name == "scan" and iterates(e.params))
        for e in equations(jaxpr)
    )


def overwrites(jaxpr) -> bool:
    """Whether a function writes entries at indices, the last write winning."""
    return any(eqn.primitive.name == "scatter" for eqn in equations(jaxpr))


def wants_symmetry(jaxpr) -> bool:
    """Whether a function holds a factorisation that is defined for symmetric matrices.

    JAX takes what it calls with any other to be symmetrised first, by itself or by the
    caller.
    """
    return any(eqn.primitive.name in ("cholesky", "eigh") for eqn in equations(jaxpr))


def compared_integers(jaxpr) -> list[int]:
    """Integers that a function compares something with for equality."""
    found = {}
    for eqn in equations(jaxpr):
        for v in eqn.invars if eqn.primitive.name in ("eq", "ne") else ():
            if not isinstance(v, core.Literal):
                continue
            value = np.asarray(v.val)
            if value.ndim == 0 and np.issubdtype(value.dtype, np.integer):
                found[int(value)] = None
    return list(found)
