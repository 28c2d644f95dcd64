"""Unembedding: the score of every id, with the table of an embedding.

b counts rows (any number of leading axes), n the N rows of the table, d the width.

    (1)  y_bn       = Σ_d x_bd table_nd

    (2)  dx_bd      = Σ_n dy_bn table_nd
    (3)  dtable_nd  = Σ_b dy_bn x_bd

(2) and (3): y is linear in x and in the table, with ∂y_bn/∂x_bd = table_nd and
∂y_bn/∂table_nd = x_bd.
It is a linear layer without bias whose weight is stored transposed, so that the two can
share one parameter: see purefw.compose.tied.

Reference: Press and Wolf, "Using the Output Embedding to Improve Language Models",
2017, arXiv:1608.05859.
"""

from functools import partial
from typing import NamedTuple

import jax
from jaxtyping import Array, Float, Key

from purefw.rule import Rule
from purefw.shared.sizes import check_sizes


class UnembeddingResiduals(NamedTuple):
    """What `backward` needs: the input and the table, no copies."""

    x: Float[Array, "*b d"]
    table: Float[Array, "n d"]


def unembedding(n_ids: int, width: int) -> Rule:
    """Scores of n_ids ids from vectors of a width; its parameter is an embedding's.

    Args:
        n_ids: Rows N of the table. At least 1.
        width: Length of a vector. At least 1.

    Returns:
        A rule on x of shape (..., width), with y of shape (..., n_ids). Its residuals
        hold x and the table, which are alive anyway.

    Raises:
        ValueError: a size is not positive, or `forward` gets x of another width.

    Example:
        >>> import jax.numpy as jnp
        >>> table = jnp.array([[1.0, 0.0], [2.0, 3.0]])
        >>> unembedding(2, 2).apply(table, jnp.array([10.0, 1.0]))
        Array([10., 23.], dtype=float32)
    """
    check_sizes("unembedding", n_ids=n_ids, width=width)
    return Rule(
        name="unembedding",
        init=partial(init, n_ids=n_ids, width=width),
        forward=forward,
        backward=backward,
    )


def init(key: Key[Array, ""], *, n_ids: int, width: int) -> Float[Array, "n d"]:
    """N(0, 1/width), as the embedding's."""
    return jax.random.normal(key, (n_ids, width)) / width**0.5


def forward(
    params: Float[Array, "n d"], x: Float[Array, "*b d2"]
) -> tuple[Float[Array, "*b n"], UnembeddingResiduals]:
    """Equation (1)."""
    if x.ndim < 1 or x.shape[-1] != params.shape[1]:
        raise ValueError(
            f"unembedding: x must have shape (..., {params.shape[1]}), got {x.shape}"
        )
    return x @ params.T, UnembeddingResiduals(x, params)  # (1)


def backward(
    residuals: UnembeddingResiduals, dy: Float[Array, "*b n"]
) -> tuple[Float[Array, "n d"], Float[Array, "*b d"]]:
    """Equations (2) and (3)."""
    x, table = residuals
    rows, drows = x.reshape(-1, x.shape[-1]), dy.reshape(-1, dy.shape[-1])
    dx = dy @ table  # (2)
    dtable = drows.T @ rows  # (3)
    return dtable, dx
