"""Hard tanh: the identity between -1 and 1, constant outside, entry by entry.

    (1)  y_i  = -1 if x_i < -1, 1 if x_i > 1, x_i otherwise
    (2)  dx_i = dy_i if -1 <= x_i <= 1 else 0

(2): the derivative of each branch of (1).
Kinks: at x = ±1 every value between 0 and dy is a subgradient; the rule takes dy, as
autodiff of jax.nn.hard_tanh does. torch takes 0 there.
Invariant: y is odd in x.
NaN in x stays NaN in y: both comparisons of (1) are false for it.
"""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from purefw.rule import Rule
from purefw.shared.structure import no_params


def hard_tanh() -> Rule[tuple, Bool[Array, "*s"]]:
    """The rule on x of any shape; its residual is one byte an entry.

    Example:
        >>> y, residuals = hard_tanh().forward((), jnp.array([-2.0, 0.5, 1.0]))
        >>> hard_tanh().backward(residuals, jnp.array([1.0, 1.0, 1.0]))[1]
        Array([0., 1., 1.], dtype=float32)
    """
    return Rule("hard_tanh", no_params, forward, backward)


def forward(
    params: tuple, x: Float[Array, "*s"]
) -> tuple[Float[Array, "*s"], Bool[Array, "*s"]]:
    """Equation (1); the residual is the mask of (2)."""
    del params
    y = jnp.where(x < -1, -1, jnp.where(x > 1, 1, x))  # (1)
    return y, jnp.abs(x) <= 1


def backward(
    residuals: Bool[Array, "*s"], dy: Float[Array, "*s"]
) -> tuple[tuple, Float[Array, "*s"]]:
    """Equation (2)."""
    return (), jnp.where(residuals, dy, 0)  # (2)
