"""Learned positional embedding: each position adds a vector of its own.

b counts sequences (any number of leading axes), t the T positions of x, d the width.

    (1)  y_btd      = x_btd + table_td                   t < T ≤ length

    (2)  dx_btd     = dy_btd
    (3)  dtable_td  = Σ_b dy_btd     for t < T,  0 for T ≤ t < length

(2), (3): y is a sum, and table is broadcast over b, hence Σ_b. Rows of the table beyond
the sequence do not enter (1).
Invariant: dtable does not depend on x or on the table.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from purefw.rule import Rule
from purefw.shared.sizes import check_sizes


def positional_embedding(length: int, width: int) -> Rule:
    """Add a learned vector to every position of a sequence.

    Args:
        length: Longest sequence, the number of rows of the table. At least 1.
        width: Width of x. At least 1.

    Returns:
        A rule on x of shape (..., T, width) with T at most `length`. Its parameter is
        the table (length, width); it has no residuals.

    Raises:
        ValueError: a size is not positive, or `forward` gets x that is longer or of
            another width.

    Example:
        >>> table = jnp.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
        >>> positional_embedding(3, 2).apply(table, jnp.zeros((2, 2)))
        Array([[1., 2.],
               [3., 4.]], dtype=float32)
    """
    check_sizes("positional_embedding", length=length, width=width)
    return Rule(
        name="positional_embedding",
        init=partial(init, length=length, width=width),
        forward=forward,
        backward=partial(backward, length=length),
    )


def init(key: Key[Array, ""], *, length: int, width: int) -> Float[Array, "l d"]:
    """N(0, 1/width), as the embedding to whose rows it is added."""
    return jax.random.normal(key, (length, width)) / width**0.5


def forward(
    params: Float[Array, "l d"], x: Float[Array, "*s"]
) -> tuple[Float[Array, "*s"], tuple]:
    """Equation (1)."""
    length, width = params.shape
    if x.ndim < 2 or x.shape[-2] > length or x.shape[-1] != width:
        raise ValueError(
            f"positional_embedding: x must have shape (..., at most {length}, {width}),"
            f" got {x.shape}"
        )
    return x + jnp.broadcast_to(params[: x.shape[-2]], x.shape), ()  # (1)


def backward(
    residuals: tuple, dy: Float[Array, "*s"], *, length: int
) -> tuple[Float[Array, "l d"], Float[Array, "*s"]]:
    """Equations (2) and (3)."""
    del residuals
    steps, width = dy.shape[-2:]
    dtable = jnp.sum(dy.reshape(-1, steps, width), axis=0)  # (3)
    return jnp.pad(dtable, ((0, length - steps), (0, 0))), dy  # (2), (3)
