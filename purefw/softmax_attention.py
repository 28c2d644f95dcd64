"""Softmax-weighted means of values: what every attention rule computes.

t counts the T queries, s and u the S keys, h the H features of a query and of a key, v
those of a value; the batch and the heads are left out of the algebra. Which pairs
(t, s) are allowed is given. a = H^(-1/2).

    (1)  z_ts   = a Σ_h q_th k_sh
    (2)  w_ts   = exp(z_ts - max_s z_ts) / Σ_s exp(z_ts - max_s z_ts)
                  over the allowed s; 0 elsewhere
    (3)  y_tv   = Σ_s w_ts v_sv

    (4)  dv_sv  = Σ_t w_ts dy_tv
    (5)  dw_ts  = Σ_v dy_tv v_sv
    (6)  c_ts   = dw_ts - dw_tk                     k the first s of largest w_ts
    (7)  dz_ts  = w_ts (c_ts - Σ_u w_tu c_tu)
    (8)  dq_th  = a Σ_s dz_ts k_sh
    (9)  dk_sh  = a Σ_t dz_ts q_th

(4), (5): (3) is bilinear. (7): for allowed s and u, ∂w_ts/∂z_tu = w_ts (δ_su - w_tu),
which is symmetric; applied to dw it is blind to a constant taken from a row of dw, as
(6) does, because Σ_u w_tu = 1. With it (7) sums small terms only where w_tk is nearly
1, as in purefw.layers.softmax. Where a pair is not allowed w is the constant 0 and the
factor w makes (7) vanish, so backward needs no mask. The maximum in (2) cancels and has
no derivative of its own. (8), (9): (1) is bilinear; the same a stands in all three.
A query with no allowed key: every w_ts is 0, so y_t = 0, and by (7) it sends no
gradient anywhere. (jax.nn.dot_product_attention gives the mean of all values there.)
Grouped queries: with M key heads for N = M r query heads, query head n reads key head
n // r. A key head is then broadcast over r query heads, so (4) and (9) sum over them.
Precision: for 16-bit inputs z, w and dz are float32, as in
jax.nn.dot_product_attention; w and dz are rounded to the inputs' dtype as factors of
the products (3), (4), (8), (9), which accumulate in float32.
Invariants: Σ_s w_ts is 1 or 0; y is linear in the values; adding one vector to all keys
moves every z_ts of a query equally and leaves y alone, so Σ_s dk_s = 0, whatever the
mask: Σ_s dz_ts = 0 for each t.

Reference: Vaswani et al., "Attention Is All You Need", 2017, arXiv:1706.03762; grouped
queries: Ainslie et al., 2023, arXiv:2305.13245.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Shaped

from purefw.precision import wide


class AttentionInput(NamedTuple):
    """What an attention rule reads.

    Attributes:
        queries: Who asks. (batch, T, ...).
        keys: What is compared with the queries. (batch, S, ...).
        values: What is averaged, one for each key. (batch, S, ...).
        mask: None, or which pairs may meet: (batch, heads, T, S), where an axis that
            does not matter has length 1. True lets a query read a key.
    """

    queries: Float[Array, "b t *q"]
    keys: Float[Array, "b s *k"]
    values: Float[Array, "b s *v"]
    mask: Shaped[Array, "*m"] | None


class AttentionResiduals(NamedTuple):
    """What `attend_backward` needs: T S weights a head, float32 or wider."""

    queries: Float[Array, "b t n h"]
    keys: Float[Array, "b s m h"]
    values: Float[Array, "b s m v"]
    weights: Float[Array, "b m r t s"]


def padding_mask(lengths: Shaped[Array, " b"], steps: int) -> Bool[Array, "b 1 1 s"]:
    """The mask that hides keys at or beyond each sequence's length.

    Example:
        >>> padding_mask(jnp.array([1, 3]), 3)[:, 0, 0]
        Array([[ True, False, False],
               [ True,  True,  True]], dtype=bool)
    """
    steps_of_row = jnp.arange(steps, dtype=lengths.dtype)[None, :]
    return (steps_of_row < lengths[:, None])[:, None, None, :]


def check_mask(who: str, mask: Array | None, full: tuple[int, ...]) -> None:
    """Raise ValueError unless `mask` is None, or boolean and `full` up to ones."""
    if mask is None:
        return
    fits = mask.ndim == 4 and all(m in (1, f) for m, f in zip(mask.shape, full))
    if not fits or mask.dtype != jnp.bool_:
        raise ValueError(
            f"{who}: mask must be boolean of shape {full}, or with 1 for any axis, "
            f"got {mask.dtype} of shape {mask.shape}"
        )


def allowed_pairs(
    mask: Bool[Array, "*m"] | None, causal: bool, full: tuple[int, ...]
) -> Bool[Array, "b n t s"]:
    """The pairs that may meet: those of the mask and, where causal, with s ≤ t."""
    allowed = jnp.ones(full, bool)
    if mask is not None:
        allowed &= jnp.broadcast_to(mask, full)
    if causal:
        allowed &= jnp.broadcast_to(jnp.tri(*full[2:], dtype=bool), full)
    return allowed


def attend(
    queries: Float[Array, "b t n h"],
    keys: Float[Array, "b s m h"],
    values: Float[Array, "b s m v"],
    allowed: Bool[Array, "b n t s"],
) -> tuple[Float[Array, "b t n v"], AttentionResiduals]:
    """Equations (1) to (3)."""
    z = _logits(queries, keys)  # (1)
    weights = _masked_softmax(z, allowed.reshape(z.shape))  # (2)
    w = weights.astype(values.dtype)
    y = _product("bmrts,bsmv->btmrv", w, values)  # (3)
    y = y.reshape(*queries.shape[:-1], values.shape[-1])
    return y, AttentionResiduals(queries, keys, values, weights)


def attend_backward(
    residuals: AttentionResiduals, dy: Float[Array, "b t n v"]
) -> tuple[Float[Array, "b t n h"], Float[Array, "b s m h"], Float[Array, "b s m v"]]:
    """Equations (4) to (9): dqueries, dkeys, dvalues."""
    queries, keys, values, weights = residuals
    dtype, scale = keys.dtype, keys.shape[-1] ** -0.5
    m = keys.shape[2]
    dy = _grouped(dy, m)
    dvalues = _product("bmrts,btmrv->bsmv", weights.astype(dtype), dy)  # (4)
    dweights = _product("btmrv,bsmv->bmrts", dy, values, weights.dtype)  # (5)
    k = jnp.argmax(weights, axis=-1, keepdims=True)
    c = dweights - jnp.take_along_axis(dweights, k, axis=-1)  # (6)
    dz = weights * (c - jnp.sum(weights * c, axis=-1, keepdims=True))  # (7)
    dz = (scale * dz).astype(dtype)
    dqueries = _product("bmrts,bsmh->btmrh", dz, keys).reshape(queries.shape)  # (8)
    dkeys = _product("bmrts,btmrh->bsmh", dz, _grouped(queries, m))  # (9)
    return dqueries, dkeys, dvalues


def _logits(
    queries: Float[Array, "b t n h"], keys: Float[Array, "b s m h"]
) -> Float[Array, "b m r t s"]:
    grouped = _grouped(queries, keys.shape[2])
    z = _product("btmrh,bsmh->bmrts", grouped, keys, wide(queries).dtype)
    return z * keys.shape[-1] ** -0.5


def _masked_softmax(
    z: Float[Array, "*b s"], allowed: Bool[Array, "*b s"]
) -> Float[Array, "*b s"]:
    """Equation (2); a row without an allowed entry is 0."""
    nothing = jnp.full_like(z, -jnp.inf)
    top = jnp.max(jnp.where(allowed, z, nothing), axis=-1, keepdims=True)
    top = jnp.where(jnp.any(allowed, axis=-1, keepdims=True), top, jnp.zeros_like(top))
    e = jnp.exp(jnp.where(allowed, z - jnp.broadcast_to(top, z.shape), nothing))
    total = jnp.sum(e, axis=-1, keepdims=True)
    total = jnp.where(total == 0, jnp.ones_like(total), total)
    return e / jnp.broadcast_to(total, z.shape)


def _grouped(v: Float[Array, "b t n h"], m: int) -> Float[Array, "b t m r h"]:
    """Query heads as m groups, one for each key head."""
    return v.reshape(*v.shape[:2], m, v.shape[2] // m, v.shape[3])


def _product(axes: str, a: Array, b: Array, dtype=None) -> Array:
    return jnp.einsum(axes, a, b, preferred_element_type=dtype or a.dtype)
