"""Squared rectified linear unit, entry by entry.

    (1)  r_i  = x_i if x_i > 0 else 0
    (2)  y_i  = r_i²
    (3)  dx_i = 2 r_i dy_i

(3): for x > 0 the derivative of (2) is 2x; for x < 0 it is 0; both meet at 0, so there
is no kink. r dy is doubled, and not r, which could overflow before a small dy saves it.
Invariant: y is homogeneous of degree 2, y(c x) = c² y(x) for c > 0.
NaN in x stays NaN in y: x > 0 is false for it, so (1) is written with x <= 0.

Reference: So et al., "Primer: searching for efficient transformers for language
modeling", 2021, arXiv:2109.08668.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from purefw.rule import Rule
from purefw.shared.structure import no_params


def squared_relu() -> Rule[tuple, Float[Array, "*s"]]:
    """The rule on x of any shape; it keeps max(x, 0), one array.

    Example:
        >>> y, residuals = squared_relu().forward((), jnp.array([-2.0, 0.0, 3.0]))
        >>> squared_relu().backward(residuals, jnp.array([1.0, 1.0, 1.0]))[1]
        Array([0., 0., 6.], dtype=float32)
    """
    return Rule("squared_relu", no_params, forward, backward)


def forward(
    params: tuple, x: Float[Array, "*s"]
) -> tuple[Float[Array, "*s"], Float[Array, "*s"]]:
    """Equations (1) and (2); the residual is r."""
    del params
    r = jnp.where(x <= 0, 0, x)  # (1)
    return r * r, r  # (2)


def backward(
    residuals: Float[Array, "*s"], dy: Float[Array, "*s"]
) -> tuple[tuple, Float[Array, "*s"]]:
    """Equation (3)."""
    r = residuals
    return (), 2 * (r * dy)  # (3)
