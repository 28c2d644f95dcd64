"""A rule with a path around it.

    (1)  y   = x + f(params, x)
    (2)  dx  = dy + df,   (dparams, df) = backward of f applied to dy

(2): x reaches y twice, directly with the identity as Jacobian, and through f; the two
cotangents add. dparams is that of f alone, because the direct path has no parameters.
"""

from functools import partial
from typing import Any

from jaxtyping import Array, Float, Key

from purefw.compose.keys import forward_with
from purefw.rule import Rule


def residual(rule: Rule) -> Rule:
    """x plus what the rule makes of it.

    Args:
        rule: Maps an array to one of its own shape.

    Returns:
        A rule with the parameters and residuals of `rule`, random where that is.

    Raises:
        ValueError: `rule` gives y of another shape than x.

    Example:
        >>> import jax.numpy as jnp
        >>> from purefw.layers.relu import relu
        >>> residual(relu()).apply((), jnp.array([-1.0, 2.0]))
        Array([-1.,  4.], dtype=float32)
    """
    return Rule(
        name=f"residual({rule.name})",
        init=rule.init,
        forward=partial(forward, rule=rule),
        backward=partial(backward, rule=rule),
        random=rule.random,
        inference=partial(infer, rule=rule),
        terms=partial(terms, rule=rule),
    )


def forward(
    params: Any,
    x: Float[Array, "*s"],
    key: Key[Array, ""] | None = None,
    *,
    rule: Rule,
) -> tuple[Float[Array, "*s"], Any]:
    """Equation (1)."""
    y, residuals = forward_with(rule, params, x, key)
    return _sum(x, y, rule), residuals


def backward(
    residuals: Any, dy: Float[Array, "*s"], *, rule: Rule
) -> tuple[Any, Float[Array, "*s"]]:
    """Equation (2)."""
    dparams, df = rule.backward(residuals, dy)
    return dparams, dy + df  # (2)


def infer(params: Any, x: Float[Array, "*s"], *, rule: Rule) -> Float[Array, "*s"]:
    """Equation (1) with the rule's inference form."""
    return _sum(x, rule.apply(params, x), rule)


def terms(
    residuals: Any, dy: Float[Array, "*s"], *, rule: Rule
) -> dict[str, dict[str, Array]]:
    """The summands of (2)."""
    return {"dx": {"direct": dy, "through the rule": rule.backward(residuals, dy)[1]}}


def _sum(x: Float[Array, "*s"], y: Array, rule: Rule) -> Float[Array, "*s"]:
    if x.shape != y.shape:
        raise ValueError(
            f"residual({rule.name}): y must have x's shape {x.shape}, got {y.shape}"
        )
    return x + y  # (1)
