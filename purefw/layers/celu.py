"""Continuously differentiable exponential linear unit, entry by entry.

    (1)  y_i  = max(x_i, 0) + alpha (exp(min(x_i, 0) / alpha) - 1)
    (2)  dx_i = exp(min(x_i, 0) / alpha) dy_i

(2): for x > 0 the second summand of (1) is constant and the slope is 1 = exp(0); for
x < 0 the first is constant and the chain rule cancels alpha.
No kink: at x = 0 both sides of (2) are dy.
Invariant: y(x; alpha) = alpha y(x / alpha; 1).
Convention: torch's float64 backward rounds alpha to float32, ours does not.
Precision: 16-bit x is computed in float32 and rounded once.

Reference: Barron, "Continuously differentiable exponential linear units", 2017,
arXiv:1704.07483.
"""

from functools import partial
from math import inf

import jax.numpy as jnp
from jaxtyping import Array, Float

from purefw.rule import Rule
from purefw.shared.precision import wide
from purefw.shared.structure import no_params


def celu(alpha: float = 1.0) -> Rule[tuple, Float[Array, "*s"]]:
    """The rule on x of any shape; it keeps x.

    Args:
        alpha: Minus the limit of y on the left, in units of x. Positive and finite.

    Raises:
        ValueError: `alpha` is not positive and finite.

    Example:
        >>> y, residuals = celu(2.0).forward((), jnp.array([-1.0, 0.0, 2.0]))
        >>> celu(2.0).backward(residuals, jnp.array([1.0, 1.0, 1.0]))[1].round(2)
        Array([0.61, 1.  , 1.  ], dtype=float32)
    """
    if not 0 < alpha < inf:
        raise ValueError(f"celu: alpha must be positive and finite, got {alpha}")
    return Rule(
        "celu", no_params, partial(forward, alpha=alpha), partial(backward, alpha=alpha)
    )


def forward(
    params: tuple, x: Float[Array, "*s"], *, alpha: float
) -> tuple[Float[Array, "*s"], Float[Array, "*s"]]:
    """Equation (1); the residual is x."""
    del params
    z = wide(x)
    y = jnp.maximum(z, 0) + alpha * jnp.expm1(jnp.minimum(z, 0) / alpha)  # (1)
    return y.astype(x.dtype), x


def backward(
    residuals: Float[Array, "*s"], dy: Float[Array, "*s"], *, alpha: float
) -> tuple[tuple, Float[Array, "*s"]]:
    """Equation (2)."""
    x = wide(residuals)
    slope = jnp.exp(jnp.minimum(x, 0) / alpha)
    return (), (slope * wide(dy)).astype(dy.dtype)  # (2)
