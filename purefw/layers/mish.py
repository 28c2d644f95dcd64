"""Mish, entry by entry.

σ is the logistic function, e = exp(-|x|), which lies in (0, 1].

    (1)  y_i  = x_i t_i                        t = tanh(log(1 + exp x))
    (2)  t    = top / (top + rest)             top  = 1 + 2e  if x > 0 else e (2 + e)
                                               rest = 2e²     if x > 0 else 2
    (3)  1 - t = rest / (top + rest)
    (4)  σ(x) = 1 / (1 + e) if x > 0 else e / (1 + e)
    (5)  dx_i = (t_i + x_i (1 - t_i) (1 + t_i) σ(x_i)) dy_i

(2): with w = 1 + exp x, tanh(log w) = (w² - 1) / (w² + 1), w² - 1 = exp x (2 + exp x)
and w² + 1 = w² - 1 + 2; for x > 0 both are multiplied by exp(-2x) = e². (3) follows
without a subtraction. (5): tanh' = 1 - tanh² and (log(1 + exp x))' = σ(x). One exp
serves value and derivative. x (1 - t) comes first: it cannot overflow.
Invariants: y(0) = 0, and y >= -0.30885.
Precision: 16-bit x is computed in float32 and rounded once.

Reference: Misra, "Mish: a self regularized non-monotonic activation function", 2019,
arXiv:1908.08681.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from purefw.precision import wide
from purefw.rule import Rule
from purefw.structure import no_params


def mish() -> Rule[tuple, Float[Array, "*s"]]:
    """The rule on x of any shape; it keeps x.

    Example:
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
    z = wide(x)
    top, rest = _top_and_rest(z, jnp.exp(-jnp.abs(z)))
    return (z * (top / (top + rest))).astype(x.dtype), x  # (1), (2)


def backward(
    residuals: Float[Array, "*s"], dy: Float[Array, "*s"]
) -> tuple[tuple, Float[Array, "*s"]]:
    """Equations (2) to (5)."""
    x = wide(residuals)
    e = jnp.exp(-jnp.abs(x))
    top, rest = _top_and_rest(x, e)
    t, one_minus_t = top / (top + rest), rest / (top + rest)  # (2), (3)
    sigma = jnp.where(x > 0, 1, e) / (1 + e)  # (4)
    slope = t + x * one_minus_t * (1 + t) * sigma
    return (), (slope * wide(dy)).astype(dy.dtype)  # (5)


def _top_and_rest(
    x: Float[Array, "*s"], e: Float[Array, "*s"]
) -> tuple[Float[Array, "*s"], Float[Array, "*s"]]:
    top = jnp.where(x > 0, 1 + 2 * e, e * (2 + e))  # (2)
    rest = jnp.where(x > 0, 2 * e * e, 2)  # (2)
    return top, rest
