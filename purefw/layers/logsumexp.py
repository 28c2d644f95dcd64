"""Logarithm of the sum of exponentials along the last axis.

b counts rows (any number of leading axes), i and j the n entries of one; p is the
softmax.

    (1)  y_b     = m_b + log total_b                      m_b = max_j x_bj
    (2)  total_b = Σ_j exp(x_bj - m_b)
    (3)  dx_bi   = exp(x_bi - m_b) dy_b / total_b

(1): m cancels; it keeps every exp at most 1 and the total at least 1.
(3): ∂y/∂x_i = exp x_i / Σ_j exp x_j = p_i. m is a constant of no effect, and so are
ties in it.
Invariants: adding a constant to a row of x adds it to y, so every row of dx sums to dy;
max x <= y <= max x + log n.
Entries of -inf (masked) get dx = 0. A row of nothing else gives y = -inf and dx = 0;
autodiff of jax.nn.logsumexp and torch give NaN for dx there.
Precision: 16-bit x is computed in float32 and rounded once. p is not exp(x - y), which
would turn the rounding of a large y into a wrong factor: in bfloat16, y = 1e4 is off by
up to 32.
Memory: x and two floats a row. The exponentials of (3) are those of (2): in one program
with both XLA computes them once, into dx; apart from its forward, backward does.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from purefw.rule import Rule
from purefw.shared.last_axis import check_last_axis
from purefw.shared.precision import wide
from purefw.shared.structure import no_params


class LogSumExpResiduals(NamedTuple):
    """What `backward` needs: x, and of each row the maximum and the total."""

    x: Float[Array, "*b n"]
    m: Float[Array, "*b 1"]
    total: Float[Array, "*b 1"]


def logsumexp() -> Rule[tuple, LogSumExpResiduals]:
    """The rule on x of shape (..., n), n >= 1, y of shape (...).

    Its residuals are x and two floats a row.

    Raises:
        ValueError: in `forward`, x has no last axis or nothing along it.

    Example:
        >>> y, residuals = logsumexp().forward((), jnp.array([0.0, 1.0, 2.0]))
        >>> y.round(4)
        Array(2.4076, dtype=float32)
        >>> logsumexp().backward(residuals, jnp.array(2.0))[1].round(4)
        Array([0.1801, 0.4895, 1.3305], dtype=float32)
    """
    return Rule("logsumexp", no_params, forward, backward)


def forward(
    params: tuple, x: Float[Array, "*b n"]
) -> tuple[Float[Array, "*b"], LogSumExpResiduals]:
    """Equations (1) and (2)."""
    del params
    check_last_axis("logsumexp", x)
    z = wide(x)
    m = jnp.max(z, axis=-1, keepdims=True, initial=jnp.finfo(z.dtype).min)
    total = jnp.sum(jnp.exp(z - m), axis=-1, keepdims=True)  # (2)
    y = jnp.squeeze(m + jnp.log(total), axis=-1)  # (1)
    total = jnp.maximum(total, 1)  # only a row of -inf alone is below 1
    return y.astype(x.dtype), LogSumExpResiduals(x, m, total)


def backward(
    residuals: LogSumExpResiduals, dy: Float[Array, "*b"]
) -> tuple[tuple, Float[Array, "*b n"]]:
    """Equation (3)."""
    x, m, total = residuals
    dx = jnp.exp(wide(x) - m) * (wide(dy)[..., None] / total)  # (3)
    return (), dx.astype(dy.dtype)
