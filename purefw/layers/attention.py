"""Scaled dot-product attention: each query reads a weighted mean of values.

(b, t, n) names a query, head n of position t; A is the set of pairs (t, s) that may
meet. The softmax weights, their derivation and their limits stand in
purefw.softmax_attention, whose equations are applied head by head.

    (1)  A_bn                  = mask_bn, and s ≤ t where causal
    (2)  y_btn                 = Σ_s w_ts(q, k, A) v_s
    (3)  dqueries, dkeys, dvalues from dy_btn and the weights
    (4)  the mask has no cotangent: dmask is float0

(1): causal counts both positions from the start, as jax.nn and torch do, so with fewer
queries than keys the last keys are never read.
Grouped queries: keys and values with fewer heads than the queries, a divisor of theirs.
"""

from functools import partial
from typing import NamedTuple

from jaxtyping import Array, Float

from purefw.rule import Rule
from purefw.softmax_attention import (
    AttentionInput,
    AttentionResiduals,
    allowed_pairs,
    attend,
    attend_backward,
    check_mask,
)
from purefw.structure import Static, no_cotangent, no_params


class AttentionRuleResiduals(NamedTuple):
    """The inputs, T S weights a head, and the shape of the mask."""

    attended: AttentionResiduals
    mask_shape: Static


def attention(*, causal: bool = False) -> Rule[tuple, AttentionRuleResiduals]:
    """Attention without projections, on queries, keys and values that have heads.

    Args:
        causal: Whether a query reads only keys of its own position and before.

    Returns:
        A rule on AttentionInput with queries (batch, T, heads, h), keys
        (batch, S, key_heads, h) and values (batch, S, key_heads, v), where key_heads
        divides heads; y is (batch, T, heads, v). Its residuals hold the inputs and
        batch * heads * T * S weights, in float32 for 16-bit inputs.

    Raises:
        ValueError: in `forward`, shapes that do not fit, or a mask that is not boolean.

    Example:
        >>> import jax.numpy as jnp
        >>> x = jnp.arange(6.0).reshape(1, 3, 1, 2)
        >>> attention(causal=True).apply((), AttentionInput(x, x, x, None))[0, 0, 0]
        Array([0., 1.], dtype=float32)
    """
    return Rule(
        name="causal attention" if causal else "attention",
        init=no_params,
        forward=partial(forward, causal=causal),
        backward=backward,
    )


def forward(
    params: tuple, x: AttentionInput, *, causal: bool
) -> tuple[Float[Array, "b t n v"], AttentionRuleResiduals]:
    """Equations (1) and (2)."""
    del params
    full = _check(x)
    allowed = allowed_pairs(x.mask, causal, full)  # (1)
    y, attended = attend(x.queries, x.keys, x.values, allowed)  # (2)
    shape = None if x.mask is None else x.mask.shape
    return y, AttentionRuleResiduals(attended, Static(shape))


def backward(
    residuals: AttentionRuleResiduals, dy: Float[Array, "b t n v"]
) -> tuple[tuple, AttentionInput]:
    """Equations (3) and (4)."""
    shape = residuals.mask_shape.value
    dmask = None if shape is None else no_cotangent(shape)  # (4)
    return (), AttentionInput(*attend_backward(residuals.attended, dy), dmask)  # (3)


def _check(x: AttentionInput) -> tuple[int, int, int, int]:
    """The shape (batch, heads, T, S) of the weights, if the parts of x fit."""
    q, k, v = x.queries.shape, x.keys.shape, x.values.shape
    if len(q) != 4 or len(k) != 4 or len(v) != 4:
        raise ValueError(
            "attention: x must hold arrays (batch, time, heads, width), "
            f"got {q}, {k} and {v}"
        )
    if k[:3] != v[:3] or q[0] != k[0] or q[3] != k[3]:
        raise ValueError(
            "attention: keys and values must share batch, time and heads, and queries "
            f"and keys batch and width, got {q}, {k} and {v}"
        )
    if q[2] % k[2]:
        raise ValueError(
            f"attention: key heads must divide the {q[2]} query heads, got {k[2]}"
        )
    full = (q[0], q[2], q[1], k[1])
    check_mask("attention", x.mask, full)
    return full
