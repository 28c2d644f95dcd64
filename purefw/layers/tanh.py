"""Hyperbolic tangent, entry by entry.

    (1)  y_i  = tanh x_i
    (2)  dx_i = (1 - y_i)(1 + y_i) dy_i

(2): tanh = sinh/cosh, so tanh' = (cosh² - sinh²)/cosh² = 1 - tanh². The
factors are kept apart as autodiff keeps them, so that the two agree to the last digits.
Invariants: y is odd in x; |y| ≤ 1, and dx has the sign of dy.
Limit: y is rounded, so dx loses digits as |y| nears 1: at x = 16 in float64 it is 0.4 %
off, and for |x| beyond 9 (float32) or 19 (float64) it is 0, where the truth is
4 exp(-2|x|). Autodiff of jnp.tanh does the same.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from purefw.rule import Rule
from purefw.shared.structure import no_params


def tanh() -> Rule[tuple, Float[Array, "*s"]]:
    """The rule on x of any shape; it has no parameters and keeps y, which is alive.

    Example:
        >>> y, residuals = tanh().forward((), jnp.array([0.0, 0.5]))
        >>> tanh().backward(residuals, jnp.array([1.0, 1.0]))[1].round(3)
        Array([1.   , 0.786], dtype=float32)
    """
    return Rule("tanh", no_params, forward, backward)


def forward(
    params: tuple, x: Float[Array, "*s"]
) -> tuple[Float[Array, "*s"], Float[Array, "*s"]]:
    """Equation (1); the residual is y."""
    del params
    y = jnp.tanh(x)  # (1)
    return y, y


def backward(
    residuals: Float[Array, "*s"], dy: Float[Array, "*s"]
) -> tuple[tuple, Float[Array, "*s"]]:
    """Equation (2)."""
    y = residuals
    return (), (1 - y) * (1 + y) * dy  # (2)
