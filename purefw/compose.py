"""The chain rule, written once: rules made of rules.

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
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from purefw.rule import Loss, Rule


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
        a, r = rule.forward(p, a, k) if rule.random else rule.forward(p, a)  # (1)
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


def split_keys(key: Key[Array, ""] | None, rules: tuple[Rule, ...]) -> list:
    """One key for each random rule, None for the others.

    Raises:
        ValueError: a rule is random and there is no key; the message names the rule.
    """
    needing = [rule for rule in rules if rule.random]
    if not needing:
        return [None] * len(rules)
    if key is None:
        raise ValueError(
            f"{needing[0].name}: key must be given, because forward is random, got None"
        )
    keys = iter(jax.random.split(key, len(needing)))
    return [next(keys) if rule.random else None for rule in rules]


def loss_and_grad(network: Rule, loss: Loss):
    """The loss of a network and its gradient in the parameters, by hand.

    Args:
        network: Maps x to a prediction.
        loss: Judges the prediction against a target.

    Returns:
        A function `(params, x, target[, key]) -> (loss, dparams)`, where dparams has
        the structure, shapes and dtypes of params.

    Example:
        >>> import jax.numpy as jnp
        >>> from purefw.layers.tanh import tanh
        >>> from purefw.losses.squared_error import squared_error
        >>> f = loss_and_grad(tanh(), squared_error())
        >>> f((), jnp.array([0.5]), jnp.array([0.0]))
        (Array(0.21355..., dtype=float32), ())
    """

    def value_and_dparams(
        params: Any, x: Any, target: Any, key: Key[Array, ""] | None = None
    ) -> tuple[Float[Array, ""], Any]:
        args = (params, x, key) if network.random else (params, x)
        prediction, network_residuals = network.forward(*args)
        value, loss_residuals = loss.forward(prediction, target)
        dprediction = loss.backward(loss_residuals, jnp.ones_like(value))
        dparams, _ = network.backward(network_residuals, dprediction)
        return value, dparams

    return value_and_dparams
