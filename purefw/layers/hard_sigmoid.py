"""Hard sigmoid: a straight ramp from 0 at -3 to 1 at 3, entry by entry.

    (1)  y_i  = 0 if x_i <= -3, 1 if x_i >= 3, x_i / 6 + 1/2 otherwise
    (2)  dx_i = dy_i / 6 if -3 < x_i < 3 else 0

(2): the derivative of each branch of (1).
Kinks: at x = ±3 every value between 0 and dy / 6 is a subgradient; the rule takes 0, as
autodiff of jax.nn.hard_sigmoid and torch do.
Invariant: y(x) + y(-x) = 1.
Convention: slope 1/6 as in jax.nn and torch; Keras before version 3 had 1/5. torch's
float64 backward rounds 1/6 to float32, ours does not.
NaN in x stays NaN in y: both comparisons of (1) are false for it.
Precision: 16-bit x is computed in float32 and rounded once.
"""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from purefw.rule import Rule
from purefw.shared.precision import wide
from purefw.shared.structure import no_params


def hard_sigmoid() -> Rule[tuple, Bool[Array, "*s"]]:
    """The rule on x of any shape; its residual is one byte an entry.

    Example:
        >>> y, residuals = hard_sigmoid().forward((), jnp.array([-4.0, 0.0, 3.0]))
        >>> hard_sigmoid().backward(residuals, jnp.array([6.0, 6.0, 6.0]))[1]
        Array([0., 1., 0.], dtype=float32)
    """
    return Rule("hard_sigmoid", no_params, forward, backward)


def forward(
    params: tuple, x: Float[Array, "*s"]
) -> tuple[Float[Array, "*s"], Bool[Array, "*s"]]:
    """Equation (1); the residual is the mask of (2)."""
    del params
    z = wide(x)
    y = jnp.where(z <= -3, 0, jnp.where(z >= 3, 1, z / 6 + 0.5))  # (1)
    return y.astype(x.dtype), jnp.abs(x) < 3


def backward(
    residuals: Bool[Array, "*s"], dy: Float[Array, "*s"]
) -> tuple[tuple, Float[Array, "*s"]]:
    """Equation (2)."""
    return (), jnp.where(residuals, dy / 6, 0)  # (2)
