"""What an entry of the registry holds."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from purefw.rule import Loss, Rule
from reference import chance
from reference.registry.invariants import Invariant

Draw = Callable[[Key[Array, ""]], Any]


@dataclass(frozen=True)
class RuleEntry:
    """A rule and the inputs it must be judged on.

    Attributes:
        rule: The rule.
        inputs: From the name of a situation ("typical", "one_row", "tie", "large") to
            a function that draws x from a key. The first is the typical one.
        params: Draws parameters where standard normal ones will not do.
        invariants: What the docstring promises of y, dparams and dx, as in
            reference.registry.invariants.
    """

    rule: Rule
    inputs: dict[str, Draw]
    params: Draw | None = None
    invariants: tuple[Invariant, ...] = ()

    def draw_params(self, key: Key[Array, ""]) -> Any:
        """Random parameters: never the initial ones, at which whole terms vanish."""
        if self.params is not None:
            return self.params(key)
        shapes = jax.eval_shape(self.rule.init, key)
        return normal_like(shapes, jax.random.fold_in(key, 1))


@dataclass(frozen=True)
class LossEntry:
    """A loss, its inputs, each of which draws (prediction, target), its invariants."""

    loss: Loss
    inputs: dict[str, Draw]
    invariants: tuple[Invariant, ...] = ()


def normal(*shape: int, scale: float = 1.0, shift: float = 0.0) -> Draw:
    """A draw of `shift + scale * N(0, 1)` in JAX's default float dtype."""
    return lambda key: shift + scale * chance.normal(key, shape)


def normal_like(tree: Any, key: Key[Array, ""]) -> Any:
    """A tree of the same structure, its float leaves standard normal."""
    leaves, treedef = jax.tree.flatten(tree)
    keys = jax.random.split(key, max(len(leaves), 1))
    return jax.tree.unflatten(
        treedef,
        [
            chance.normal(k, v.shape, v.dtype)
            if jnp.issubdtype(v.dtype, jnp.floating)
            else v
            for k, v in zip(keys, leaves)
        ],
    )
