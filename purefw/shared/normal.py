"""The standard normal distribution on one exponential: density and upper tail.

φ is the density, Φ the distribution function, a ≥ 0.

    (1)  φ(a)     = exp(-a² / 2) / √(2π)
    (2)  Φ(-a)    = φ(a) M(a)                        M is Mills' ratio
    (3)  M(a)     = r P(1 - 6 r)                     r = 1 / (3 + a)

    (4)  x Φ(x)       = x Φ(-|x|) if x < 0 else x (1 - Φ(-|x|))
    (5)  (x Φ(x))'    = s if x < 0 else 1 - s        s = Φ(-|x|) - |x| φ(x)

(2) defines M, which is smooth and falls slowly, from √(π/2) at 0 as 1/a. (3): 1 - 6 r
maps [0, ∞) to [-1, 1), where (3 + a) M(a) is nearly a polynomial: P is its Chebyshev
interpolant of degree 10, off by less than 3e-8 of M. So tail and density share the
exponential, and the tail keeps its digits down to where φ is 0. In float64 (2) is
erfc(a / √2) / 2 instead, for which P would need twice the degree.
(4), (5): Φ(x) = 1 - Φ(-x) for x > 0, and (x Φ)' = Φ + x φ by the product rule; both
need the upper tail alone.
Limits: x Φ(x) is inf at inf and, as in jax.nn.gelu, NaN at -inf. a is held below the
largest of which φ is not 0 where it multiplies φ, so that the slope is 1 and 0 there.
Invariant: Φ(-0) = 1/2; M' = a M - 1.

Reference: Mills, "Table of the ratio: area to bounding ordinate", Biometrika 18, 1926.
"""

from math import pi

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

# Of P, the constant first: interpolated at 200 Chebyshev points in 40 digits.
MILLS = (
    1.8275418051522665,
    -1.2767063623498878,
    0.5765679716998565,
    -0.11846249553190992,
    -0.026215102254968134,
    0.01743087036175781,
    0.0025247951656585735,
    -0.002514066486749472,
    -0.0005371139240417786,
    0.0002808846345042142,
    8.886157222733193e-05,
)


FAR = 40.0  # There φ is 0 in float64.


def density_and_tail(
    a: Float[Array, "*s"],
) -> tuple[Float[Array, "*s"], Float[Array, "*s"]]:
    """φ(a) and Φ(-a) for a ≥ 0 in float32 or float64.

    Example:
        >>> density_and_tail(jnp.array([0.0]))
        (Array([0.3989...], dtype=float32), Array([0.5...], dtype=float32))
    """
    density = jnp.exp(-a * a / 2) * (2 * pi) ** -0.5  # (1)
    if a.dtype == jnp.float64:
        return density, lax.erfc(a * 0.5**0.5) / 2  # (2)
    r = 1 / (3 + a)
    t = 1 - 6 * r
    polynomial = jnp.full_like(t, MILLS[-1])
    for coefficient in MILLS[-2::-1]:
        polynomial = polynomial * t + coefficient  # (3)
    return density, density * (r * polynomial)  # (2)


def gated_value(x: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """Equation (4) in float32 or float64; autodiff of this form finds 1/2 at 0."""
    _, tail = density_and_tail(jnp.maximum(x, -x))
    return x * jnp.where(x < 0, tail, 1 - tail)  # (4)


def gated_slope(x: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """Equation (5) in float32 or float64."""
    size = jnp.minimum(jnp.abs(x), FAR)
    density, tail = density_and_tail(size)
    s = tail - size * density  # (5)
    return jnp.where(x < 0, s, 1 - s)  # (5)
