"""Flatten: every example of x as one row.

b counts examples, r the entries of an example, a tuple of indices, j(r) their row-major
number.

    (1)  y_{b, j(r)} = x_br
    (2)  dx_br       = dy_{b, j(r)}

(2): j is a bijection, so each entry of x is one entry of y, and gets its cotangent.
Invariant: the norm of dx is that of dy; nothing is computed or rounded.
"""

import math

from jaxtyping import Array, Float

from purefw.rule import Rule
from purefw.shared.structure import Static, no_params


def flatten() -> Rule[tuple, Static]:
    """The rule on x of shape (batch, ...), y of (batch, product of the rest).

    Its residual is the shape of an example, no array.

    Raises:
        ValueError: in `forward`, x has no batch axis.

    Example:
        >>> import jax.numpy as jnp
        >>> flatten().apply((), jnp.zeros((5, 2, 3))).shape
        (5, 6)
    """
    return Rule("flatten", no_params, forward, backward)


def forward(params: tuple, x: Float[Array, "*s"]) -> tuple[Float[Array, "b j"], Static]:
    """Equation (1)."""
    del params
    if x.ndim < 1:
        raise ValueError(f"flatten: x must have a batch axis, got shape {x.shape}")
    batch, *example = x.shape
    return x.reshape(batch, math.prod(example)), Static(tuple(example))  # (1)


def backward(
    residuals: Static, dy: Float[Array, "b j"]
) -> tuple[tuple, Float[Array, "b *r"]]:
    """Equation (2)."""
    return (), dy.reshape(len(dy), *residuals.value)  # (2)
