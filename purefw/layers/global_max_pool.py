"""Global max pooling: the largest entry of each channel over space.

b counts examples, c channels, r the places of all spatial axes in row-major order.

    (1)  y_bc      = max_r x_brc
    (2)  winner_bc = min { r : x_brc = y_bc }
    (3)  dx_brc    = dy_bc if r = winner_bc else 0

(3): near x only the winner moves the maximum, and by as much as it moves itself.
Ties: the first of the equal entries gets all of dy, as in max_pool and torch's
adaptive_max_pool2d; autodiff of jnp.max shares it equally.
NaN in a channel is its maximum, and the first of them gets dy.
Time: (1) and (2) are two plain loops over x; forward and backward with argmax, whose
comparisons carry a place along, take more than three times as long on a CPU.
Invariant: Σ_r dx_brc = dy_bc.
"""

import math
from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from purefw.rule import Rule
from purefw.shared.structure import Static, no_params
from purefw.shared.windows import check_has_places


class GlobalMaxPoolResiduals(NamedTuple):
    """What `backward` needs: four bytes an entry of y, and the lengths of x."""

    winner: Int[Array, "b c"]
    lengths: Static


def global_max_pool() -> Rule[tuple, GlobalMaxPoolResiduals]:
    """The rule on x of shape (batch, *spatial, channels), y of (batch, channels).

    Its residual is the winner's place, a 32-bit integer an entry of y.

    Raises:
        ValueError: in `forward`, x has no spatial axis or one of length 0.

    Example:
        >>> y, residuals = global_max_pool().forward((), jnp.array([[[1.0], [4.0]]]))
        >>> global_max_pool().backward(residuals, jnp.array([[3.0]]))[1].ravel()
        Array([0., 3.], dtype=float32)
    """
    return Rule("global_max_pool", no_params, forward, backward)


def forward(
    params: tuple, x: Float[Array, "b *n c"]
) -> tuple[Float[Array, "b c"], GlobalMaxPoolResiduals]:
    """Equations (1) and (2)."""
    del params
    check_has_places("global_max_pool", x)
    places = x.reshape(x.shape[0], -1, x.shape[-1])
    y = jnp.max(places, axis=1)  # (1)
    is_top = (places == y[:, None]) | jnp.isnan(places)
    place = lax.broadcasted_iota(jnp.int32, places.shape, 1)
    winner = jnp.min(jnp.where(is_top, place, places.shape[1]), axis=1)  # (2)
    return y, GlobalMaxPoolResiduals(winner, Static(x.shape[1:-1]))


def backward(
    residuals: GlobalMaxPoolResiduals, dy: Float[Array, "b c"]
) -> tuple[tuple, Float[Array, "b *n c"]]:
    """Equation (3)."""
    (winner, lengths), (b, c) = residuals, dy.shape
    shape = (b, math.prod(lengths.value), c)
    is_winner = lax.broadcasted_iota(jnp.int32, shape, 1) == winner[:, None, :]
    dx = jnp.where(is_winner, dy[:, None, :], 0)  # (3)
    return (), dx.reshape(b, *lengths.value, c)
