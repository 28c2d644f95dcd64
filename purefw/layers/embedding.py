"""Embedding: each id picks a row of a table.

b counts the ids (any number of axes), n the N rows of the table, d the width.

    (1)  y_bd       = table_{id_b, d}            if 0 ≤ id_b < N, else NaN

    (2)  dtable_nd  = Σ_b [id_b = n] dy_bd

(1) is a product with the matrix [id_b = n], which is never formed; (2) is the product
with its transpose, which adds row b of dy to row id_b of dtable. An id that occurs
twice adds twice: the scatter accumulates and must not overwrite.
Ids outside the table: their values are unknown inside jit, so nothing can be raised.
Their rows of y are NaN, which no later layer hides, and they add nothing to dtable.
Negative ids are outside: they do not count from the end, as those of jnp.take do, which
is NaN beyond the table too; torch.nn.Embedding raises an error.
Invariants: Σ_n dtable_nd = Σ_b dy_bd over the ids inside the table; rows of dtable
whose id does not occur are exactly 0; permuting the ids permutes y.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, Shaped

from purefw.rule import Rule
from purefw.shared.sizes import check_sizes
from purefw.shared.structure import no_cotangent


def embedding(n_ids: int, width: int) -> Rule:
    """A learned vector for each of n_ids ids.

    Args:
        n_ids: Rows N of the table. At least 1.
        width: Length of a vector. At least 1.

    Returns:
        A rule on integer ids of any shape (...), with y of shape (..., width). Its
        parameter is the table (n_ids, width), its residual the ids. dx has dtype
        float0: ids have no cotangent.

    Raises:
        ValueError: a size is not positive, or `forward` gets ids that are not integers.

    Example:
        >>> rule = embedding(3, 2)
        >>> table = jnp.array([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])
        >>> y, ids = rule.forward(table, jnp.array([2, 0, 2]))
        >>> rule.backward(ids, jnp.ones((3, 2)))[0]
        Array([[1., 1.],
               [0., 0.],
               [2., 2.]], dtype=float32)
    """
    check_sizes("embedding", n_ids=n_ids, width=width)
    return Rule(
        name="embedding",
        init=partial(init, n_ids=n_ids, width=width),
        forward=forward,
        backward=partial(backward, n_ids=n_ids),
    )


def init(key: Key[Array, ""], *, n_ids: int, width: int) -> Float[Array, "n d"]:
    """N(0, 1/width): rows of length about 1, and so logits made of them."""
    return jax.random.normal(key, (n_ids, width)) / width**0.5


def forward(
    params: Float[Array, "n d"], x: Shaped[Array, "*b"]
) -> tuple[Float[Array, "*b d"], Int[Array, "*b"]]:
    """Equation (1)."""
    if not jnp.issubdtype(x.dtype, jnp.integer):
        raise ValueError(f"embedding: x must be integers, got {x.dtype}")
    n_ids = params.shape[0]
    inside = jnp.broadcast_to(_inside(x, n_ids)[..., None], (*x.shape, params.shape[1]))
    rows = params[jnp.clip(x, 0, n_ids - 1)]
    return jnp.where(inside, rows, jnp.full_like(rows, jnp.nan)), x  # (1)


def backward(
    residuals: Int[Array, "*b"], dy: Float[Array, "*b d"], *, n_ids: int
) -> tuple[Float[Array, "n d"], Any]:
    """Equation (2)."""
    ids, width = residuals, dy.shape[-1]
    rows = jnp.where(_inside(ids, n_ids), ids, n_ids).reshape(-1)
    dtable = jnp.zeros((n_ids, width), dy.dtype)
    dtable = dtable.at[rows].add(dy.reshape(-1, width), mode="drop")  # (2)
    return dtable, no_cotangent(ids.shape)


def _inside(ids: Int[Array, "*b"], n_ids: int) -> Shaped[Array, "*b"]:
    return (ids >= 0) & (ids < n_ids)
