"""Logarithm of the softmax along the last axis.

b counts rows (any number of leading axes), i and j the n entries of one; p is the
softmax.

    (1)  y_bi  = x_bi - m_b - log total_b           m_b = max_j x_bj
    (2)  total_b = Σ_j exp(x_bj - m_b)
    (3)  dx_bi = dy_bi - exp(x_bi - m_b) (Σ_j dy_bj / total_b)

(1): m cancels; it keeps every exp at most 1 and the total at least 1.
(3): ∂y_j/∂x_i = δ_ij - p_i, since the derivative of log Σ_j exp x_j in x_i is the
softmax p_i = exp(x_i - m) / total. m is a constant of no effect, and so are ties in it.
Invariants: adding a constant to a row of x leaves y alone, so every row of dx sums to
0; every row of exp y sums to 1.
Entries of -inf (masked): y is -inf and dx = dy there. A row of nothing else gives y =
-inf throughout and dx = dy; jax.nn.log_softmax and torch give NaN.
Precision: 16-bit x is computed in float32 and rounded once. p is not taken from y,
whose rounding would become a wrong factor.
Memory: the exponentials of (2), an array the size of x that dx may be written into,
and a float a row; x may be dropped. To compute them again took a quarter more time
(4096 x 1024, 2 cores). A maximum with the least float, and one with 1, stand where a
choice for the row of -inf would.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from purefw.rule import Rule
from purefw.shared.last_axis import check_last_axis
from purefw.shared.precision import wide
from purefw.shared.structure import no_params


class LogSoftmaxResiduals(NamedTuple):
    """What `backward` needs: the exponentials, and of each row their total."""

    e: Float[Array, "*b n"]
    total: Float[Array, "*b 1"]


def log_softmax() -> Rule[tuple, LogSoftmaxResiduals]:
    """The rule on x of shape (..., n), n >= 1; it keeps the exponentials.

    Raises:
        ValueError: in `forward`, x has no last axis or nothing along it.

    Example:
        >>> y, residuals = log_softmax().forward((), jnp.array([0.0, 1.0, 2.0]))
        >>> y.round(1)
        Array([-2.4, -1.4, -0.4], dtype=float32)
        >>> log_softmax().backward(residuals, jnp.array([0.0, 1.0, 0.0]))[1].round(4)
        Array([-0.09  ,  0.7553, -0.6652], dtype=float32)
    """
    return Rule("log_softmax", no_params, forward, backward)


def forward(
    params: tuple, x: Float[Array, "*b n"]
) -> tuple[Float[Array, "*b n"], LogSoftmaxResiduals]:
    """Equations (1) and (2)."""
    del params
    check_last_axis("log_softmax", x)
    z = wide(x)
    m = jnp.max(z, axis=-1, keepdims=True, initial=jnp.finfo(z.dtype).min)
    e = jnp.exp(z - m)
    total = jnp.maximum(jnp.sum(e, axis=-1, keepdims=True), 1)  # (2)
    y = z - m - jnp.log(total)  # (1)
    return y.astype(x.dtype), LogSoftmaxResiduals(e, total)


def backward(
    residuals: LogSoftmaxResiduals, dy: Float[Array, "*b n"]
) -> tuple[tuple, Float[Array, "*b n"]]:
    """Equation (3)."""
    e, total = residuals
    row = jnp.sum(wide(dy), axis=-1, keepdims=True) / total
    return (), (wide(dy) - e * row).astype(dy.dtype)  # (3)
