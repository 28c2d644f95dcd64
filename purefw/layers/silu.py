"""Sigmoid-weighted linear unit, also called swish, entry by entry.

σ is the logistic function.

    (1)  y_i  = x_i σ(x_i)
    (2)  dx_i = σ(x_i) (1 + x_i σ(-x_i)) dy_i

(2): the product rule, with σ' = σ(x) (1 - σ(x)) = σ(x) σ(-x). σ(-x) is computed and not
taken as 1 - σ(x), which has lost its digits where x multiplies it by something large.
Invariant: σ(x) + σ(-x) = 1, so y(x) - y(-x) = x, and the slopes at x and -x sum to 1.
Precision: 16-bit x is computed in float32 and rounded once.
Memory: x alone is kept; backward computes σ(x) and σ(-x) again on one exponential.

Reference: Elfwing, Uchibe and Doya, "Sigmoid-weighted linear units for neural network
function approximation in reinforcement learning", 2017, arXiv:1702.03118.
"""

from jax import lax
from jaxtyping import Array, Float

from purefw.rule import Rule
from purefw.shared.logistic import both_logistic
from purefw.shared.precision import wide
from purefw.shared.recomputation import again_on_cpu
from purefw.shared.structure import no_params


def silu() -> Rule[tuple, Float[Array, "*s"]]:
    """The rule on x of any shape; it keeps x.

    Example:
        >>> import jax.numpy as jnp
        >>> y, residuals = silu().forward((), jnp.array([-1.0, 0.0, 2.0]))
        >>> silu().backward(residuals, jnp.array([1.0, 1.0, 1.0]))[1].round(2)
        Array([0.07, 0.5 , 1.09], dtype=float32)
    """
    return Rule("silu", no_params, forward, backward)


def forward(
    params: tuple, x: Float[Array, "*s"]
) -> tuple[Float[Array, "*s"], Float[Array, "*s"]]:
    """Equation (1); the residual is x."""
    del params
    z = wide(x)
    return (z * lax.logistic(z)).astype(x.dtype), x  # (1)


def backward(
    residuals: Float[Array, "*s"], dy: Float[Array, "*s"]
) -> tuple[tuple, Float[Array, "*s"]]:
    """Equation (2)."""
    x, dy = again_on_cpu(residuals, dy)
    sigma, rest = both_logistic(wide(x))
    slope = sigma * (1 + wide(x) * rest)
    return (), (slope * wide(dy)).astype(dy.dtype)  # (2)
