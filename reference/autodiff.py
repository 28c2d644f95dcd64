"""What purefw derives by hand, found by autodiff: the loss of a network and dparams."""

from typing import Any

import jax
from jaxtyping import Array, Float, Key

from purefw.rule import Loss, Rule


def loss_and_grad(network: Rule, loss: Loss):
    """The loss of a network and its gradient in the parameters, by autodiff.

    Args:
        network: Maps x to a prediction; only its `forward` is used.
        loss: Judges the prediction against a target; only its `forward` is used.

    Returns:
        A function `(params, x, target[, key]) -> (loss, dparams)`, as
        purefw.loss_and_grad returns.

    Example:
        >>> import jax.numpy as jnp
        >>> from purefw.layers.tanh import tanh
        >>> from purefw.losses.squared_error import squared_error
        >>> f = loss_and_grad(tanh(), squared_error())
        >>> f((), jnp.array([0.5]), jnp.array([0.0]))
        (Array(0.21355..., dtype=float32), ())
    """

    def value(
        params: Any, x: Any, target: Any, key: Key[Array, ""] | None = None
    ) -> Float[Array, ""]:
        args = (params, x, key) if network.random else (params, x)
        return loss.forward(network.forward(*args)[0], target)[0]

    return jax.value_and_grad(value)
