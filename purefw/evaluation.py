"""How good parameters are on a whole split."""

from typing import Any

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Shaped

from purefw.data import Split
from purefw.metrics import accuracy
from purefw.rule import Loss, Rule

ROWS = 1000  # At a time: all of MNIST at once would fill gigabytes in a LeNet.


def evaluate(
    params: Any, split: Split, *, network: Rule, loss: Loss
) -> tuple[Float[Array, ""], Float[Array, ""] | None]:
    """Loss and accuracy over a whole split, with the network at inference.

    There is no accuracy, but None, where the labels are floats.
    """
    scores = predict(params, split.x, network=network)
    value = loss.forward(scores, split.labels)[0]
    if jnp.issubdtype(split.labels.dtype, jnp.floating):
        return value, None
    return value, accuracy(scores, split.labels)


def predict(
    params: Any, x: Shaped[Array, "n *features"], *, network: Rule
) -> Float[Array, "n *scores"]:
    """The network at inference on every row, ROWS rows at a time."""
    n = len(x) // ROWS
    if n == 0:
        return network.apply(params, x)
    parts = x[: n * ROWS].reshape(n, ROWS, *x.shape[1:])
    y = lax.map(lambda rows: network.apply(params, rows), parts)
    y = y.reshape(n * ROWS, *y.shape[2:])
    if len(y) == len(x):
        return y
    return jnp.concatenate([y, network.apply(params, x[len(y) :])])
