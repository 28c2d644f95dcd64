"""Gaussian error linear unit, the exact form, entry by entry.

Φ is the distribution function of N(0, 1) and φ = Φ' its density.

    (1)  y_i  = x_i Φ(x_i)
    (2)  dx_i = (Φ(x_i) + x_i φ(x_i)) dy_i

(2): the product rule. Both are computed on one exponential, and keep their digits where
Φ nears 0: purefw.shared.normal.
Invariant: Φ(x) + Φ(-x) = 1, so y(x) - y(-x) = x, and the slopes at x and -x sum to 1.
Convention: exact as in torch; jax.nn.gelu approximates unless told otherwise, as the
rule gelu_tanh does.
Precision: 16-bit x is computed in float32 and rounded once.
Memory: x alone is kept. Backward computes one exponential again, which takes less time
than to read an array: purefw.shared.recomputation.

Reference: Hendrycks and Gimpel, "Gaussian error linear units", 2016, arXiv:1606.08415.
"""

from jaxtyping import Array, Float

from purefw.rule import Rule
from purefw.shared.normal import gated_slope, gated_value
from purefw.shared.precision import wide
from purefw.shared.recomputation import again_on_cpu
from purefw.shared.structure import no_params


def gelu() -> Rule[tuple, Float[Array, "*s"]]:
    """The rule on x of any shape; it keeps x.

    Example:
        >>> import jax.numpy as jnp
        >>> y, residuals = gelu().forward((), jnp.array([-1.0, 0.0, 2.0]))
        >>> gelu().backward(residuals, jnp.array([1.0, 1.0, 1.0]))[1].round(2)
        Array([-0.08,  0.5 ,  1.09], dtype=float32)
    """
    return Rule("gelu", no_params, forward, backward)


def forward(
    params: tuple, x: Float[Array, "*s"]
) -> tuple[Float[Array, "*s"], Float[Array, "*s"]]:
    """Equation (1); the residual is x."""
    del params
    return gated_value(wide(x)).astype(x.dtype), x  # (1)


def backward(
    residuals: Float[Array, "*s"], dy: Float[Array, "*s"]
) -> tuple[tuple, Float[Array, "*s"]]:
    """Equation (2)."""
    x, dy = again_on_cpu(residuals, dy)
    return (), (gated_slope(wide(x)) * wide(dy)).astype(dy.dtype)  # (2)
