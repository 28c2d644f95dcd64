"""Multi-head attention: projections into heads, attention in each, one projection back.

The three inputs are rows of n_features numbers; N heads have h = n_features / N each,
M of them for keys and values (M divides N; M < N is grouped-query attention).

    (1)  q = Q(queries), k = K(keys), v = V(values), each split into heads
    (2)  q_t = R_t q_t, k_s = R_s k_s    where rotary: purefw.shared.rotation
    (3)  y_bt = Σ_s w_ts v_s             head by head: purefw.shared.softmax_attention
    (4)  out  = O(y, heads joined)

    (5)  dy from dout through O
    (6)  dq, dk, dv from dy
    (7)  dq_t = R_tᵀ dq_t, dk_s = R_sᵀ dk_s  where rotary
    (8)  dqueries, dkeys, dvalues from dq, dk, dv through Q, K, V

Q, K, V and O are affine maps: purefw.shared.affine. (5) to (8) are (4) to (1) in
reverse, each transposed; R_t is orthogonal, so its transpose turns by -t.
Self-attention reads one array three times, cross-attention reads keys and values of
another sequence; either way the caller's three cotangents are kept apart here, and
queries_keys_values sums them.
Limits: a query with no allowed key attends to nothing, so its output is the bias of O
and it sends no gradient before O. A bias on K moves every z_ts of a query equally, so
without rotation its gradient is 0 up to rounding.
"""

from functools import partial
from typing import NamedTuple

import jax
from jaxtyping import Array, Float, Key

from purefw.rule import Rule
from purefw.shared.affine import Affine, affine, affine_backward, init_affine
from purefw.shared.rotation import check_rotation, rotate
from purefw.shared.softmax_attention import (
    AttentionInput,
    AttentionResiduals,
    attend,
    attend_backward,
    check_mask,
)
from purefw.shared.structure import no_cotangent


class MultiHeadParams(NamedTuple):
    """The four projections; the heads are blocks of columns of the first three."""

    queries: Affine
    keys: Affine
    values: Affine
    output: Affine


class MultiHeadResiduals(NamedTuple):
    """The inputs, their heads, two floats a query and head, and what O projects."""

    x: AttentionInput
    attended: AttentionResiduals
    y: Float[Array, "b t i"]
    params: MultiHeadParams


