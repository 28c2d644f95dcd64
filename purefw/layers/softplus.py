"""Softplus, a smooth ReLU, entry by entry.

σ is the logistic function, e = exp(-|x|), in (0, 1].

    (1)  y_i  = log(1 + exp x_i) = max(x_i, 0) + log(1 + e_i)
    (2)  σ(x) = 1 / (1 + e) if x > 0 else e / (1 + e)
    (3)  dx_i = σ(x_i) dy_i

(1): for x > 0 take exp x out of the logarithm; no exp can overflow. -|x| is written
min(x, -x), so that autodiff of (1) too finds 1/2 at x = 0, where |x| has a kink.
(3): (log(1 + exp x))' = exp x / (1 + exp x) = σ(x), which (2) writes with the e of (1).
Invariant: y(x) - y(-x) = x, and the slopes at x and -x sum to 1.
Convention: torch.nn.Softplus returns x itself above a threshold of 20; there the two
differ by less than 2.1e-9.
Precision: 16-bit x is computed in float32 and rounded once.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from purefw.precision import wide
from purefw.rule import Rule
from purefw.structure import no_params


def softplus() -> Rule[tuple, Float[Array, "*s"]]:
    """The rule on x of any shape; it keeps x.

    Example:
        >>> y, residuals = softplus().forward((), jnp.array([0.0, 1.0]))
        >>> softplus().backward(residuals, jnp.array([1.0, 1.0]))[1].round(3)
        Array([0.5  , 0.731], dtype=float32)
    """
    return Rule("softplus", no_params, forward, backward)


def forward(
    params: tuple, x: Float[Array, "*s"]
) -> tuple[Float[Array, "*s"], Float[Array, "*s"]]:
    """Equation (1); the residual is x."""
    del params
    z = wide(x)
    e = jnp.exp(jnp.minimum(z, -z))
    return (jnp.maximum(z, 0) + jnp.log1p(e)).astype(x.dtype), x  # (1)


def backward(
    residuals: Float[Array, "*s"], dy: Float[Array, "*s"]
) -> tuple[tuple, Float[Array, "*s"]]:
    """Equations (2) and (3)."""
    x = wide(residuals)
    e = jnp.exp(-jnp.abs(x))
    sigma = jnp.where(x > 0, 1, e) / (1 + e)  # (2)
    return (), (sigma * wide(dy)).astype(dy.dtype)  # (3)
