"""An LSTM that learns the Zen of Python and recites it: python examples/lstm.py

Backpropagation through time is the hand-written backward of one rule, a scan that runs
from the last character to the first.
"""

import jax
import jax.numpy as jnp
import numpy as np

from purefw.data import text
from purefw.data.text import zen
from purefw.losses.softmax_cross_entropy import softmax_cross_entropy
from purefw.models import char_lstm
from purefw.train import fit, optimiser

HEARD = "Beautiful is better"


def main(epochs: int = 300) -> float:
    """Train; returns the loss in nats a character on what was read."""
    data = text()
    network = char_lstm(data.classes, 32, 128)
    params, history = fit(
        network,
        softmax_cross_entropy(),
        data,
        optimiser=optimiser("adam", 0.01, schedule="cosine", steps=epochs),
        epochs=epochs,
        batch_size=len(data.train.x),
        key=jax.random.key(0),
        progress=True,
    )
    print(recite(network, params, HEARD, 60))
    return history[-1].train_loss


def recite(network, params, start: str, count: int) -> str:
    """Go on with the likeliest character, again and again."""
    alphabet = sorted(set(zen()))
    ids = np.zeros(len(start) + count, np.int32)  # One shape, compiled once.
    ids[: len(start)] = [alphabet.index(c) for c in start]
    apply = jax.jit(network.apply)
    for t in range(len(start), len(ids)):
        scores = apply(params, jnp.asarray(ids)[None])  # Row t sees no later id.
        ids[t] = scores[0, t - 1].argmax()
    return "".join(alphabet[i] for i in ids)


if __name__ == "__main__":
    main()
