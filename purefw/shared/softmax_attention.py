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
    (6)  c_ts   = dw_ts - Σ_u w_tu dw_tu
    (7)  dz_ts  = w_ts (c_ts - Σ_u w_tu c_tu)
    (8)  dq_th  = a Σ_s dz_ts k_sh
    (9)  dk_sh  = a Σ_t dz_ts q_th

(4), (5): (3) is bilinear. (7): for allowed s and u, ∂w_ts/∂z_tu = w_ts (δ_su - w_tu),
which is symmetric; applied to dw it is blind to a constant taken from a row of dw,
because Σ_u w_tu = 1. (6) takes the mean itself; the second mean in (7) is 0 but for
what the first one lost where one weight is nearly 1, as in purefw.layers.softmax. Where
a pair is not allowed w is the constant 0 and the factor w makes (7) vanish, so backward
looks at the mask only to form w. The maximum in (2) cancels and has no derivative of
its own. (8), (9): (1) is bilinear; the same a stands in all three.
A query with no allowed key: every w_ts is 0, so y_t = 0, and by (7) it sends no
gradient anywhere. (jax.nn.dot_product_attention gives the mean of all values there.)
Grouped queries: with M key heads for N = M r query heads, query head n reads key head
n // r. A key head is then broadcast over r query heads, so (4) and (9) sum over them.
Memory and time: no weight is kept, only the maximum and the sum of (2), two floats a
query; backward computes (1) and (2) again, one product more than the six that are
needed. Both passes go through the queries in at most BLOCKS blocks of QUERIES or more,
and causal ones leave out the keys after a block, which saves almost half of all
products. On a CPU one key head is computed after the other, so that the weights that
live at a time are QUERIES S of one head, and fit into a cache. Elsewhere all heads are
computed at once, and all queries too while a key head has at most WEIGHTS weights: one
large product keeps a GPU busy, eight small ones do not; and where forward and backward
stand in one program its compiler may keep z instead of computing it twice.
Precision: for 16-bit inputs z, w and dz are float32, as in
jax.nn.dot_product_attention; w and dz are rounded to the inputs' dtype as factors of
the products (3), (4), (8), (9), which accumulate in float32.
Invariants: Σ_s w_ts is 1 or 0; y is linear in the values; adding one vector to all keys
moves every z_ts of a query equally and leaves y alone, so Σ_s dk_s = 0, whatever the
mask: Σ_s dz_ts = 0 for each t.

Reference: Vaswani et al., "Attention Is All You Need", 2017, arXiv:1706.03762; grouped
queries: Ainslie et al., 2023, arXiv:2305.13245.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Shaped

from purefw.shared.platform import on_cpu
from purefw.shared.precision import wide
from purefw.shared.recomputation import again_on_cpu, once

QUERIES, BLOCKS = 128, 8
WEIGHTS = 2**22  # 16 MB of float32 a key head


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
    """What `attend_backward` needs: the inputs, and two floats a query and head."""

    x: AttentionInput
    top: Float[Array, "b t m r 1"]
    total: Float[Array, "b t m r 1"]


