"""Hard swish: x times a straight ramp from 0 at -3 to 1 at 3, entry by entry.

    (1)  y_i  = x_i h_i       h = 0 if x <= -3, 1 if x >= 3, x / 6 + 1/2 otherwise
    (2)  dx_i = dy_i times 0 if x_i <= -3, 1 if x_i >= 3, x_i / 3 + 1/2 otherwise

(2): on the ramp y = x² / 6 + x / 2, elsewhere 0 or x.
Kinks: the slopes of the ramp end at -1/2 (x = -3) and 3/2 (x = 3), those outside are 0
and 1; the rule takes the latter, as autodiff of jax.nn.hard_swish and torch do.
Invariant: h(x) + h(-x) = 1, so y(x) - y(-x) = x, and the slopes at x and -x sum to 1.
Precision: 16-bit x is computed in float32 and rounded once.

Reference: Howard et al., "Searching for MobileNetV3", 2019, arXiv:1905.02244.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from purefw.rule import Rule
from purefw.shared.precision import wide
from purefw.shared.structure import no_params


def hard_swish() -> Rule[tuple, Float[Array, "*s"]]:
    """The rule on x of any shape; it keeps x.

    Example:
        >>> y, residuals = hard_swish().forward((), jnp.array([-4.0, 0.0, 3.0]))
        >>> hard_swish().backward(residuals, jnp.array([1.0, 1.0, 1.0]))[1]
        Array([0. , 0.5, 1. ], dtype=float32)
    """
    return Rule("hard_swish", no_params, forward, backward)


def forward(
    params: tuple, x: Float[Array, "*s"]
) -> tuple[Float[Array, "*s"], Float[Array, "*s"]]:
    """Equation (1); the residual is x."""
    del params
    z = wide(x)
    y = z * jnp.where(z <= -3, 0, jnp.where(z >= 3, 1, z / 6 + 0.5))  # (1)
    return y.astype(x.dtype), x


def backward(
    residuals: Float[Array, "*s"], dy: Float[Array, "*s"]
) -> tuple[tuple, Float[Array, "*s"]]:
    """Equation (2)."""
    x = wide(residuals)
    slope = jnp.where(x <= -3, 0, jnp.where(x >= 3, 1, x / 3 + 0.5))  # (2)
    return (), (slope * wide(dy)).astype(dy.dtype)  # (2)
