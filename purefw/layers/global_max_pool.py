"""Global max pooling: the largest entry of each channel over space.

b counts examples, c channels, r the places of all spatial axes in row-major order,
written r = L i + j as column j of row i, for an L that divides their number.

    (1)  top_bic   = max_j x_bijc
    (2)  y_bc      = max_i top_bic
    (3)  i*_bc     = min { i : top_bic = y_bc }
    (4)  j*_bc     = min { j : x_b,i*,jc = y_bc }
    (5)  winner_bc = L i*_bc + j*_bc                        = min { r : x_brc = y_bc }
    (6)  dx_brc    = dy_bc if r = winner_bc else 0

(5): every place of an earlier row comes before those of row i*, and no earlier row
holds y. (6): near x only the winner moves the maximum, and by as much as it moves
itself.
Ties: the first of the equal entries gets all of dy, as in max_pool and torch's
adaptive_max_pool2d; autodiff of jnp.max shares it equally.
NaN in a channel is its maximum, and the first of them gets dy.
Time: (1) alone reads all of x, in a plain loop; (3) and (4) look at √r entries each,
where L is near the root. A second loop over x that compares every entry with y takes
the CPU ten times as long as (1), and argmax, whose comparisons carry a place along,
longer still.
Invariant: Σ_r dx_brc = dy_bc.
"""

import math
from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from purefw.rule import Rule
from purefw.shared.recomputation import once
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
    """Equations (1) to (5)."""
    del params
    check_has_places("global_max_pool", x)
    lengths = x.shape[1:-1]
    columns = divisor_near_root(math.prod(lengths))
    rows = x.reshape(x.shape[0], -1, columns, x.shape[-1])
    top = once(jnp.max(rows, axis=2))  # (1)
    y = jnp.max(top, axis=1)  # (2)
    i = first_place(top, y)  # (3)
    row = jnp.take_along_axis(rows, i[:, None, None], 1, mode="promise_in_bounds")
    j = first_place(row[:, 0], y)  # (4)
    return y, GlobalMaxPoolResiduals(columns * i + j, Static(lengths))  # (5)


def backward(
    residuals: GlobalMaxPoolResiduals, dy: Float[Array, "b c"]
) -> tuple[tuple, Float[Array, "b *n c"]]:
    """Equation (6)."""
    (winner, lengths), (b, c) = residuals, dy.shape
    shape = (b, math.prod(lengths.value), c)
    is_winner = lax.broadcasted_iota(jnp.int32, shape, 1) == winner[:, None, :]
    dx = jnp.where(is_winner, dy[:, None, :], 0)  # (6)
    return (), dx.reshape(b, *lengths.value, c)


def first_place(
    x: Float[Array, "b n c"], largest: Float[Array, "b c"]
) -> Int[Array, "b c"]:
    """Where along n x first is its largest entry, or NaN."""
    is_top = (x == largest[:, None]) | jnp.isnan(x)
    place = lax.broadcasted_iota(jnp.int32, x.shape, 1)
    return jnp.min(jnp.where(is_top, place, x.shape[1]), axis=1)


def divisor_near_root(n: int) -> int:
    """The smallest divisor of n that is at least its root.

    Example:
        >>> [divisor_near_root(n) for n in (784, 12, 7)]
        [28, 4, 7]
    """
    return next(d for d in range(math.isqrt(n - 1) + 1, n + 1) if n % d == 0)
