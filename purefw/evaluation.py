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
    return judged(predict(params, split.x, network=network), split.labels, loss)


def judged(
    scores: Float[Array, "n *scores"], labels: Shaped[Array, "n *steps"], loss: Loss
) -> tuple[Float[Array, ""], Float[Array, ""] | None]:
    """Loss and accuracy of what a network said of all rows."""
    value = loss.forward(scores, labels)[0]
    if jnp.issubdtype(labels.dtype, jnp.floating):
        return value, None
    return value, accuracy(scores, labels)


def predict(
    params: Any, x: Shaped[Array, "n *features"], *, network: Rule
) -> Float[Array, "n *scores"]:
    """The network at inference on every row, ROWS rows at a time."""
    n = len(x) // ROWS
    full = x[: n * ROWS].reshape(n, ROWS, *x.shape[1:])
    return predict_parts(params, full, x[n * ROWS :], network=network)


def predict_parts(
    params: Any,
    full: Shaped[Array, "parts b *features"],
    rest: Shaped[Array, "r *features"],
    *,
    network: Rule,
) -> Float[Array, "n *scores"]:
    """The network at inference on parts of equal size and on the rows that remain."""
    found = []
    if len(full):
        y = lax.map(lambda rows: network.apply(params, rows), full)
        found.append(y.reshape(-1, *y.shape[2:]))
    if len(rest):
        found.append(network.apply(params, rest))
    return jnp.concatenate(found)
