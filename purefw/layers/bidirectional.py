"""Two recurrent rules on one sequence, one of them from its end.

    (1)  y      = ahead(x),   z = reverse(back(reverse(x)))
    (2)  out_bt = (y_bt, z_bt) side by side;   final = (ahead's, back's)

    (3)  (dy_bt, dz_bt) = the two parts of dout_bt
    (4)  dx     = ahead_backward(dy) + reverse(back_backward(reverse(dz)))

reverse turns each sequence within its own length and leaves the padding: a permutation
that undoes itself, so its transpose is itself. (4): x is read twice, hence the sum; the
initial states are two, each with a cotangent of its own.
back's final state is the one after it has read the first step.
A row with a length outside 0..T is NaN in both parts, as purefw.shared.recurrence
states.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from purefw.compose.keys import forward_with, split_keys
from purefw.rule import Rule
from purefw.shared.recurrence import (
    RecurrentInput,
    RecurrentOutput,
    check_sequence,
    reverse,
)
from purefw.shared.structure import Static


class BidirectionalPair(NamedTuple):
    """Params, states and residuals of the two rules."""

    ahead: Any
    back: Any


class BidirectionalResiduals(NamedTuple):
    """The residuals of the two rules, the lengths, and how wide ahead's output is."""

    parts: BidirectionalPair
    lengths: Array | None
    width: Static


def bidirectional(ahead: Rule, back: Rule) -> Rule:
    """Read a sequence from both ends.

    Args:
        ahead: A recurrent rule, as purefw.layers.lstm.
        back: The one that starts at the end; its parameters are its own.

    Returns:
        A rule on RecurrentInput whose state is None or a BidirectionalPair of states;
        y's sequence holds ahead's features and then back's, its state is a
        BidirectionalPair. Its residuals are those of the two rules. It is random where
        one of them is.

    Raises:
        ValueError: in `forward`, what one of the rules refuses.

    Example:
        >>> from purefw.layers.gru import gru
        >>> rule = bidirectional(gru(3, 2), gru(3, 5))
        >>> x = RecurrentInput(jnp.ones((1, 4, 3)), None, jnp.array([2]))
        >>> rule.apply(rule.init(jax.random.key(0)), x).sequence.shape
        (1, 4, 7)
    """
    rules = BidirectionalPair(ahead, back)
    return Rule(
        name=f"bidirectional({ahead.name}, {back.name})",
        init=partial(init, rules=rules),
        forward=partial(forward, rules=rules),
        backward=partial(backward, rules=rules),
        random=ahead.random or back.random,
        inference=partial(infer, rules=rules),
    )


def init(key: Key[Array, ""], *, rules: BidirectionalPair) -> BidirectionalPair:
    """Parameters of each rule from a key of its own."""
    return BidirectionalPair(
        *(rule.init(k) for rule, k in zip(rules, jax.random.split(key)))
    )


def forward(
    params: BidirectionalPair,
    x: RecurrentInput,
    key: Key[Array, ""] | None = None,
    *,
    rules: BidirectionalPair,
) -> tuple[RecurrentOutput, BidirectionalResiduals]:
    """Equations (1) and (2)."""
    check_sequence("bidirectional", x)
    outputs, residuals = [], []
    keys = split_keys(key, tuple(rules))
    for rule, p, part, k in zip(rules, params, _inputs(x), keys):
        y, r = forward_with(rule, p, part, k)  # (1)
        outputs.append(y)
        residuals.append(r)
    width = Static(outputs[0].sequence.shape[-1])
    parts = BidirectionalPair(*residuals)
    return _joined(outputs, x), BidirectionalResiduals(parts, x.lengths, width)


def backward(
    residuals: BidirectionalResiduals, dy: RecurrentOutput, *, rules: BidirectionalPair
) -> tuple[BidirectionalPair, RecurrentInput]:
    """Equations (3) and (4)."""
    parts, lengths, width = residuals
    dahead, dback = jnp.split(dy.sequence, [width.value], axis=-1)  # (3)
    dback = reverse(dback, lengths)
    dp_ahead, dx = rules.ahead.backward(
        parts.ahead, RecurrentOutput(dahead, dy.state.ahead)
    )
    dp_back, dx_back = rules.back.backward(
        parts.back, RecurrentOutput(dback, dy.state.back)
    )
    dsequence = dx.sequence + reverse(dx_back.sequence, lengths)  # (4)
    states = BidirectionalPair(dx.state, dx_back.state)
    dstate = None if states == (None, None) else states
    return BidirectionalPair(dp_ahead, dp_back), RecurrentInput(
        dsequence, dstate, dx.lengths
    )


def infer(
    params: BidirectionalPair, x: RecurrentInput, *, rules: BidirectionalPair
) -> RecurrentOutput:
    """Equations (1) and (2) with each rule's inference form."""
    outputs = [rule.apply(p, v) for rule, p, v in zip(rules, params, _inputs(x))]
    return _joined(outputs, x)


def _inputs(x: RecurrentInput) -> tuple[RecurrentInput, RecurrentInput]:
    """What each rule reads: x, and x from its end."""
    ahead, back = (None, None) if x.state is None else x.state
    return (
        RecurrentInput(x.sequence, ahead, x.lengths),
        RecurrentInput(reverse(x.sequence, x.lengths), back, x.lengths),
    )


def _joined(outputs: list[RecurrentOutput], x: RecurrentInput) -> RecurrentOutput:
    y, z = outputs
    both = [y.sequence, reverse(z.sequence, x.lengths)]
    return RecurrentOutput(
        jnp.concatenate(both, axis=-1),  # (2)
        BidirectionalPair(y.state, z.state),
    )
