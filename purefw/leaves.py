"""The leaves of a tree by name: as they stand in files, and are read for a network."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.multihost_utils import process_allgather


class Spec(NamedTuple):
    """What a leaf must be to stand in another's place."""

    shape: tuple[int, ...]
    dtype: str

    def __str__(self) -> str:
        """As in float32[5,7]."""
        return f"{self.dtype}[{','.join(map(str, self.shape))}]"


def named(tree: Any) -> dict[str, Any]:
    """The leaves of a tree by the path to them, in its order.

    Example:
        >>> from purefw.layers.linear import linear
        >>> list(named((linear(2, 3).init(jax.random.key(0)), {"rate": 0.1})))
        ['0.weight', '0.bias', '1.rate']
    """
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    names = (jax.tree_util.keystr(p, simple=True, separator=".") for p, _ in leaves)
    return {name or "leaf": leaf for name, (_, leaf) in zip(names, leaves)}


def last_name(path: tuple) -> str:
    """The field or key that a path of JAX's ends with; of a place in a tuple none.

    Example:
        >>> from jax.tree_util import tree_flatten_with_path
        >>> [last_name(path) for path, _ in tree_flatten_with_path({"bias": (1,)})[0]]
        ['']
    """
    last = path[-1] if path else None
    return str(getattr(last, "name", getattr(last, "key", "")))


def specs(leaves: Mapping[str, Any]) -> dict[str, Spec]:
    """The shape and dtype of leaves by name: of arrays, or of what eval_shape gives.

    Those of a random key are those of the integers that it is made of.

    Example:
        >>> print(specs({"0": jnp.ones((2, 3))})["0"])
        float32[2,3]
    """
    plain = {
        name: jax.eval_shape(jax.random.key_data, v) if is_key(v) else v
        for name, v in leaves.items()
    }
    return {name: Spec(v.shape, str(v.dtype)) for name, v in plain.items()}


def check_alike(who: str, got: dict[str, Spec], wanted: dict[str, Spec]) -> None:
    """Raise ValueError unless two trees have the same leaves; it names the first other.

    Args:
        who: What the message begins with.
        got: Of what was read.
        wanted: Of what it is read for.

    Example:
        >>> one = {"0.weight": Spec((2, 3), "float32")}
        >>> check_alike("file.npz", one, {"0.weight": Spec((2, 5), "float32")})
        Traceback (most recent call last):
            ...
        ValueError: file.npz: 0.weight must be float32[2,5], got float32[2,3]
    """
    for name in [*wanted, *got]:
        if got.get(name) != wanted.get(name):
            raise ValueError(
                f"{who}: {name} must be {wanted.get(name, 'absent')}, "
                f"got {got.get(name, 'no such leaf')}"
            )


def to_arrays(tree: Any) -> dict[str, np.ndarray]:
    """The leaves by name, in NumPy; of a random key the integers that it is made of.

    Parts of a leaf that other processes hold are fetched; all of them must ask for it.
    """
    return {
        name: _whole(jax.random.key_data(v) if is_key(v) else v)
        for name, v in named(tree).items()
    }


def to_tree(arrays: Mapping[str, np.ndarray], like: Any) -> Any:
    """The tree of these leaves with the structure, and the kinds of keys, of `like`.

    Example:
        >>> tree = {"key": jax.random.key(3), "x": jnp.ones(2)}
        >>> jax.random.key_data(to_tree(to_arrays(tree), tree)["key"])
        Array([0, 3], dtype=uint32)
    """
    leaves = []
    for name, v in named(like).items():
        leaf = jnp.asarray(arrays[name])
        kind = str(jax.random.key_impl(v)) if is_key(v) else None
        leaves.append(jax.random.wrap_key_data(leaf, impl=kind) if kind else leaf)
    return jax.tree.unflatten(jax.tree.structure(like), leaves)


def is_key(leaf: Any) -> bool:
    """Whether a leaf holds random keys."""
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def gathered(tree: Any) -> Any:
    """The tree on this process's own device, wherever a mesh has its arrays."""
    return to_tree(to_arrays(tree), tree)


def _whole(v: Any) -> np.ndarray:
    here = getattr(v, "is_fully_addressable", True) or v.is_fully_replicated
    return np.asarray(v if here else process_allgather(v, tiled=True))
