"""Rectified linear unit that saturates at 6, entry by entry.

    (1)  y_i  = 0 if x_i <= 0, 6 if x_i >= 6, x_i otherwise
    (2)  dx_i = dy_i if 0 < x_i < 6 else 0

(2): the derivative of each branch of (1).
Kinks: at x = 0 and x = 6 every value between 0 and dy is a subgradient; the rule takes
0, as autodiff of jax.nn.relu6 and torch do.
Invariant: y(x) + y(6 - x) = 6.
NaN in x stays NaN in y: both comparisons of (1) are false for it.

Reference: Howard et al., "MobileNets", 2017, arXiv:1704.04861.
"""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from purefw.rule import Rule
from purefw.shared.structure import no_params


def relu6() -> Rule[tuple, Bool[Array, "*s"]]:
    """The rule on x of any shape; its residual is one byte an entry.

    Example:
        >>> y, residuals = relu6().forward((), jnp.array([-1.0, 2.0, 7.0]))
        >>> relu6().backward(residuals, jnp.array([1.0, 1.0, 1.0]))[1]
        Array([0., 1., 0.], dtype=float32)
    """
    return Rule("relu6", no_params, forward, backward)


def forward(
    params: tuple, x: Float[Array, "*s"]
) -> tuple[Float[Array, "*s"], Bool[Array, "*s"]]:
    """Equation (1); the residual is the mask of (2)."""
    del params
    y = jnp.where(x <= 0, 0, jnp.where(x >= 6, 6, x))  # (1)
    return y, (x > 0) & (x < 6)


def backward(
    residuals: Bool[Array, "*s"], dy: Float[Array, "*s"]
) -> tuple[tuple, Float[Array, "*s"]]:
    """Equation (2)."""
    return (), jnp.where(residuals, dy, 0)  # (2)
