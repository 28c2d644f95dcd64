"""One comparison: two programs that compute the same things from the same arguments.

The program by hand calls forward and backward; the one by autodiff calls jax.vjp (or,
of a network, jax.value_and_grad) on the form that people write. Both return all they
are asked for, the value and every cotangent, so that neither is pruned.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from purefw.compose import loss_and_grad
from purefw.rule import Loss, Rule
from reference import chance
from reference.registry.entry import Draw

SPREAD = 0.1  # Of parameters around their initial values, at which whole terms vanish.


@dataclass(frozen=True)
class Case:
    """Two functions of the same arguments.

    Attributes:
        kind: "rule", "loss" or "network".
        hand: `hand(*args) -> (value, cotangents)`, with backward passes by hand.
        auto: The same by autodiff, of the usual form.
        draw: Draws the arguments from a key, floats in float32.
    """

    kind: str
    hand: Callable[..., tuple[Any, Any]]
    auto: Callable[..., tuple[Any, Any]]
    draw: Callable[[Any], tuple]


def rule_case(rule: Rule, draw_x: Draw, form: Callable | None = None) -> Case:
    """A rule beside `form(params, x) -> y`; its own forward where there is no other."""

    def forward(params, x):
        key = (jax.random.key(7),) if rule.random else ()
        return rule.forward(params, x, *key)

    form = form or (lambda params, x: forward(params, x)[0])

    def hand(params, x, dy):
        y, residuals = forward(params, x)
        return y, floats(rule.backward(residuals, dy))

    def auto(params, x, dy):
        y, pullback = jax.vjp(form, params, x)
        return y, floats(pullback(dy))

    def draw(key):
        params_key, x_key, dy_key = jax.random.split(key, 3)
        params, x = near(rule.init(params_key), params_key), draw_x(x_key)
        y = jax.eval_shape(form, params, x)
        return params, x, near(jax.tree.map(jnp.zeros_like, y), dy_key, 1.0)

    return Case("rule", hand, auto, draw)


def loss_case(loss: Loss, draw_both: Draw, form: Callable | None = None) -> Case:
    """A loss beside `form(prediction, target) -> loss`; dloss is an argument."""
    form = form or (lambda prediction, target: loss.forward(prediction, target)[0])

    def hand(prediction, target, dloss):
        value, residuals = loss.forward(prediction, target)
        return value, floats(loss.backward(residuals, dloss))

    def auto(prediction, target, dloss):
        value, pullback = jax.vjp(lambda p: form(p, target), prediction)
        return value, floats(pullback(dloss))

    def draw(key):
        return (*draw_both(key), jnp.array(0.7))

    return Case("loss", hand, auto, draw)


def network_case(network: Rule, loss: Loss, draw_both: Draw, form: Callable) -> Case:
    """The loss of a network and its gradient; `form(params, x, target) -> loss`."""

    def draw(key):
        params_key, data_key = jax.random.split(key)
        params = near(network.init(params_key), params_key)
        return params, *draw_both(data_key)

    return Case("network", loss_and_grad(network, loss), jax.value_and_grad(form), draw)


def near(tree: Any, key: Any, scale: float = SPREAD) -> Any:
    """The tree with normal numbers of this scale added to its floats."""
    leaves, treedef = jax.tree.flatten(tree)
    keys = jax.random.split(jax.random.fold_in(key, 1), max(len(leaves), 1))
    moved = [
        v + scale * chance.normal(k, v.shape, v.dtype) if is_float(v) else v
        for k, v in zip(keys, leaves)
    ]
    return jax.tree.unflatten(treedef, moved)


def floats(tree: Any) -> list:
    """The leaves that have digits; cotangents of integers have none."""
    return [v for v in jax.tree.leaves(tree) if is_float(v)]


def cast(tree: Any, dtype: Any) -> Any:
    """Its floats in another dtype."""
    return jax.tree.map(lambda v: v.astype(dtype) if is_float(v) else v, tree)


def is_float(v: Any) -> bool:
    """Whether an array is real and has digits."""
    return jnp.issubdtype(v.dtype, jnp.floating)
