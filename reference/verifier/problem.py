"""A subject as flat lists of leaves: what the oracle computes with.

live    the float and complex leaves of the arguments, which have a cotangent
rest    the integer, bool and key leaves, which have none
dys     one cotangent a float leaf of the output
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import keystr

from reference.verifier.subject import Subject

Values = np.ndarray | np.generic  # NumPy makes scalars of what has no axes.


class ContractError(Exception):
    """The subject breaks the contract in a way that leaves nothing to judge."""


def first_line(error: BaseException) -> str:
    """Type and first line of an exception."""
    lines = str(error).strip().splitlines() or ["no message"]
    return f"{type(error).__name__}: {lines[0]}"


@dataclass(frozen=True)
class Shape:
    """Structure and types of a subject's arguments and output; hashable."""

    treedef: Any
    leaves: tuple
    is_live: tuple[bool, ...]
    output_treedef: Any
    outputs: tuple

    @property
    def live(self) -> list:
        """Shapes and dtypes of the live leaves."""
        return [v for v, live in zip(self.leaves, self.is_live) if live]

    @property
    def output_live(self) -> list[bool]:
        """Which output leaves have a cotangent."""
        return [is_inexact(v.dtype) for v in self.outputs]

    @property
    def live_outputs(self) -> list:
        """Shapes and dtypes of the output leaves that have a cotangent."""
        return [v for v, live in zip(self.outputs, self.output_live) if live]

    @property
    def output_size(self) -> int:
        """Entries of all live output leaves."""
        return sum(int(np.prod(v.shape)) for v in self.live_outputs)

    def output_entry(self, flat: int) -> str:
        """The name of an entry of y, counted over all float leaves: "y[2, 3]"."""
        dummies = jax.tree.unflatten(self.output_treedef, self.outputs)
        named = jax.tree.leaves_with_path(dummies)
        for (path, v), alive in zip(named, self.output_live):
            size = int(np.prod(v.shape)) if alive else 0
            if flat < size:
                index = np.unravel_index(flat, v.shape)
                return f"y{keystr(path)}[{', '.join(map(str, index))}]"
            flat -= size
        raise IndexError(f"output_entry: flat must be below {self.output_size}")

    def split(self, flat: np.ndarray) -> list[np.ndarray]:
        """A flat cotangent as one float64 or complex128 array a live output leaf."""
        sizes = [int(np.prod(v.shape)) for v in self.live_outputs]
        parts = np.split(flat, np.cumsum(sizes)[:-1])
        return [
            p.reshape(v.shape).astype(
                np.complex128
                if jnp.issubdtype(v.dtype, np.complexfloating)
                else np.float64
            )
            for p, v in zip(parts, self.live_outputs)
        ]

    def narrow(self, dys: list[np.ndarray]) -> list[np.ndarray]:
        """Cotangents in the dtypes of their outputs, for the user's own functions."""
        return [np.asarray(d.astype(v.dtype)) for d, v in zip(dys, self.live_outputs)]

    def merge(self, live: list, rest: list) -> tuple:
        """The arguments again."""
        live, rest = iter(live), iter(rest)
        leaves = [next(live) if alive else next(rest) for alive in self.is_live]
        return jax.tree.unflatten(self.treedef, leaves)

    def cotangent(self, dys: list) -> Any:
        """dy as a tree like the output; float0 where a leaf is no float."""
        dys = iter(dys)
        leaves = [
            next(dys) if alive else np.zeros(v.shape, jax.dtypes.float0)
            for v, alive in zip(self.outputs, self.output_live)
        ]
        return jax.tree.unflatten(self.output_treedef, leaves)


@dataclass(frozen=True)
class Functions:
    """The three functions of a problem on flat lists; hashable, so compiled once."""

    subject_forward: Any
    subject_backward: Any
    subject_primal: Any
    shape: Shape
    by_columns: bool = False

    def primal(self, live: list, rest: list) -> list:
        """The float leaves of y."""
        args = self.shape.merge(live, rest)
        if self.subject_primal is not None:
            y = self.subject_primal(*args)
        else:
            y = self.subject_forward(*args)[0]
        return [v for v in map(jnp.asarray, jax.tree.leaves(y)) if is_inexact(v.dtype)]

    def hand(self, live: list, rest: list, dys: list) -> list:
        """The hand-written cotangents of the live leaves."""
        args = self.shape.merge(live, rest)
        y, residuals = self.subject_forward(*args)
        residuals = jax.tree.map(stored, residuals)
        live_y = [
            v for v in map(jnp.asarray, jax.tree.leaves(y)) if is_inexact(v.dtype)
        ]
        # A forward may keep a dtype of its own whatever it is given.
        dys = [jnp.asarray(d, v.dtype) for d, v in zip(dys, live_y)]
        with np.errstate(all="ignore"):  # Of NumPy code, at the points we chose.
            cotangents = self.subject_backward(residuals, self.shape.cotangent(dys))
        return live_cotangents(args, cotangents, self.shape)

    def forward_mode(self, live: list, rest: list, tangents: list) -> list:
        """The derivative of y along tangents by jax.jvp."""
        return jax.jvp(lambda vs: self.primal(vs, rest), (live,), (tangents,))[1]


