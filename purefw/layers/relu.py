"""Rectified linear unit, entry by entry.

    (1)  y_i  = x_i if x_i > 0 else 0
    (2)  dx_i = dy_i if x_i > 0 else 0

(2): the derivative of each branch of (1).
Kink: at x = 0 every value in [0, dy] is a subgradient; the rule takes 0, as autodiff of
jax.nn.relu does. Measured: autodiff of jnp.maximum(x, 0) gives dy / 2 there.
NaN in x stays NaN in y: x > 0 is false for it, so (1) is written with x <= 0.
"""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from purefw.rule import Rule
from purefw.shared.structure import no_params


def relu() -> Rule[tuple, Bool[Array, "*s"]]:
    """The rule on x of any shape; its residual is one byte an entry.

    Example:
        >>> y, residuals = relu().forward((), jnp.array([-2.0, 0.0, 3.0]))
        >>> relu().backward(residuals, jnp.array([1.0, 1.0, 1.0]))[1]
        Array([0., 0., 1.], dtype=float32)
    """
    return Rule("relu", no_params, forward, backward)


def forward(
    params: tuple, x: Float[Array, "*s"]
) -> tuple[Float[Array, "*s"], Bool[Array, "*s"]]:
    """Equation (1); the residual is the mask of (2)."""
    del params
    return jnp.where(x <= 0, jnp.zeros_like(x), x), x > 0  # (1)


def backward(
    residuals: Bool[Array, "*s"], dy: Float[Array, "*s"]
) -> tuple[tuple, Float[Array, "*s"]]:
    """Equation (2)."""
    return (), jnp.where(residuals, dy, jnp.zeros_like(dy))  # (2)
