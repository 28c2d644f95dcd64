"""Softplus, a smooth ReLU, entry by entry.

σ is the logistic function.

    (1)  y_i  = log(1 + exp x_i)
    (2)  dx_i = σ(x_i) dy_i

(2): (log(1 + exp x))' = exp x / (1 + exp x) = σ(x). Each is computed on one exponential
that cannot overflow, and without a logarithm: purefw.shared.logistic. At x = 0 autodiff
of (1) as computed there finds 1/2 too.
Invariant: y(x) - y(-x) = x, and the slopes at x and -x sum to 1.
Convention: torch.nn.Softplus returns x itself above a threshold of 20; there the two
differ by less than 2.1e-9.
Precision: 16-bit x is computed in float32 and rounded once.
Memory: x alone is kept; backward computes the exponential again.
"""

from jaxtyping import Array, Float

from purefw.rule import Rule
from purefw.shared.logistic import both_logistic, log1p_exp
from purefw.shared.precision import wide
from purefw.shared.recomputation import again_on_cpu
from purefw.shared.structure import no_params


def softplus() -> Rule[tuple, Float[Array, "*s"]]:
    """The rule on x of any shape; it keeps x.

    Example:
        >>> import jax.numpy as jnp
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
    return log1p_exp(wide(x)).astype(x.dtype), x  # (1)


def backward(
    residuals: Float[Array, "*s"], dy: Float[Array, "*s"]
) -> tuple[tuple, Float[Array, "*s"]]:
    """Equation (2)."""
    x, dy = again_on_cpu(residuals, dy)
    sigma, _ = both_logistic(wide(x))
    return (), (sigma * wide(dy)).astype(dy.dtype)  # (2)
