"""Logarithm of the softmax along the last axis.

b counts rows (any number of leading axes), i and j the n entries of one; p is the
softmax.

    (1)  y_bi  = x_bi - m_b - log Σ_j exp(x_bj - m_b)      m_b = max_j x_bj
    (2)  p_bi  = exp y_bi
    (3)  dx_bi = dy_bi - p_bi Σ_j dy_bj

(1): m cancels; it keeps every exp at most 1 and the sum at least 1.
(3): ∂y_j/∂x_i = δ_ij - p_i, since the derivative of log Σ_j exp x_j in x_i is p_i. m is
a constant of no effect, and so are ties in it.
Invariants: adding a constant to a row of x leaves y alone, so every row of dx sums to
0; every row of exp y sums to 1.
Entries of -inf (masked): y is -inf and dx = dy there. A row of nothing else gives y =
-inf throughout and dx = dy; jax.nn.log_softmax and torch give NaN.
Precision: 16-bit x is computed in float32 and rounded once. That p is taken from the
rounded y costs p |log p| <= 0.37 roundings.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from purefw.last_axis import check_last_axis
from purefw.precision import wide
from purefw.rule import Rule
from purefw.structure import no_params


def log_softmax() -> Rule[tuple, Float[Array, "*b n"]]:
    """The rule on x of shape (..., n), n >= 1; it keeps y, which is alive.

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
) -> tuple[Float[Array, "*b n"], Float[Array, "*b n"]]:
    """Equation (1); the residual is y."""
    del params
    check_last_axis("log_softmax", x)
    z = wide(x)
    m = jnp.max(z, axis=-1, keepdims=True)
    z = z - jnp.where(m == -jnp.inf, 0, m)
    total = jnp.sum(jnp.exp(z), axis=-1, keepdims=True)
    total = jnp.where(total < 1, 1, total)  # only a row of -inf alone is below 1
    y = (z - jnp.log(total)).astype(x.dtype)  # (1)
    return y, y


def backward(
    residuals: Float[Array, "*b n"], dy: Float[Array, "*b n"]
) -> tuple[tuple, Float[Array, "*b n"]]:
    """Equations (2) and (3)."""
    p = jnp.exp(wide(residuals))  # (2)
    dy_wide = wide(dy)
    dx = dy_wide - p * jnp.sum(dy_wide, axis=-1, keepdims=True)  # (3)
    return (), dx.astype(dy.dtype)