def stored(v: Any) -> Any:
    """A residual as it is where backward is another program than forward.

    Within one, XLA makes exp(x) of the (exp(x) - 1) + 1 that they are together.
    """
    is_array = isinstance(v, jax.Array) and is_inexact(v.dtype)
    return jax.lax.optimization_barrier(v) if is_array else v


@dataclass(frozen=True)
class Problem:
    """A subject, flattened.

    Attributes:
        subject: What is judged.
        shape: Structure and types.
        leaves: Of the arguments.
        by_columns: The truth is made by forward mode: there is no reverse mode.
        is_jax: The forward returns JAX's arrays, and may want them.
    """

    subject: Subject
    shape: Shape
    leaves: list
    by_columns: bool = False
    is_jax: bool = True

    @cached_property
    def functions(self) -> Functions:
        """The functions on flat lists."""
        s = self.subject
        return Functions(s.forward, s.backward, s.primal, self.shape, self.by_columns)

    @property
    def live(self) -> list:
        """The float leaves as given."""
        return [v for v, alive in zip(self.leaves, self.shape.is_live) if alive]

    @property
    def rest(self) -> list:
        """The other leaves as given."""
        return [v for v, alive in zip(self.leaves, self.shape.is_live) if not alive]

    @cached_property
    def is_judged(self) -> list[bool]:
        """Which live leaves have a cotangent to judge: those of no frozen argument."""
        counts = [jax.tree.structure(a).num_leaves for a in self.subject.args]
        owner = [i for i, n in enumerate(counts) for _ in range(n)]
        return [
            i not in self.subject.frozen
            for i, alive in zip(owner, self.shape.is_live)
            if alive
        ]

    @cached_property
    def names(self) -> list[str]:
        """A name for each live leaf: "dparams.weight", "args[0]"."""
        paths = [
            name + keystr(path)
            for name, arg in zip(self.subject.names, self.subject.args)
            for path, _ in jax.tree.leaves_with_path(arg)
        ]
        return [p for p, alive in zip(paths, self.shape.is_live) if alive]


def flatten(subject: Subject, y: Any) -> Problem:
    """A problem from a subject and its output (arrays or shapes) at its arguments."""
    leaves, treedef = jax.tree.flatten(subject.args)
    leaves = [v if is_key(v) else np.asarray(v) for v in leaves]
    outputs, output_treedef = jax.tree.flatten(y)
    shape = Shape(
        treedef,
        tuple(map(aval, leaves)),
        tuple(is_inexact(v.dtype) for v in leaves),
        output_treedef,
        tuple(map(aval, outputs)),
    )
    is_jax = not any(isinstance(v, (np.ndarray, np.generic)) for v in outputs)
    return Problem(subject, shape, leaves, is_jax=is_jax)


def aval(v: Any) -> jax.ShapeDtypeStruct:
    """Shape and dtype, without the value."""
    v = v if hasattr(v, "dtype") else np.asarray(v)
    return jax.ShapeDtypeStruct(v.shape, v.dtype)


def is_inexact(dtype: Any) -> bool:
    """Whether values of a dtype have cotangents: floats and complex numbers."""
    return jnp.issubdtype(dtype, jnp.inexact)


def is_key(v: Any) -> bool:
    """Whether a leaf is a typed PRNG key."""
    return jnp.issubdtype(getattr(v, "dtype", np.int32), jax.dtypes.prng_key)


def live_cotangents(args: tuple, cotangents: Any, shape: Shape) -> list:
    """The cotangents of the live leaves as arrays; None means zero."""
    if not isinstance(cotangents, (tuple, list)) or len(cotangents) != len(args):
        raise ContractError(
            f"backward must return a tuple of {len(args)} cotangents, one an argument"
        )
    found = [c for a, ct in zip(args, cotangents) for c in spread(a, ct)]
    live = []
    for c, v, alive in zip(found, shape.leaves, shape.is_live):
        if not alive:
            continue
        dtype = jax.dtypes.canonicalize_dtype(v.dtype)
        c = jnp.zeros(v.shape, dtype) if c is None else jnp.asarray(c)
        if c.shape != v.shape:
            raise ContractError(
                f"backward must return a cotangent of shape {v.shape}, got {c.shape}"
            )
        live.append(c)
    return live


def spread(arg: Any, cotangent: Any) -> list:
    """The cotangent's leaves for each leaf of `arg`; None may stand for a subtree."""
    treedef = jax.tree.structure(arg)
    if cotangent is None:
        return [None] * treedef.num_leaves
    try:
        return treedef.flatten_up_to(cotangent)
    except ValueError:
        one_level = jax.tree.structure(arg, is_leaf=lambda v: v is not arg)
        if one_level.num_leaves == treedef.num_leaves == 1:
            raise
        parts = one_level.flatten_up_to(cotangent)
        children = jax.tree.leaves(arg, is_leaf=lambda v: v is not arg)
        return [c for a, ct in zip(children, parts) for c in spread(a, ct)]
