"""Every network of purefw.models at a tiny size, with a batch that fits it."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from purefw.layers.relu import relu
from purefw.layers.tanh import tanh
from purefw.losses.softmax_cross_entropy import softmax_cross_entropy
from purefw.losses.squared_error import squared_error
from purefw.models import autoencoder, char_lstm, gpt, lenet, perceptron, resnet
from purefw.rule import Loss, Rule
from tests.refute import random_params

NETWORKS = {
    "perceptron": perceptron((7, 5, 3), relu()),
    "autoencoder": autoencoder((7, 5, 2), tanh()),
    "lenet_28": lenet(28, 3, tanh()),
    "lenet_32": lenet(32, 3, relu()),
    "resnet": resnet((5, 7, 2), (2, 3), 2, 3),
    "char_lstm": char_lstm(11, 3, 5),
    "gpt_rotary_gelu": gpt(11, 12, 3, 2),
    "gpt_rotary_swiglu": gpt(11, 12, 3, 2, feed_forward="swiglu"),
    "gpt_learned_gelu": gpt(11, 6, 2, 3, length=7),
    "gpt_recompute": gpt(11, 6, 3, 2, length=7, recompute=True),
}
WIDTHS = {"perceptron": 7, "autoencoder": 7, "lenet_28": 784, "lenet_32": 1024}


class Problem(NamedTuple):
    """What a network is judged on."""

    network: Rule
    loss: Loss
    params: Any
    x: jax.Array
    target: jax.Array


def problem(name: str, keys: Any, *, batch: int = 2) -> Problem:
    """A network with random parameters and a random batch."""
    network = NETWORKS[name]
    params = random_params(network, next(keys))
    if name.startswith(("char", "gpt")):
        ids = jax.random.randint(next(keys), (batch, 6), 0, 11, jnp.int32)
        return Problem(
            network, softmax_cross_entropy(), params, ids[:, :-1], ids[:, 1:]
        )
    x = jax.random.normal(next(keys), (batch, WIDTHS.get(name, 5 * 7 * 2)))
    if name == "autoencoder":
        return Problem(network, squared_error(), params, x, x)
    labels = jax.random.randint(next(keys), (batch,), 0, 3)
    return Problem(network, softmax_cross_entropy(), params, x, labels)
