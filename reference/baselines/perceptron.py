"""The perceptron as a JAX user writes it: jax.nn, Optax and jax.grad.

Its forward is someone else's code, so agreement with it says more than that purefw's
backward belongs to purefw's forward: it says that the forward is a perceptron.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Integer, Key

ACTIVATIONS = {"relu": jax.nn.relu, "sigmoid": jax.nn.sigmoid, "tanh": jnp.tanh}


class Dense(NamedTuple):
    """One affine map."""

    weight: Float[Array, "n_in n_out"]
    bias: Float[Array, " n_out"]


def init(key: Key[Array, ""], sizes: Sequence[int]) -> list[Dense]:
    """Weights of standard deviation n_in^(-1/2), biases zero."""
    keys = jax.random.split(key, len(sizes) - 1)
    draw = jax.nn.initializers.normal
    return [
        Dense(draw(n_in**-0.5)(k, (n_in, n_out)), jnp.zeros(n_out))
        for k, n_in, n_out in zip(keys, sizes, sizes[1:])
    ]


def apply(
    params: Sequence[Dense], x: Float[Array, "b n_in"], *, activation: str
) -> Float[Array, "b n_out"]:
    """The logits."""
    *hidden, last = params
    for layer in hidden:
        x = ACTIVATIONS[activation](_affine(layer, x))
    return _affine(last, x)


def loss(
    params: Sequence[Dense],
    x: Float[Array, "b n_in"],
    labels: Integer[Array, " b"],
    *,
    activation: str,
) -> Float[Array, ""]:
    """Mean cross-entropy by Optax."""
    logits = apply(params, x, activation=activation)
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


loss_and_grad = jax.value_and_grad(loss)


def train_step(
    params: Sequence[Dense],
    state: optax.OptState,
    x: Float[Array, "b n_in"],
    labels: Integer[Array, " b"],
    *,
    activation: str,
    optimiser: optax.GradientTransformation,
) -> tuple[Any, optax.OptState, Float[Array, ""]]:
    """One step of `optimiser`; the loss is the one before it."""
    value, gradient = loss_and_grad(params, x, labels, activation=activation)
    updates, state = optimiser.update(gradient, state, params)
    return optax.apply_updates(params, updates), state, value


def _affine(layer: Dense, x: Float[Array, "b n_in"]) -> Float[Array, "b n_out"]:
    return x @ layer.weight + layer.bias[None, :]
