"""A rule that keeps its input and computes its residuals again when they are needed.

    (1)  (y, residuals) = f(params, x[, key]),    keep (params, x[, key]) alone
    (2)  residuals      = f(params, x[, key]) again
    (3)  (dparams, dx)  = backward of f applied to residuals and dy

(2) gives the residuals of (1) exactly: a rule is a pure function, and the key makes the
same random numbers; jax.random.clone declares that it is used again on purpose.
Memory against time: between forward and backward the rule holds x instead of its
residuals; backward costs one more forward.
XLA merges equal computations within one jitted function, and would so undo (2) by
keeping the residuals of (1). The barrier hides from it that the arguments are the same,
and ties (2) to dy, so that it cannot run before dy is known; it changes no value.
It pays around a block whose residuals are many times its input, within repeat or a
chain: around a whole network the residuals all come back at once.

Reference: Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016,
arXiv:1604.06174.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
from jax import lax
from jaxtyping import Array, Key

from purefw.compose.keys import forward_with
from purefw.rule import Rule


class RecomputeResiduals(NamedTuple):
    """The arguments of forward; the key is None where the rule is not random."""

    params: Any
    x: Any
    key: Key[Array, ""] | None


def recompute(rule: Rule) -> Rule:
    """The same rule with less memory and one more forward.

    Args:
        rule: Any rule.

    Returns:
        A rule with the parameters and results of `rule`. Its residuals hold params,
        which are alive anyway, and x.

    Raises:
        ValueError: `rule` is random and `forward` gets no key.

    Example:
        >>> import jax.numpy as jnp
        >>> from purefw.layers.tanh import tanh
        >>> y, residuals = recompute(tanh()).forward((), jnp.array([0.5]))
        >>> residuals.x
        Array([0.5], dtype=float32)
    """
    return Rule(
        name=f"recompute({rule.name})",
        init=rule.init,
        forward=partial(forward, rule=rule),
        backward=partial(backward, rule=rule),
        random=rule.random,
        inference=rule.apply,
    )


def forward(
    params: Any, x: Any, key: Key[Array, ""] | None = None, *, rule: Rule
) -> tuple[Any, RecomputeResiduals]:
    """Equation (1)."""
    y, _ = forward_with(rule, params, x, key)  # (1)
    again = jax.random.clone(key) if rule.random else None
    return y, RecomputeResiduals(params, x, again)


def backward(residuals: RecomputeResiduals, dy: Any, *, rule: Rule) -> tuple[Any, Any]:
    """Equations (2) and (3)."""
    params, x, key = residuals
    params, x, dy = lax.optimization_barrier((params, x, dy))
    key = None if key is None else jax.random.clone(key)
    _, again = forward_with(rule, params, x, key)  # (2)
    return rule.backward(again, dy)  # (3)
