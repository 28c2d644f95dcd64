"""A recurrent rule as a map of bare sequences, for chains.

    (1)  (y, final) = f(params, (x, state zero, no lengths))
    (2)  dx from dy and dfinal = 0 through f

(2): the final state is dropped, so nothing depends on it and its cotangent is 0; the
initial state is a constant and gets none.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from purefw.compose.keys import forward_with
from purefw.rule import Rule
from purefw.shared.recurrence import RecurrentInput, RecurrentOutput


class SequenceOnlyResiduals(NamedTuple):
    """The rule's residuals, and zeros in the shape of the final state."""

    part: Any
    dstate: Any


def sequence_only(rule: Rule) -> Rule:
    """From array to array: every sequence whole, from rest, final state dropped.

    Args:
        rule: A recurrent rule, as purefw.layers.lstm.

    Returns:
        A rule on x of shape (batch, time, features), with the parameters and residuals
        of `rule`, random where that is.

    Raises:
        ValueError: in `forward`, what `rule` refuses.

    Example:
        >>> from purefw.layers.lstm import lstm
        >>> rule = sequence_only(lstm(3, 2))
        >>> rule.apply(rule.init(jax.random.key(0)), jnp.ones((5, 7, 3))).shape
        (5, 7, 2)
    """
    return Rule(
        name=f"sequence_only({rule.name})",
        init=rule.init,
        forward=partial(forward, rule=rule),
        backward=partial(backward, rule=rule),
        random=rule.random,
        inference=partial(infer, rule=rule),
    )


def forward(
    params: Any,
    x: Float[Array, "b t i"],
    key: Key[Array, ""] | None = None,
    *,
    rule: Rule,
) -> tuple[Float[Array, "b t h"], SequenceOnlyResiduals]:
    """Equation (1)."""
    start = RecurrentInput(x, None, None)
    y, residuals = forward_with(rule, params, start, key)  # (1)
    zeros = jax.tree.map(jnp.zeros_like, y.state)
    return y.sequence, SequenceOnlyResiduals(residuals, zeros)


def backward(
    residuals: SequenceOnlyResiduals, dy: Float[Array, "b t h"], *, rule: Rule
) -> tuple[Any, Float[Array, "b t i"]]:
    """Equation (2)."""
    part, dstate = residuals
    dparams, dx = rule.backward(part, RecurrentOutput(dy, dstate))  # (2)
    return dparams, dx.sequence


def infer(
    params: Any, x: Float[Array, "b t i"], *, rule: Rule
) -> Float[Array, "b t h"]:
    """Equation (1) with the rule's inference form."""
    return rule.apply(params, RecurrentInput(x, None, None)).sequence
