"""Exponential linear unit, entry by entry.

    (1)  y_i  = x_i if x_i > 0 else alpha (exp x_i - 1)
    (2)  dx_i = dy_i if x_i > 0 else alpha exp(x_i) dy_i

(2): the derivative of each branch of (1). exp is computed and not taken as y + alpha,
which would lose the digits of the left tail.
Kink: at x = 0, unless alpha = 1, every value between alpha dy and dy is a subgradient;
the rule takes alpha dy, as autodiff of jax.nn.elu and torch do.
Invariant: y > -alpha, rounding aside.
Precision: 16-bit x is computed in float32 and rounded once.

Reference: Clevert, Unterthiner and Hochreiter, "Fast and accurate deep network learning
by exponential linear units", 2015, arXiv:1511.07289.
"""

from functools import partial
from math import inf

import jax.numpy as jnp
from jaxtyping import Array, Float

from purefw.rule import Rule
from purefw.shared.precision import wide
from purefw.shared.structure import no_params


def elu(alpha: float = 1.0) -> Rule[tuple, Float[Array, "*s"]]:
    """The rule on x of any shape; it keeps x.

    Args:
        alpha: Minus the limit of y on the left. Positive and finite.

    Raises:
        ValueError: `alpha` is not positive and finite.

    Example:
        >>> y, residuals = elu().forward((), jnp.array([-1.0, 0.0, 2.0]))
        >>> elu().backward(residuals, jnp.array([1.0, 1.0, 1.0]))[1].round(2)
        Array([0.37, 1.  , 1.  ], dtype=float32)
    """
    if not 0 < alpha < inf:
        raise ValueError(f"elu: alpha must be positive and finite, got {alpha}")
    return Rule(
        "elu", no_params, partial(forward, alpha=alpha), partial(backward, alpha=alpha)
    )


def forward(
    params: tuple, x: Float[Array, "*s"], *, alpha: float
) -> tuple[Float[Array, "*s"], Float[Array, "*s"]]:
    """Equation (1); the residual is x."""
    del params
    z = wide(x)
    left = jnp.where(z > 0, 0, z)  # keeps exp of the branch not taken finite
    y = jnp.where(z > 0, z, alpha * jnp.expm1(left))  # (1)
    return y.astype(x.dtype), x


def backward(
    residuals: Float[Array, "*s"], dy: Float[Array, "*s"], *, alpha: float
) -> tuple[tuple, Float[Array, "*s"]]:
    """Equation (2)."""
    x = wide(residuals)
    slope = jnp.where(x > 0, 1, alpha * jnp.exp(jnp.minimum(x, 0)))  # (2)
    return (), (slope * wide(dy)).astype(dy.dtype)  # (2)
