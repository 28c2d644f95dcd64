"""The network of a hunt: small, of many kinds of parts, on scikit-learn's digits."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import jax
import optax

from purefw.compose import chain, residual
from purefw.data import digits
from purefw.layers.hard_tanh import hard_tanh
from purefw.layers.layer_norm import layer_norm
from purefw.layers.linear import linear
from purefw.layers.relu import relu
from purefw.layers.tanh import tanh
from purefw.losses.softmax_cross_entropy import softmax_cross_entropy
from purefw.rule import Loss, Rule
from purefw.train import fit

EPOCHS, BATCH, RATE, DECAY = 6, 32, 0.003, 0.01
Check = Callable[[Any, Any], bool]


@dataclass(frozen=True)
class Setting:
    """All that a mistake may be planted in.

    Attributes:
        parts: Rules by place, in order.
        loss: At the place "loss".
        optimiser: At the place "optimiser"; the right one is Optax's AdamW.
        check: At the place "check": what the author's own test calls close.
    """

    parts: dict[str, Rule]
    loss: Loss
    optimiser: optax.GradientTransformation
    check: Check

    @property
    def network(self) -> Rule:
        """The parts, one after the other."""
        return chain(*self.parts.values())

    @property
    def places(self) -> list[str]:
        """Where a mistake may be."""
        return [*self.parts, "loss", "optimiser", "check"]


def close(one: Any, other: Any) -> bool:
    """The check of a careful author: every leaf, nothing pooled, NaN never equal."""
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return all(
        a.shape == b.shape and bool(abs(a - b).max() <= 1e-4 * abs(b).max() + 1e-7)
        for a, b in pairs
    )


def right(width: int, inner: int) -> Setting:
    """The network without a mistake.

    Args:
        width: Of the layers.
        inner: Of the block's inner layer.
    """
    block = residual(chain(linear(width, inner), relu(), linear(inner, width)))
    parts = {
        "linear1": linear(64, width),
        "norm1": layer_norm(width),
        "tanh1": tanh(),
        "linear2": linear(width, width),
        "clip1": hard_tanh(),
        "block1": block,
        "norm2": layer_norm(width),
        "relu1": relu(),
        "linear3": linear(width, width),
        "tanh2": tanh(),
        "linear4": linear(width, 10),
    }
    optimiser = optax.adamw(RATE, weight_decay=DECAY)
    return Setting(parts, softmax_cross_entropy(), optimiser, close)


@cache
def data() -> Any:
    """The digits."""
    return digits()


def accuracies(setting: Setting, seed: int) -> list[float]:
    """On the held-out fifth, epoch by epoch."""
    _, history = fit(
        setting.network,
        setting.loss,
        data(),
        optimiser=setting.optimiser,
        epochs=EPOCHS,
        batch_size=BATCH,
        key=jax.random.key(seed),
    )
    return [float(epoch.validation_accuracy) for epoch in history]
