"""The chain rule, written once: rules one after the other.

    (1)  a_l = f_l(params_l, a_{l-1})              a_0 = x,  y = a_L
    (2)  da_L = dy
    (3)  (dparams_l, da_{l-1}) = backward_l(residuals_l, da_l)   l = L, ..., 1
    (4)  dx = da_0

(3): L depends on params_l and a_{l-1} through a_l alone, so its cotangents are the
transposed Jacobian of f_l applied to da_l, which is what backward_l computes.

The residuals of every call are values of their own. Using one rule object in two
places is therefore harmless: nothing is stored in it that a second call could
overwrite.
"""

from functools import partial
from typing import Any

import jax
from jaxtyping import Array, Key

from purefw.compose.keys import forward_with, split_keys
from purefw.rule import Rule


def chain(*rules: Rule) -> Rule:
    """Rules one after the other; params and residuals are tuples, one item a rule.

    Args:
        rules: At least one. Where one of them is random, so is the chain.

    Returns:
        A rule whose residuals cost the sum of its parts'.

    Raises:
        ValueError: there is no rule, or `forward` of a random chain gets no key.

    Example:
        >>> import jax.numpy as jnp
        >>> from purefw.layers.relu import relu
        >>> from purefw.layers.tanh import tanh
        >>> network = chain(relu(), tanh())
        >>> y, residuals = network.forward(((), ()), jnp.array([-1.0, 0.5]))
        >>> network.backward(residuals, jnp.array([1.0, 1.0]))[1].round(3)
        Array([0.   , 0.786], dtype=float32)
    """
    if not rules:
        raise ValueError("chain: rules must be at least one, got none")
    return Rule(
        name="chain(" + ", ".join(rule.name for rule in rules) + ")",
        init=partial(init_chain, rules=rules),
        forward=partial(forward_chain, rules=rules),
        backward=partial(backward_chain, rules=rules),
        random=any(rule.random for rule in rules),
        inference=partial(infer_chain, rules=rules),
    )


def init_chain(key: Key[Array, ""], *, rules: tuple[Rule, ...]) -> tuple:
    """Parameters of each rule from a key of its own."""
    keys = jax.random.split(key, len(rules))
    return tuple(rule.init(k) for rule, k in zip(rules, keys))


def forward_chain(
    params: tuple,
    x: Any,
    key: Key[Array, ""] | None = None,
    *,
    rules: tuple[Rule, ...],
) -> tuple[Any, tuple]:
    """Equation (1); keys are split only where a part is random."""
    keys = split_keys(key, rules)
    a, residuals = x, []
    for rule, p, k in zip(rules, params, keys):
        a, r = forward_with(rule, p, a, k)  # (1)
        residuals.append(r)
    return a, tuple(residuals)


def backward_chain(
    residuals: tuple, dy: Any, *, rules: tuple[Rule, ...]
) -> tuple[tuple, Any]:
    """Equations (2) to (4)."""
    da, dparams = dy, []  # (2)
    for rule, r in zip(reversed(rules), reversed(residuals)):
        dp, da = rule.backward(r, da)  # (3)
        dparams.append(dp)
    return tuple(reversed(dparams)), da  # (4)


def infer_chain(params: tuple, x: Any, *, rules: tuple[Rule, ...]) -> Any:
    """Equation (1) with each rule's inference form."""
    for rule, p in zip(rules, params):
        x = rule.apply(p, x)
    return x
