"""Every network of purefw.models at a tiny size, with a batch that fits it."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from purefw import models
from purefw.layers.relu import relu
from purefw.layers.tanh import tanh
from purefw.losses.softmax_cross_entropy import softmax_cross_entropy
from purefw.losses.squared_error import squared_error
from purefw.rule import Loss, Rule
from reference import chance
from tests.refute import random_params

NETWORKS = {
    "perceptron": lambda: models.perceptron((7, 5, 3), relu()),
    "autoencoder": lambda: models.autoencoder((7, 5, 2), tanh()),
    "lenet_28": lambda: models.lenet(28, 3, tanh()),
    "lenet_32": lambda: models.lenet(32, 3, relu()),
    "resnet": lambda: models.resnet((5, 7, 2), (2, 3), 2, 3),
    "char_lstm": lambda: models.char_lstm(11, 3, 5),
    "gpt": lambda: models.gpt(11, 6, 3, 2),
    "gpt_swiglu": lambda: models.gpt(11, 6, 3, 2, feed_forward="swiglu"),
    "gpt_learned": lambda: models.gpt(11, 6, 2, 3, length=7),
    "gpt_recompute": lambda: models.gpt(11, 6, 3, 2, recompute=True),
}
WIDTHS = {
    "perceptron": 7,
    "autoencoder": 7,
    "lenet_28": 784,
    "lenet_32": 1024,
    "resnet": 70,
}


class Problem(NamedTuple):
    """What a network is judged on."""

    network: Rule
    loss: Loss
    params: Any
    x: jax.Array
    target: jax.Array


def problem(name: str, keys: Any, *, dtype: Any = float) -> Problem:
    """A network with random parameters and a batch of two random rows."""
    network = NETWORKS[name]()
    params = random_params(network, next(keys), scale=0.2)
    params = jax.tree.map(lambda v: v.astype(dtype), params)
    if name not in WIDTHS:
        ids = chance.randint(next(keys), (2, 6), 0, 11, jnp.int32)
        return Problem(
            network, softmax_cross_entropy(), params, ids[:, :-1], ids[:, 1:]
        )
    x = chance.normal(next(keys), (2, WIDTHS[name]), dtype)
    if name == "autoencoder":
        return Problem(network, squared_error(), params, x, x)
    labels = chance.randint(next(keys), (2,), 0, 3)
    return Problem(network, softmax_cross_entropy(), params, x, labels)
