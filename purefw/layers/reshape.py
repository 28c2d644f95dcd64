"""Reshape: the entries of every example in row-major order, in another shape.

b counts examples; r the entries of an example of x, q those of y, tuples of indices
with the same row-major number.

    (1)  y_{b, q(r)} = x_br
    (2)  dx_br       = dy_{b, q(r)}

(2): q is a bijection, so each entry of x is one entry of y, and gets its cotangent.
Invariant: the norm of dx is that of dy; nothing is computed or rounded.
"""

import math
from functools import partial

from jaxtyping import Array, Float

from purefw.rule import Rule
from purefw.shared.structure import Static, no_params


def reshape(shape: tuple[int, ...]) -> Rule[tuple, Static]:
    """Give every example another shape.

    Args:
        shape: Of an example of y, without the batch axis; positive lengths.

    Returns:
        A rule on x of shape (batch, ...), y of (batch, *shape). Its residual is the
        shape of an example of x, no array.

    Raises:
        ValueError: a length is not positive, or `forward` gets examples of another
            number of entries.

    Example:
        >>> import jax.numpy as jnp
        >>> reshape((4, 4, 1)).apply((), jnp.zeros((5, 16))).shape
        (5, 4, 4, 1)
    """
    if any(n < 1 for n in shape):
        raise ValueError(f"reshape: shape must have positive lengths, got {shape}")
    return Rule("reshape", no_params, partial(forward, shape=tuple(shape)), backward)


def forward(
    params: tuple, x: Float[Array, "*s"], *, shape: tuple[int, ...]
) -> tuple[Float[Array, "b *q"], Static]:
    """Equation (1)."""
    del params
    if x.ndim < 1 or math.prod(x.shape[1:]) != math.prod(shape):
        raise ValueError(
            f"reshape: x must have {math.prod(shape)} entries an example, as {shape} "
            f"has, got shape {x.shape}"
        )
    return x.reshape(len(x), *shape), Static(x.shape[1:])  # (1)


def backward(
    residuals: Static, dy: Float[Array, "b *q"]
) -> tuple[tuple, Float[Array, "b *r"]]:
    """Equation (2)."""
    return (), dy.reshape(len(dy), *residuals.value)  # (2)
