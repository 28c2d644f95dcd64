"""One parameter at both ends of a network.

    (1)  a = first(shared, x),   b = middle(params, a),   y = last(shared, b)
    (2)  (dlast, db)    = backward of last applied to dy
         (dparams, da)  = backward of middle applied to db
         (dfirst, dx)   = backward of first applied to da
    (3)  dshared = dfirst + dlast

(2) is the chain rule, as if the two ends had parameters of their own. (3): they are one
value, and L depends on it through both, so the two cotangents add.
Invariant: with unequal parameters at the ends, dfirst and dlast are those of a chain.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from purefw.compose.keys import forward_with, split_keys
from purefw.rule import Rule


class TiedParams(NamedTuple):
    """What first and last share, and the parameters between them."""

    shared: Any
    middle: Any


class TiedRules(NamedTuple):
    """The three rules, and the residuals of each."""

    first: Any
    middle: Any
    last: Any


def tied(first: Rule, middle: Rule, last: Rule) -> Rule:
    """first, middle, last in a row, where first and last have the same parameters.

    Args:
        first: As embedding(n, width).
        middle: As the blocks of a language model.
        last: As unembedding(n, width): its parameters are those of `first`, in
            structure, shape and meaning.

    Returns:
        A rule with TiedParams; `shared` is drawn by first.init. Its residuals cost the
        sum of the parts'. It is random where a part is.

    Raises:
        ValueError: a part is random and `forward` gets no key; in `init`, first and
            last have parameters of different shapes.

    Example:
        >>> from purefw.layers.embedding import embedding
        >>> from purefw.layers.tanh import tanh
        >>> from purefw.layers.unembedding import unembedding
        >>> rule = tied(embedding(11, 3), tanh(), unembedding(11, 3))
        >>> params = rule.init(jax.random.key(0))
        >>> rule.apply(params, jnp.array([0, 7, 7])).shape
        (3, 11)
    """
    rules = TiedRules(first, middle, last)
    return Rule(
        name=f"tied({first.name}, {middle.name}, {last.name})",
        init=partial(init, rules=rules),
        forward=partial(forward, rules=rules),
        backward=partial(backward, rules=rules),
        random=any(rule.random for rule in rules),
        inference=partial(infer, rules=rules),
    )


def init(key: Key[Array, ""], *, rules: TiedRules) -> TiedParams:
    """Parameters of first and of middle, from keys of their own."""
    shared_key, middle_key = jax.random.split(key)
    ends = [jax.eval_shape(rule.init, key) for rule in (rules.first, rules.last)]
    if ends[0] != ends[1]:
        raise ValueError(
            f"tied: last must have the parameters of first {ends[0]}, got {ends[1]}"
        )
    return TiedParams(rules.first.init(shared_key), rules.middle.init(middle_key))


def forward(
    params: TiedParams,
    x: Any,
    key: Key[Array, ""] | None = None,
    *,
    rules: TiedRules,
) -> tuple[Any, TiedRules]:
    """Equation (1)."""
    keys = split_keys(key, tuple(rules))
    a, residuals = x, []
    for rule, p, k in zip(rules, _three(params), keys):
        a, r = forward_with(rule, p, a, k)  # (1)
        residuals.append(r)
    return a, TiedRules(*residuals)


def backward(residuals: TiedRules, dy: Any, *, rules: TiedRules) -> tuple[Any, Any]:
    """Equations (2) and (3)."""
    dlast, db = rules.last.backward(residuals.last, dy)  # (2)
    dmiddle, da = rules.middle.backward(residuals.middle, db)  # (2)
    dfirst, dx = rules.first.backward(residuals.first, da)  # (2)
    dshared = jax.tree.map(jnp.add, dfirst, dlast)  # (3)
    return TiedParams(dshared, dmiddle), dx


def infer(params: TiedParams, x: Any, *, rules: TiedRules) -> Any:
    """Equation (1) with each rule's inference form."""
    for rule, p in zip(rules, _three(params)):
        x = rule.apply(p, x)
    return x


def _three(params: TiedParams) -> tuple[Any, Any, Any]:
    return params.shared, params.middle, params.shared
