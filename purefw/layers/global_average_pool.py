"""Global average pooling: the mean of each channel over space.

b counts examples, c channels, r the n places of all spatial axes.

    (1)  y_bc   = 1/n Σ_r x_brc
    (2)  dx_brc = dy_bc / n

(2): (1) is linear in x with the same factor for every place, so dy is handed back to
all of them alike.
Invariants: Σ_r dx_brc = dy_bc; y does not depend on the order of the places.
Precision: 16-bit x is summed, and dy divided, in float32 and rounded once.
"""

import math

import jax.numpy as jnp
from jaxtyping import Array, Float

from purefw.rule import Rule
from purefw.shared.precision import wide
from purefw.shared.structure import Static, no_params
from purefw.shared.windows import check_has_places


def global_average_pool() -> Rule[tuple, Static]:
    """The rule on x of shape (batch, *spatial, channels), y of (batch, channels).

    Its residual is the lengths of the spatial axes, no array.

    Raises:
        ValueError: in `forward`, x has no spatial axis or one of length 0.

    Example:
        >>> global_average_pool().apply((), jnp.array([[[1.0], [4.0]]]))
        Array([[2.5]], dtype=float32)
    """
    return Rule("global_average_pool", no_params, forward, backward)


def forward(
    params: tuple, x: Float[Array, "b *n c"]
) -> tuple[Float[Array, "b c"], Static]:
    """Equation (1)."""
    del params
    check_has_places("global_average_pool", x)
    y = jnp.mean(wide(x), axis=range(1, x.ndim - 1))  # (1)
    return y.astype(x.dtype), Static(x.shape[1:-1])


def backward(
    residuals: Static, dy: Float[Array, "b c"]
) -> tuple[tuple, Float[Array, "b *n c"]]:
    """Equation (2)."""
    b, c = dy.shape
    lengths = residuals.value
    share = (wide(dy) / math.prod(lengths)).astype(dy.dtype)
    share = share.reshape(b, *(1 for _ in lengths), c)
    return (), jnp.broadcast_to(share, (b, *lengths, c))  # (2)
