"""Leaves of arguments and cotangents: their names, types and pairing."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import keystr

from reference.verifier.subject import Subject


def type_of(leaf: Any) -> jax.ShapeDtypeStruct:
    """Shape and dtype of an array, a tracer or a Python number.

    Raises:
        TypeError: the leaf is neither.
    """
    if isinstance(leaf, jax.ShapeDtypeStruct):
        return leaf
    if isinstance(leaf, (np.ndarray, np.generic)):
        if leaf.dtype.kind in "OSUMm":
            raise TypeError(f"no array of numbers: {leaf.dtype}")
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)
    aval = jax.typeof(leaf)
    return jax.ShapeDtypeStruct(aval.shape, aval.dtype, weak_type=aval.weak_type)


def is_float(leaf: Any) -> bool:
    """Whether a leaf has a cotangent: real or complex floats of any width."""
    return jnp.issubdtype(type_of(leaf).dtype, np.inexact)


def leaf_names(names: tuple[str, ...], args: tuple) -> list[str]:
    """What messages call the cotangent of each leaf: "dparams.weight", "dx"."""
    return [
        name + keystr(p)
        for name, arg in zip(names, args, strict=True)
        for p, _ in jax.tree.leaves_with_path(arg)
    ]


def pair(arg: Any, cotangent: Any) -> list:
    """The cotangent of each leaf of `arg`; None where None stands for zero.

    None may stand for a leaf or a subtree, as in jax.custom_vjp. There an array may
    stand for a subtree too; here it may not.

    Raises:
        ValueError: the trees differ.
    """
    n = len(jax.tree.leaves(arg))
    places = jax.tree.unflatten(jax.tree.structure(arg), range(n))
    paired = [None] * n

    def visit(value, place):
        if value is not None:
            if not isinstance(place, int):
                raise ValueError("a cotangent stands for a subtree")
            paired[place] = value

    jax.tree.map(visit, cotangent, places, is_leaf=lambda v: v is None)
    return paired


def float_cotangents(subject: Subject, args: tuple, cotangents: Any) -> dict:
    """From the name of each float leaf to its cotangent, where it has one."""
    named = {}
    for i, (name, arg, cotangent) in enumerate(zip(subject.names, args, cotangents)):
        if i in subject.frozen:
            continue
        leaves = zip(leaf_names((name,), (arg,)), jax.tree.leaves(arg))
        for (leaf_name, leaf), c in zip(leaves, pair(arg, cotangent), strict=True):
            if c is not None and is_float(leaf):
                named[leaf_name] = c
    return named


def full_cotangent(y: Any, dy: list) -> Any:
    """`dy`, one array per float leaf of y, in y's tree; float0 for the other leaves.

    An array of NumPy becomes JAX's where the leaf of y is one.
    """
    leaves, tree = jax.tree.flatten(y)
    rest = iter(dy)

    def cotangent(leaf):
        if not is_float(leaf):
            return np.zeros(type_of(leaf).shape, jax.dtypes.float0)
        v = next(rest)
        to_jax = isinstance(leaf, jax.Array) and isinstance(v, np.ndarray)
        return jax.device_put(v) if to_jax else v

    return jax.tree.unflatten(tree, [cotangent(leaf) for leaf in leaves])


def own(args: Any, to_jax: bool) -> Any:
    """Copies of the leaves: JAX's arrays where asked, or where they are already."""

    def copy(leaf):
        if isinstance(leaf, jax.Array):
            return leaf
        v = np.array(leaf, type_of(leaf).dtype)
        return jax.device_put(v) if to_jax else v

    return jax.tree.map(copy, args)
