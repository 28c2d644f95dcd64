"""Softsign, entry by entry.

    (1)  y_i  = x_i / (1 + |x_i|)
    (2)  dx_i = dy_i / (1 + |x_i|)²

(2): for x > 0, y' = ((1 + x) - x) / (1 + x)²; for x < 0, with 1 - x below the line, the
numerator is (1 - x) + x. At x = 0 both sides give 1, so there is no kink. dy is divided
twice, because (1 + |x|)² could overflow.
Invariants: y is odd in x; |y| <= 1, and dx has the sign of dy.
Precision: 16-bit x is computed in float32 and rounded once.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from purefw.rule import Rule
from purefw.shared.precision import wide
from purefw.shared.structure import no_params


def softsign() -> Rule[tuple, Float[Array, "*s"]]:
    """The rule on x of any shape; it keeps x.

    Example:
        >>> y, residuals = softsign().forward((), jnp.array([-1.0, 0.0, 3.0]))
        >>> softsign().backward(residuals, jnp.array([1.0, 1.0, 1.0]))[1]
        Array([0.25  , 1.    , 0.0625], dtype=float32)
    """
    return Rule("softsign", no_params, forward, backward)


def forward(
    params: tuple, x: Float[Array, "*s"]
) -> tuple[Float[Array, "*s"], Float[Array, "*s"]]:
    """Equation (1); the residual is x."""
    del params
    z = wide(x)
    return (z / (1 + jnp.abs(z))).astype(x.dtype), x  # (1)


def backward(
    residuals: Float[Array, "*s"], dy: Float[Array, "*s"]
) -> tuple[tuple, Float[Array, "*s"]]:
    """Equation (2)."""
    d = 1 + jnp.abs(wide(residuals))
    return (), (wide(dy) / d / d).astype(dy.dtype)  # (2)
