"""Scaled dot-product attention: each query reads a weighted mean of values.

(b, t, n) names a query, head n of position t; A is the set of pairs (t, s) that may
meet. The softmax weights, their derivation and their limits stand in
purefw.shared.softmax_attention, whose equations are applied head by head.

    (1)  y_btn                 = Σ_s w_ts(q, k, A_bn) v_s
    (2)  dqueries, dkeys, dvalues from dy_btn and the weights
    (3)  the mask has no cotangent: dmask is float0

A_bn is mask_bn, and s ≤ t where causal. Causal counts both positions from the start, as
jax.nn and torch do, so with fewer queries than keys the last keys are never read.
Grouped queries: keys and values with fewer heads than the queries, a divisor of theirs.
"""

from functools import partial

from jaxtyping import Array, Float

from purefw.rule import Rule
from purefw.shared.softmax_attention import (
    AttentionInput,
    AttentionResiduals,
    attend,
    attend_backward,
    check_mask,
)
from purefw.shared.structure import no_cotangent, no_params


def attention(*, causal: bool = False) -> Rule[tuple, AttentionResiduals]:
    """Attention without projections, on queries, keys and values that have heads.

    Args:
        causal: Whether a query reads only keys of its own position and before.

    Returns:
        A rule on AttentionInput with queries (batch, T, heads, h), keys
        (batch, S, key_heads, h) and values (batch, S, key_heads, v), where key_heads
        divides heads; y is (batch, T, heads, v). Its residuals hold the inputs and
        two floats a query and head.

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
        backward=partial(backward, causal=causal),
    )


def forward(
    params: tuple, x: AttentionInput, *, causal: bool
) -> tuple[Float[Array, "b t n v"], AttentionResiduals]:
    """Equation (1)."""
    del params
    _check(x)
    return attend(x, causal=causal)  # (1)


def backward(
    residuals: AttentionResiduals, dy: Float[Array, "b t n v"], *, causal: bool
) -> tuple[tuple, AttentionInput]:
    """Equations (2) and (3)."""
    mask = residuals.x.mask
    dmask = None if mask is None else no_cotangent(mask.shape)  # (3)
    parts = attend_backward(residuals, dy, causal=causal)  # (2)
    return (), AttentionInput(*parts, dmask)


def _check(x: AttentionInput) -> None:
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
    check_mask("attention", x.mask, (q[0], q[2], q[1], k[1]))
