"""Gaussian error linear unit, the exact form, entry by entry.

Φ is the distribution function of N(0, 1) and φ = Φ' its density.

    (1)  y_i  = x_i Φ(x_i)                    Φ(x) = erfc(-x / √2) / 2
    (2)  φ(x) = exp(-x² / 2) / √(2π)
    (3)  dx_i = (Φ(x_i) + x_i φ(x_i)) dy_i

(3): the product rule. (1) has erfc, and not (1 + erf(x / √2)) / 2, because the latter
is a difference of nearly equal numbers in the left tail.
Invariant: Φ(x) + Φ(-x) = 1, so y(x) - y(-x) = x, and the slopes at x and -x sum to 1.
Convention: exact as in torch; jax.nn.gelu approximates unless told otherwise, as the
rule gelu_tanh does.
Precision: 16-bit x is computed in float32 and rounded once.

Reference: Hendrycks and Gimpel, "Gaussian error linear units", 2016, arXiv:1606.08415.
"""

from math import pi

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from purefw.precision import wide
from purefw.rule import Rule
from purefw.structure import no_params


def gelu() -> Rule[tuple, Float[Array, "*s"]]:
    """The rule on x of any shape; it keeps x.

    Example:
        >>> y, residuals = gelu().forward((), jnp.array([-1.0, 0.0, 2.0]))
        >>> gelu().backward(residuals, jnp.array([1.0, 1.0, 1.0]))[1].round(2)
        Array([-0.08,  0.5 ,  1.09], dtype=float32)
    """
    return Rule("gelu", no_params, forward, backward)


def forward(
    params: tuple, x: Float[Array, "*s"]
) -> tuple[Float[Array, "*s"], Float[Array, "*s"]]:
    """Equation (1); the residual is x."""
    del params
    z = wide(x)
    y = z * (lax.erfc(-z * 0.5**0.5) / 2)  # (1)
    return y.astype(x.dtype), x


def backward(
    residuals: Float[Array, "*s"], dy: Float[Array, "*s"]
) -> tuple[tuple, Float[Array, "*s"]]:
    """Equations (2) and (3)."""
    x = wide(residuals)
    distribution = lax.erfc(-x * 0.5**0.5) / 2  # (1)
    density = jnp.exp(-x * x / 2) * (2 * pi) ** -0.5  # (2)
    slope = distribution + x * density
    return (), (slope * wide(dy)).astype(dy.dtype)  # (3)
