"""Gaussian error linear unit, the tanh approximation, entry by entry.

σ is the logistic function, c = √(2/π), a = 0.044715.

    (1)  v_i  = 2 c x_i (1 + a x_i²)
    (2)  y_i  = x_i σ(v_i)

    (3)  v'_i = 2 c (1 + 3 a x_i²)
    (4)  dx_i = σ(v_i) (1 + x_i σ(-v_i) v'_i) dy_i

(2): the paper writes x (1 + tanh(v/2)) / 2; tanh(v/2) = 2 σ(v) - 1 gives (2), which has
no difference of nearly equal numbers in the left tail.
(4): the product rule, with σ' = σ(v) (1 - σ(v)) = σ(v) σ(-v).
Limit: for |x| >= 30 (4) is exactly dy or 0 in float64 and narrower, since exp(-|v|) is
0 there; x is clipped to ±30 so that x² cannot overflow and meet that 0.
Invariant: v is odd, so y(x) - y(-x) = x, and the slopes at x and -x sum to 1.
Precision: 16-bit x is computed in float32 and rounded once.
Memory: x alone is kept; backward computes σ(v) and σ(-v) again on one exponential.

Reference: Hendrycks and Gimpel, "Gaussian error linear units", 2016, arXiv:1606.08415.
"""

from math import pi

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from purefw.rule import Rule
from purefw.shared.logistic import both_logistic
from purefw.shared.precision import wide
from purefw.shared.recomputation import again_on_cpu
from purefw.shared.structure import no_params

A = 0.044715
C = (2 / pi) ** 0.5


def gelu_tanh() -> Rule[tuple, Float[Array, "*s"]]:
    """The rule on x of any shape; it keeps x.

    Example:
        >>> y, residuals = gelu_tanh().forward((), jnp.array([-1.0, 0.0, 2.0]))
        >>> gelu_tanh().backward(residuals, jnp.array([1.0, 1.0, 1.0]))[1].round(2)
        Array([-0.08,  0.5 ,  1.09], dtype=float32)
    """
    return Rule("gelu_tanh", no_params, forward, backward)


def forward(
    params: tuple, x: Float[Array, "*s"]
) -> tuple[Float[Array, "*s"], Float[Array, "*s"]]:
    """Equations (1) and (2); the residual is x."""
    del params
    z = wide(x)
    v = 2 * C * z * (1 + A * z * z)  # (1)
    return (z * lax.logistic(v)).astype(x.dtype), x  # (2)


def backward(
    residuals: Float[Array, "*s"], dy: Float[Array, "*s"]
) -> tuple[tuple, Float[Array, "*s"]]:
    """Equations (1), (3) and (4)."""
    x, dy = again_on_cpu(residuals, dy)
    x = jnp.clip(wide(x), -30, 30)
    v = 2 * C * x * (1 + A * x * x)  # (1)
    dv_dx = 2 * C * (1 + 3 * A * x * x)  # (3)
    sigma, rest = both_logistic(v)
    slope = sigma * (1 + x * rest * dv_dx)
    return (), (slope * wide(dy)).astype(dy.dtype)  # (4)
