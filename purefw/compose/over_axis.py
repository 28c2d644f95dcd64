"""A rule of the last axis, applied along another.

    (1)  y  = move back(f(params, move(x)))       move: the axis to the end
    (2)  dx = move back(df),   (dparams, df) = backward of f applied to move(dy)

(2): moving an axis permutes the entries; its transpose is the move back.
"""

from functools import partial
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from purefw.compose.keys import forward_with
from purefw.rule import Rule


def over_axis(rule: Rule, axis: int) -> Rule:
    """The rule along `axis` instead of the last one.

    Args:
        rule: Acts on the last axis of an array, and keeps the number of axes.
        axis: Of x, from its start or, where negative, from its end.

    Returns:
        A rule with the parameters and residuals of `rule`, random where that is.

    Raises:
        ValueError: x has no such axis.

    Example:
        >>> import jax
        >>> from purefw.layers.linear import linear
        >>> rule = over_axis(linear(3, 2), 0)
        >>> rule.apply(rule.init(jax.random.key(0)), jnp.ones((3, 5))).shape
        (2, 5)
    """
    return Rule(
        name=f"over_axis({rule.name}, {axis})",
        init=rule.init,
        forward=partial(forward, rule=rule, axis=axis),
        backward=partial(backward, rule=rule, axis=axis),
        random=rule.random,
        inference=partial(infer, rule=rule, axis=axis),
    )


def forward(
    params: Any,
    x: Float[Array, "*s"],
    key: Key[Array, ""] | None = None,
    *,
    rule: Rule,
    axis: int,
) -> tuple[Float[Array, "*r"], Any]:
    """Equation (1)."""
    y, residuals = forward_with(rule, params, _to_end(x, axis), key)
    return jnp.moveaxis(y, -1, axis), residuals  # (1)


def backward(
    residuals: Any, dy: Float[Array, "*r"], *, rule: Rule, axis: int
) -> tuple[Any, Float[Array, "*s"]]:
    """Equation (2)."""
    dparams, df = rule.backward(residuals, _to_end(dy, axis))
    return dparams, jnp.moveaxis(df, -1, axis)  # (2)


def infer(
    params: Any, x: Float[Array, "*s"], *, rule: Rule, axis: int
) -> Float[Array, "*r"]:
    """Equation (1) with the rule's inference form."""
    return jnp.moveaxis(rule.apply(params, _to_end(x, axis)), -1, axis)


def _to_end(x: Float[Array, "*s"], axis: int) -> Float[Array, "*m"]:
    if not -x.ndim <= axis < x.ndim:
        raise ValueError(f"over_axis: x must have an axis {axis}, got {x.shape}")
    return jnp.moveaxis(x, axis, -1)
