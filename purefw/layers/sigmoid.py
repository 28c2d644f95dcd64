"""Logistic sigmoid, entry by entry.

    (1)  y_i  = 1 / (1 + exp(-x_i))
    (2)  dx_i = y_i (1 - y_i) dy_i

(2): with u = exp(-x), y = 1 / (1 + u) and du/dx = -u, so dy/dx = u / (1 + u)²; the one
factor 1 / (1 + u) is y, the other, u / (1 + u), is 1 - y.
Invariants: y(-x) = 1 - y(x); dx has the sign of dy and |dx| ≤ |dy| / 4, reached at 0.
Limit: y is rounded, so 1 - y loses digits as y nears 1: at x = 30 in float64 dx is
0.1 % off, and for x from 17 (float32) or 37 (float64) it is 0, where the truth is
exp(-x). Autodiff of jax.nn.sigmoid does the same. No digits are lost on the negative
side.
"""

from jax import lax
from jaxtyping import Array, Float

from purefw.rule import Rule
from purefw.shared.structure import no_params


def sigmoid() -> Rule[tuple, Float[Array, "*s"]]:
    """The rule on x of any shape; it has no parameters and keeps y, which is alive.

    Example:
        >>> import jax.numpy as jnp
        >>> y, residuals = sigmoid().forward((), jnp.array([0.0, 2.0]))
        >>> sigmoid().backward(residuals, jnp.array([1.0, 1.0]))[1].round(3)
        Array([0.25 , 0.105], dtype=float32)
    """
    return Rule("sigmoid", no_params, forward, backward)


def forward(
    params: tuple, x: Float[Array, "*s"]
) -> tuple[Float[Array, "*s"], Float[Array, "*s"]]:
    """Equation (1); the residual is y. lax.logistic overflows on neither side."""
    del params
    y = lax.logistic(x)  # (1)
    return y, y


def backward(
    residuals: Float[Array, "*s"], dy: Float[Array, "*s"]
) -> tuple[tuple, Float[Array, "*s"]]:
    """Equation (2)."""
    y = residuals
    return (), y * (1 - y) * dy  # (2)
