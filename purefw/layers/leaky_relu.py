"""Leaky rectified linear unit, entry by entry.

    (1)  y_i  = x_i if x_i >= 0 else slope x_i
    (2)  dx_i = dy_i if x_i >= 0 else slope dy_i

(2): the derivative of each branch of (1).
Kink: at x = 0 every value between slope dy and dy is a subgradient; the rule takes dy,
as autodiff of jax.nn.leaky_relu does. torch takes slope dy there.
Invariant: y is homogeneous, y(c x) = c y(x) for c > 0.

Reference: Maas, Hannun and Ng, "Rectifier nonlinearities improve neural network
acoustic models", 2013.
"""

from functools import partial
from math import isfinite

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from purefw.rule import Rule
from purefw.shared.structure import no_params


def leaky_relu(slope: float = 0.01) -> Rule[tuple, Bool[Array, "*s"]]:
    """The rule on x of any shape; its residual is one byte an entry.

    Args:
        slope: Of the negative half-line. Finite; 0 gives ReLU but for the kink.

    Raises:
        ValueError: `slope` is not finite.

    Example:
        >>> rule = leaky_relu(0.1)
        >>> y, residuals = rule.forward((), jnp.array([-2.0, 0.0, 3.0]))
        >>> rule.backward(residuals, jnp.array([1.0, 1.0, 1.0]))[1]
        Array([0.1, 1. , 1. ], dtype=float32)
    """
    if not isfinite(slope):
        raise ValueError(f"leaky_relu: slope must be finite, got {slope}")
    return Rule(
        name="leaky_relu",
        init=no_params,
        forward=partial(forward, slope=slope),
        backward=partial(backward, slope=slope),
    )


def forward(
    params: tuple, x: Float[Array, "*s"], *, slope: float
) -> tuple[Float[Array, "*s"], Bool[Array, "*s"]]:
    """Equation (1); the residual is the mask of (2)."""
    del params
    mask = x >= 0
    return jnp.where(mask, x, slope * x), mask  # (1)


def backward(
    residuals: Bool[Array, "*s"], dy: Float[Array, "*s"], *, slope: float
) -> tuple[tuple, Float[Array, "*s"]]:
    """Equation (2)."""
    return (), jnp.where(residuals, dy, slope * dy)  # (2)
