"""Trees of values and of cotangents: their numbers, and how far two of them are apart.

Integers, booleans and keys have no cotangent: float0 stands in their place, and here
they are left out.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import keystr

from purefw.shared.structure import no_cotangent
from reference.compare import rms
from reference.verifier.problem import is_key

NEAR = 1e-9  # Of a leaf's size. Rounding of whole networks stays below; see tests.


def is_float(v: Any) -> bool:
    """Whether a leaf has a cotangent."""
    return jnp.issubdtype(jnp.result_type(v), jnp.inexact)


def floats_of(tree: Any) -> list:
    """The float leaves; float0 and integers are left out."""
    return [jnp.asarray(v) for v in jax.tree.leaves(tree) if is_number(v)]


def is_number(v: Any) -> bool:
    """Whether a leaf of a tree of values or of cotangents is one of floats."""
    return getattr(v, "dtype", None) != jax.dtypes.float0 and is_float(v)


def zeros_of(tree: Any) -> list:
    """Zeros for the float leaves."""
    return [jnp.zeros_like(v) for v in floats_of(tree)]


def added(tree: Any, tap: list) -> Any:
    """The tree with a tap on its float leaves."""
    rest = iter(tap)
    return jax.tree.map(lambda v: v + next(rest) if is_float(v) else v, tree)


def filled(tree: Any, values: list) -> Any:
    """The cotangent of a tree from those of its float leaves."""
    rest = iter(values)

    def cotangent(v: Any) -> Any:
        return next(rest) if is_float(v) else no_cotangent(np.shape(v))

    return jax.tree.map(cotangent, tree)


def named(root: str, tree: Any) -> dict[str, np.ndarray]:
    """The numbers of a tree by leaf; float0 and keys are left out."""
    return {
        root + keystr(path): np.asarray(v)
        for path, v in jax.tree.leaves_with_path(tree)
        if v.dtype != jax.dtypes.float0 and not is_key(v)
    }


def difference(own: Any, truth: Any) -> Any:
    """own - truth; None and what has another shape count as zero."""
    leaves, treedef = jax.tree.flatten(truth)
    try:
        mine = treedef.flatten_up_to(own)
    except ValueError:
        mine = [None] * len(leaves)

    def minus(a: Any, b: Any) -> Any:
        if not is_number(b):
            return no_cotangent(b.shape)
        return (a if np.shape(a) == b.shape and a is not None else 0.0 * b) - b

    return jax.tree.unflatten(treedef, list(map(minus, mine, leaves)))


def ratio(error: np.ndarray, truth: np.ndarray) -> float:
    """The largest error relative to the size of the truth."""
    top = float(np.abs(error).max(initial=0.0))
    top = float("inf") if np.isnan(top) else top
    return top if top == 0 else top / rms(truth) if rms(truth) else float("inf")


def relative(own: Any, truth: Any) -> float:
    """The worst `ratio` over the float leaves of values or cotangents."""
    errors, truths = (named("", t) for t in (difference(own, truth), truth))
    return max((ratio(v, truths[k]) for k, v in errors.items()), default=0.0)


def size(tree: Any) -> float:
    """The largest root mean square of a leaf; 0 for none."""
    return max((rms(v) for v in named("", tree).values()), default=0.0)


def is_apart(own: Any, truth: Any, scale: float) -> bool:
    """Whether two trees differ beyond rounding, what has cancelled included."""
    errors, truths = (named("", t) for t in (difference(own, truth), truth))
    return any(
        not np.abs(v).max(initial=0) <= NEAR * max(scale, rms(truths[k]))
        for k, v in errors.items()
    )