def padding_mask(lengths: Shaped[Array, " b"], steps: int) -> Bool[Array, "b 1 1 s"]:
    """The mask that hides keys at or beyond each sequence's length.

    A length above `steps` hides nothing, one below 0 everything.

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


def attend(
    x: AttentionInput, *, causal: bool
) -> tuple[Float[Array, "b t n v"], AttentionResiduals]:
    """Equations (1) to (3) on queries, keys and values that have heads."""
    heads = _Heads(*_by_key_head(x))
    y, top, total = over_heads(partial(_head, causal=causal), heads)
    y = y.reshape(*x.queries.shape[:-1], x.values.shape[-1])
    return y, AttentionResiduals(x, top, total)


def attend_backward(
    residuals: AttentionResiduals, dy: Float[Array, "b t n v"], *, causal: bool
) -> tuple[Float[Array, "b t n h"], Float[Array, "b s m h"], Float[Array, "b s m v"]]:
    """Equations (1), (2) and (4) to (9): dqueries, dkeys, dvalues."""
    (x, top, total), dy = again_on_cpu(residuals, dy)
    rest = _grouped(dy, x.keys.shape[2]), top, total
    heads = _Heads(*_by_key_head(x), *rest)
    dq, dk, dv = over_heads(partial(_head_backward, causal=causal), heads)
    return dq.reshape(x.queries.shape), dk, dv


def over_heads(f: Callable, heads: Any) -> Any:
    """f of each key head of each sequence: axes 0 and 2 of the arrays, in and out.

    Axes of length 1 in the mask serve all. See the module for the order.
    """
    batch, n = heads.keys.shape[0], heads.keys.shape[2]
    if not on_cpu():
        whole = jax.tree.map(lambda u: _whole(u, batch, n), heads)
        return jax.vmap(jax.vmap(f, 1, 1))(whole)

    def one(i):
        first = jax.tree.map(lambda u: _row(u, i // n, 0), heads)
        return f(jax.tree.map(lambda u: _row(u, i % n, 1), first))

    def place(i, out):
        def into(o, v):
            return lax.dynamic_update_slice(
                o, v[None, :, None], (i // n, 0, i % n, *(0,) * (v.ndim - 1))
            )

        return jax.tree.map(into, out, one(i))

    out = jax.tree.map(
        lambda v: jnp.zeros((batch, v.shape[0], n, *v.shape[1:]), v.dtype),
        jax.eval_shape(one, 0),
    )
    return lax.fori_loop(0, batch * n, place, out)


class _Heads(NamedTuple):
    """What a pass reads, by key head; r query heads share one."""

    queries: Float[Array, "b t m r h"]
    keys: Float[Array, "b s m h"]
    values: Float[Array, "b s m v"]
    mask: Bool[Array, "b t m r s"] | None
    dy: Float[Array, "b t m r v"] | None = None
    top: Float[Array, "b t m r 1"] | None = None
    total: Float[Array, "b t m r 1"] | None = None


def _by_key_head(x: AttentionInput) -> tuple:
    m, mask = x.keys.shape[2], x.mask
    if mask is not None:
        groups = (m, mask.shape[1] // m) if mask.shape[1] > 1 else (1, 1)
        mask = mask.reshape(mask.shape[0], *groups, *mask.shape[2:])
        mask = jnp.moveaxis(mask, 3, 1)
    return _grouped(x.queries, m), x.keys, x.values, mask


def _head(
    x: _Heads, *, causal: bool
) -> tuple[Float[Array, "t r v"], Float[Array, "t r 1"], Float[Array, "t r 1"]]:
    """Equations (1) to (3) of one key head, block by block."""
    blocks = []
    for rows, seen in _blocks(x, causal):
        z = _logits(x, rows, seen, causal)  # (1)
        top = jnp.max(z, axis=-1, keepdims=True)
        top = once(jnp.where(top == -jnp.inf, 0, top))
        e = jnp.exp(z - top)
        total = jnp.sum(e, axis=-1, keepdims=True)
        total = once(jnp.where(total == 0, 1, total))
        w = (e * (1 / total)).astype(x.values.dtype)  # (2)
        blocks.append((_product("trs,sv->trv", w, x.values[:seen]), top, total))  # (3)
    return tuple(jnp.concatenate(parts) for parts in zip(*blocks))


def _head_backward(
    x: _Heads, *, causal: bool
) -> tuple[Float[Array, "t r h"], Float[Array, "s h"], Float[Array, "s v"]]:
    """Equations (1), (2) and (4) to (9) of one key head, block by block."""
    dtype, scale = x.keys.dtype, x.keys.shape[-1] ** -0.5
    dkeys, dvalues = (jnp.zeros_like(wide(v)) for v in (x.keys, x.values))
    dqueries = []
    for rows, seen in _blocks(x, causal):
        q, k, v, dy = x.queries[rows], x.keys[:seen], x.values[:seen], x.dy[rows]
        z = _logits(x, rows, seen, causal)  # (1)
        w = jnp.exp(z - x.top[rows]) * once(1 / x.total[rows])  # (2)
        dv = _product("trs,trv->sv", w.astype(dtype), dy, dvalues.dtype)
        dvalues = dvalues.at[:seen].add(dv)  # (4)
        dw = _product("trv,sv->trs", dy, v, w.dtype)  # (5)
        c = dw - once(jnp.sum(w * dw, axis=-1, keepdims=True))  # (6)
        dz = w * (c - once(jnp.sum(w * c, axis=-1, keepdims=True)))  # (7)
        dz = (scale * dz).astype(dtype)
        dqueries.append(_product("trs,sh->trh", dz, k))  # (8)
        dkeys = dkeys.at[:seen].add(_product("trs,trh->sh", dz, q, dkeys.dtype))  # (9)
    return jnp.concatenate(dqueries), dkeys.astype(dtype), dvalues.astype(dtype)


def _blocks(x: _Heads, causal: bool) -> list[tuple[slice, int]]:
    """The queries of each block, and how many keys they may see."""
    (steps, group, _), keys = x.queries.shape, x.keys.shape[0]
    size = max(QUERIES, -(-steps // BLOCKS))
    if not on_cpu() and steps * group * keys <= WEIGHTS:
        size = steps
    starts = range(0, steps, size)
    rows = [slice(start, min(start + size, steps)) for start in starts]
    return [(r, min(r.stop, keys) if causal else keys) for r in rows]


def _logits(x: _Heads, rows: slice, seen: int, causal: bool) -> Float[Array, "t r s"]:
    """Equation (1); -inf where a pair is not allowed."""
    q, k = x.queries[rows], x.keys[:seen]
    z = _product("trh,sh->trs", q, k, wide(q).dtype) * k.shape[-1] ** -0.5  # (1)
    allowed = None
    if causal:
        t = lax.broadcasted_iota(int, z.shape, 0) + rows.start
        allowed = lax.broadcasted_iota(int, z.shape, 2) <= t
    if x.mask is not None:
        mask = x.mask[rows] if x.mask.shape[0] > 1 else x.mask
        mask = jnp.broadcast_to(mask[..., :seen], z.shape)
        allowed = mask if allowed is None else allowed & mask
    if allowed is None:
        return z
    return jnp.where(allowed, z, -jnp.inf)


def _grouped(v: Float[Array, "b t n h"], m: int) -> Float[Array, "b t m r h"]:
    """Query heads as m groups, one for each key head."""
    return v.reshape(*v.shape[:2], m, v.shape[2] // m, v.shape[3])


def _row(u: Array, i: Any, axis: int) -> Array:
    """Row i of an axis; the only one where the length is 1."""
    return lax.dynamic_index_in_dim(u, i, axis, keepdims=False)


def _whole(u: Array, batch: int, n: int) -> Array:
    return jnp.broadcast_to(u, (batch, u.shape[1], n, *u.shape[3:]))


def _product(axes: str, a: Array, b: Array, dtype=None) -> Array:
    return jnp.einsum(axes, a, b, preferred_element_type=dtype or a.dtype)
