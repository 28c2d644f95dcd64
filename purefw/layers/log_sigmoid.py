"""Logarithm of the logistic function, entry by entry.

σ is the logistic function, e = exp(-|x|), in (0, 1].

    (1)  y_i   = log σ(x_i) = min(x_i, 0) - log(1 + e_i)
    (2)  σ(-x) = e / (1 + e) if x > 0 else 1 / (1 + e)
    (3)  dx_i  = σ(-x_i) dy_i

(1): log σ(x) = -log(1 + exp(-x)); for x < 0 take exp(-x) out of the logarithm, so that
no exp can overflow and no logarithm meets 0. There -|x| stands as min(x, -x), so that
autodiff of (1) too finds 1/2 at x = 0, where |x| has a kink.
(3): (log σ)' = σ'/σ = 1 - σ(x) = σ(-x), which (2) writes with the e of (1).
Invariant: y(x) - y(-x) = x, and the slopes at x and -x sum to 1.
Precision: 16-bit x is computed in float32 and rounded once.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from purefw.precision import wide
from purefw.rule import Rule
from purefw.structure import no_params


def log_sigmoid() -> Rule[tuple, Float[Array, "*s"]]:
    """The rule on x of any shape; it keeps x.

    Example:
        >>> y, residuals = log_sigmoid().forward((), jnp.array([-1.0, 0.0, 2.0]))
        >>> log_sigmoid().backward(residuals, jnp.array([1.0, 1.0, 1.0]))[1].round(3)
        Array([0.731, 0.5  , 0.119], dtype=float32)
    """
    return Rule("log_sigmoid", no_params, forward, backward)


def forward(
    params: tuple, x: Float[Array, "*s"]
) -> tuple[Float[Array, "*s"], Float[Array, "*s"]]:
    """Equation (1); the residual is x."""
    del params
    z = wide(x)
    e = jnp.exp(jnp.minimum(z, -z))
    return (jnp.minimum(z, 0) - jnp.log1p(e)).astype(x.dtype), x  # (1)


def backward(
    residuals: Float[Array, "*s"], dy: Float[Array, "*s"]
) -> tuple[tuple, Float[Array, "*s"]]:
    """Equations (2) and (3)."""
    x = wide(residuals)
    e = jnp.exp(-jnp.abs(x))
    sigma_of_minus_x = jnp.where(x > 0, e, 1) / (1 + e)  # (2)
    return (), (sigma_of_minus_x * wide(dy)).astype(dy.dtype)  # (3)
