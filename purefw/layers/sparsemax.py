"""Sparsemax: the nearest point of the probability simplex, along the last axis.

b counts rows (any number of leading axes); i, j the n entries of a row; u_b1 >= u_b2 >=
... is a row of z in descending order, k a place in it.

    (1)  z_bi   = x_bi - max_j x_bj
    (2)  K_b    = the number of k with 1 + k u_bk > Σ_{j<=k} u_bj
    (3)  tau_b  = (Σ_{k<=K} u_bk - 1) / K_b
    (4)  y_bi   = max(z_bi - tau_b, 0)

    (5)  S_b    = {i: z_bi > tau_b}, the support, of K_b entries
    (6)  dx_bi  = dy_bi - (Σ_{j in S} dy_bj) / K_b if i in S_b else 0

(1) to (4): y minimises Σ_i (y_i - x_i)² over y >= 0, Σ_i y_i = 1. The multiplier of the
sum is the threshold: y_i = max(x_i - tau, 0), and Σ y = 1 over the K largest entries
gives (3). k belongs to the support iff u_k exceeds the threshold of the first k, which
is (2) multiplied out; if it fails for one k it fails for all later ones. (1) shifts x
and tau alike and keeps the digits of a large x.
(6): on S, y_i = z_i - tau with ∂tau/∂z_j = 1/K for j in S, hence ∂y_i/∂z_j = δ_ij -
1/K, which is symmetric; all else is 0. The maximum of (1) cancels, and so do its ties.
Kink: where z_i = tau the support may or may not hold i; the rule leaves it out, so that
dx_i = 0.
Invariants: rows of y sum to 1; adding a constant to a row of x leaves y alone, so every
row of dx sums to 0; dx is 0 wherever y is, and dy there has no effect.
Entries of -inf (masked) get y = 0 and dx = 0, and so does a whole row of them.
Precision: 16-bit x is computed in float32 and rounded once; S is taken before that.

Reference: Martins and Astudillo, "From softmax to sparsemax", 2016, arXiv:1602.02068.
"""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from purefw.rule import Rule
from purefw.shared.last_axis import check_last_axis
from purefw.shared.precision import wide
from purefw.shared.structure import no_params


def sparsemax() -> Rule[tuple, Bool[Array, "*b n"]]:
    """The rule on x of shape (..., n), n >= 1; its residual is one byte an entry.

    Raises:
        ValueError: in `forward`, x has no last axis or nothing along it.

    Example:
        >>> y, residuals = sparsemax().forward((), jnp.array([0.0, 1.0, 1.5]))
        >>> y
        Array([0.  , 0.25, 0.75], dtype=float32)
        >>> sparsemax().backward(residuals, jnp.array([1.0, 2.0, 4.0]))[1]
        Array([ 0., -1.,  1.], dtype=float32)
    """
    return Rule("sparsemax", no_params, forward, backward)


def forward(
    params: tuple, x: Float[Array, "*b n"]
) -> tuple[Float[Array, "*b n"], Bool[Array, "*b n"]]:
    """Equations (1) to (5); the residual is the support."""
    del params
    check_last_axis("sparsemax", x)
    z = wide(x)
    m = jnp.max(z, axis=-1, keepdims=True)
    z = z - jnp.where(m == -jnp.inf, 0, m)  # (1)
    tau = _threshold(z)
    y = jnp.where(z <= tau, 0, z - tau)  # (4)
    return y.astype(x.dtype), z > tau  # (5)


def backward(
    residuals: Bool[Array, "*b n"], dy: Float[Array, "*b n"]
) -> tuple[tuple, Float[Array, "*b n"]]:
    """Equation (6)."""
    support = residuals
    within = jnp.where(support, wide(dy), 0)
    count = jnp.sum(support.astype(within.dtype), axis=-1, keepdims=True)
    mean = jnp.sum(within, axis=-1, keepdims=True) / jnp.maximum(count, 1)
    dx = jnp.where(support, within - mean, 0)  # (6)
    return (), dx.astype(dy.dtype)


def _threshold(z: Float[Array, "*b n"]) -> Float[Array, "*b 1"]:
    """Equations (2) and (3); -inf for a row of -inf alone."""
    u = jnp.sort(z, axis=-1, descending=True)
    k = 1 + lax.broadcasted_iota(u.dtype, u.shape, u.ndim - 1)
    kept = 1 + k * u > jnp.cumsum(u, axis=-1)
    count = jnp.sum(kept.astype(u.dtype), axis=-1, keepdims=True)  # (2)
    return (jnp.sum(jnp.where(kept, u, 0), axis=-1, keepdims=True) - 1) / count  # (3)
