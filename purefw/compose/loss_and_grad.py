"""A network and a loss as one function with its gradient in the parameters.

    (1)  prediction = network(params, x)
    (2)  value      = loss(prediction, target)
    (3)  dprediction from dvalue = 1, dparams from dprediction

(3): the value is the scalar that is differentiated, so its own cotangent is 1.
"""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from purefw.rule import Loss, Rule


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
        prediction, network_residuals = network.forward(*args)  # (1)
        value, loss_residuals = loss.forward(prediction, target)  # (2)
        dprediction = loss.backward(loss_residuals, jnp.ones_like(value))  # (3)
        dparams, _ = network.backward(network_residuals, dprediction)  # (3)
        return value, dparams

    return value_and_dparams