def multi_head_attention(
    width: int,
    heads: int,
    *,
    key_heads: int | None = None,
    causal: bool = False,
    bias: bool = True,
    rotary_base: float | None = None,
) -> Rule[MultiHeadParams, MultiHeadResiduals]:
    """Attention with learned projections: self, cross, multi-head or grouped-query.

    Args:
        width: Features of queries, keys, values and y. A multiple of `heads`.
        heads: Query heads. At least 1.
        key_heads: Heads of keys and values, a divisor of `heads`; as many where None.
        causal: Whether a query reads only keys of its own position and before.
        bias: Whether the projections have one.
        rotary_base: Turns queries and keys by their positions, as rotary_embedding
            of this base does; None does not.

    Returns:
        A rule on AttentionInput with queries (batch, T, width), keys and values
        (batch, S, width); y is (batch, T, width). Its residuals hold the inputs, the
        projected heads and two floats a query and head.

    Raises:
        ValueError: heads that do not divide, an odd head with rotation, or `forward`
            gets shapes that do not fit or a mask that is not boolean.

    Example:
        >>> import jax.numpy as jnp
        >>> rule = multi_head_attention(6, 3, causal=True)
        >>> x = jnp.ones((2, 5, 6))
        >>> params = rule.init(jax.random.key(0))
        >>> rule.apply(params, AttentionInput(x, x, x, None)).shape
        (2, 5, 6)
    """
    key_heads = heads if key_heads is None else key_heads
    if heads < 1 or width < 1 or width % heads:
        raise ValueError(
            f"multi_head_attention: heads must divide width {width}, got {heads}"
        )
    if key_heads < 1 or heads % key_heads:
        raise ValueError(
            f"multi_head_attention: key_heads must divide heads {heads}, "
            f"got {key_heads}"
        )
    if rotary_base is not None:
        check_rotation("multi_head_attention", width // heads, rotary_base)
    return Rule(
        name="multi_head_attention",
        init=partial(init, width=width, heads=heads, key_heads=key_heads, bias=bias),
        forward=partial(
            forward,
            heads=heads,
            key_heads=key_heads,
            causal=causal,
            rotary_base=rotary_base,
        ),
        backward=partial(backward, causal=causal, rotary_base=rotary_base),
    )


def init(
    key: Key[Array, ""], *, width: int, heads: int, key_heads: int, bias: bool
) -> MultiHeadParams:
    """Four affine maps: weights N(0, 1/width), biases zero."""
    narrow = width // heads * key_heads
    keys = jax.random.split(key, 4)
    n_out = (width, narrow, narrow, width)
    return MultiHeadParams(
        *(init_affine(k, width, n, bias) for k, n in zip(keys, n_out))
    )


def forward(
    params: MultiHeadParams,
    x: AttentionInput,
    *,
    heads: int,
    key_heads: int,
    causal: bool,
    rotary_base: float | None,
) -> tuple[Float[Array, "b t i"], MultiHeadResiduals]:
    """Equations (1) to (4)."""
    _check(x, params.queries.weight.shape[0])
    queries, keys, values, mask = x
    q = _split(affine(params.queries, queries), heads)  # (1)
    k = _split(affine(params.keys, keys), key_heads)  # (1)
    v = _split(affine(params.values, values), key_heads)  # (1)
    if rotary_base is not None:
        q, k = rotate(q, rotary_base), rotate(k, rotary_base)  # (2)
    full = (q.shape[0], heads, q.shape[1], k.shape[1])
    check_mask("multi_head_attention", mask, full)
    y, attended = attend(AttentionInput(q, k, v, mask), causal=causal)  # (3)
    y = _join(y)
    residuals = MultiHeadResiduals(x._replace(mask=None), attended, y, params)
    return affine(params.output, y), residuals  # (4)


def backward(
    residuals: MultiHeadResiduals,
    dy: Float[Array, "b t i"],
    *,
    causal: bool,
    rotary_base: float | None,
) -> tuple[MultiHeadParams, AttentionInput]:
    """Equations (5) to (8)."""
    x, attended, y, params = residuals
    doutput, djoined = affine_backward(params.output, y, dy)  # (5)
    n, mask = attended.x.queries.shape[2], attended.x.mask
    dq, dk, dv = attend_backward(attended, _split(djoined, n), causal=causal)  # (6)
    if rotary_base is not None:
        dq = rotate(dq, rotary_base, inverse=True)  # (7)
        dk = rotate(dk, rotary_base, inverse=True)  # (7)
    dqueries, dx_q = affine_backward(params.queries, x.queries, _join(dq))  # (8)
    dkeys, dx_k = affine_backward(params.keys, x.keys, _join(dk))  # (8)
    dvalues, dx_v = affine_backward(params.values, x.values, _join(dv))  # (8)
    dmask = None if mask is None else no_cotangent(mask.shape)
    dparams = MultiHeadParams(dqueries, dkeys, dvalues, doutput)
    return dparams, AttentionInput(dx_q, dx_k, dx_v, dmask)


def _split(v: Float[Array, "b t i"], heads: int) -> Float[Array, "b t n h"]:
    return v.reshape(*v.shape[:2], heads, v.shape[2] // heads)


def _join(v: Float[Array, "b t n h"]) -> Float[Array, "b t i"]:
    return v.reshape(*v.shape[:2], v.shape[2] * v.shape[3])


def _check(x: AttentionInput, width: int) -> None:
    q, k, v = x.queries.shape, x.keys.shape, x.values.shape
    if len(q) != 3 or len(k) != 3 or q[2] != width or k[2] != width:
        raise ValueError(
            f"multi_head_attention: queries and keys must have shape "
            f"(batch, time, {width}), got {q} and {k}"
        )
    if k != v or q[0] != k[0]:
        raise ValueError(
            "multi_head_attention: keys and values must have one shape, and the "
            f"queries' batch, got {q}, {k} and {v}"
        )
