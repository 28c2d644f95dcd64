"""Scaled exponential linear unit, entry by entry.

    (1)  y_i  = scale x_i if x_i > 0 else scale alpha (exp x_i - 1)
    (2)  dx_i = scale dy_i if x_i > 0 else scale alpha exp(x_i) dy_i

(2): the derivative of each branch of (1).
Kink: at x = 0 every value between scale dy and scale alpha dy is a subgradient; the
rule takes scale alpha dy, as autodiff of jax.nn.selu and torch do.
Invariant: scale and alpha are such that y has mean 0 and variance 1 if x is N(0, 1).
Precision: 16-bit x is computed in float32 and rounded once.

Reference: Klambauer, Unterthiner, Mayr and Hochreiter, "Self-normalizing neural
networks", 2017, arXiv:1706.02515.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from purefw.rule import Rule
from purefw.shared.precision import wide
from purefw.shared.structure import no_params

ALPHA = 1.6732632423543772848170429916717
SCALE = 1.0507009873554804934193349852946


def selu() -> Rule[tuple, Float[Array, "*s"]]:
    """The rule on x of any shape; it keeps x.

    Example:
        >>> y, residuals = selu().forward((), jnp.array([-1.0, 0.0, 2.0]))
        >>> selu().backward(residuals, jnp.array([1.0, 1.0, 1.0]))[1].round(2)
        Array([0.65, 1.76, 1.05], dtype=float32)
    """
    return Rule("selu", no_params, forward, backward)


def forward(
    params: tuple, x: Float[Array, "*s"]
) -> tuple[Float[Array, "*s"], Float[Array, "*s"]]:
    """Equation (1); the residual is x."""
    del params
    z = wide(x)
    left = jnp.where(z > 0, 0, z)  # keeps exp of the branch not taken finite
    y = SCALE * jnp.where(z > 0, z, ALPHA * jnp.expm1(left))  # (1)
    return y.astype(x.dtype), x


def backward(
    residuals: Float[Array, "*s"], dy: Float[Array, "*s"]
) -> tuple[tuple, Float[Array, "*s"]]:
    """Equation (2)."""
    x = wide(residuals)
    slope = SCALE * jnp.where(x > 0, 1, ALPHA * jnp.exp(jnp.minimum(x, 0)))  # (2)
    return (), (slope * wide(dy)).astype(dy.dtype)  # (2)
