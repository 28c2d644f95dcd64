"""Mish, entry by entry.

σ is the logistic function, p = σ(x), r = σ(-x) = 1 - p.

    (1)  y_i   = x_i t_i                        t = tanh(log(1 + exp x))
    (2)  t     = p (1 + r) / (1 + r²)
    (3)  1 - t = 2 r² / (1 + r²)
    (4)  dx_i  = (t_i + x_i (1 - t_i) (1 + t_i) p_i) dy_i

(2): 1 + exp x = 1/r, and tanh(log w) = (w² - 1) / (w² + 1), so t = (1 - r²) / (1 + r²),
where 1 - r² = (1 - r)(1 + r). (3) follows without a subtraction. (4): tanh' = 1 - tanh²
and (log(1 + exp x))' = p. p and r come from one exponential, each with all its digits:
purefw.shared.logistic. x (1 - t) comes first: it cannot overflow.
Invariants: y(0) = 0, and y >= -0.30885.
Precision: 16-bit x is computed in float32 and rounded once.
Memory: x alone is kept; backward computes the exponential again.

Reference: Misra, "Mish: a self regularized non-monotonic activation function", 2019,
arXiv:1908.08681.
"""

from jaxtyping import Array, Float

from purefw.rule import Rule
from purefw.shared.logistic import both_logistic
from purefw.shared.precision import wide
from purefw.shared.recomputation import again_on_cpu
from purefw.shared.structure import no_params


def mish() -> Rule[tuple, Float[Array, "*s"]]:
    """The rule on x of any shape; it keeps x.

    Example:
        >>> import jax.numpy as jnp
        >>> y, residuals = mish().forward((), jnp.array([-1.0, 0.0, 2.0]))
        >>> mish().backward(residuals, jnp.array([1.0, 1.0, 1.0]))[1].round(3)
        Array([0.059, 0.6  , 1.069], dtype=float32)
    """
    return Rule("mish", no_params, forward, backward)


def forward(
    params: tuple, x: Float[Array, "*s"]
) -> tuple[Float[Array, "*s"], Float[Array, "*s"]]:
    """Equations (1) and (2); the residual is x."""
    del params
    t, _, _ = _parts(wide(x))
    return (wide(x) * t).astype(x.dtype), x  # (1)


def backward(
    residuals: Float[Array, "*s"], dy: Float[Array, "*s"]
) -> tuple[tuple, Float[Array, "*s"]]:
    """Equations (2) to (4)."""
    x, dy = again_on_cpu(residuals, dy)
    t, one_minus_t, p = _parts(wide(x))
    slope = t + wide(x) * one_minus_t * (1 + t) * p
    return (), (slope * wide(dy)).astype(dy.dtype)  # (4)


def _parts(
    x: Float[Array, "*s"],
) -> tuple[Float[Array, "*s"], Float[Array, "*s"], Float[Array, "*s"]]:
    """t, 1 - t and p."""
    p, r = both_logistic(x)
    share = 1 / (1 + r * r)
    return p * (1 + r) * share, 2 * r * r * share, p  # (2), (3)
