"""A GPT of two blocks on the Zen of Python: python examples/gpt.py [FILE]

Attention, layer norms, feed-forward layers and a table of ids tied at both ends: every
backward by hand, and checked on the live minibatch while it trains.
"""

import sys

import jax

from purefw.data import text
from purefw.losses.softmax_cross_entropy import softmax_cross_entropy
from purefw.models import gpt
from purefw.train import fit, optimiser
from reference.watch import Watch


def main(epochs: int = 150, file: str | None = None, width: int = 64) -> float:
    """Train; returns the loss in nats a character on what was read."""
    data = text(file)
    network, loss = gpt(data.classes, width, 4, 2), softmax_cross_entropy()
    rows = min(32, len(data.train.x))
    steps = epochs * (len(data.train.x) // rows)
    history = fit(
        network,
        loss,
        data,
        optimiser=optimiser("adam", 3e-3, warmup=min(10, steps - 1), clip=1.0),
        epochs=epochs,
        batch_size=rows,
        key=jax.random.key(0),
        callbacks=[Watch(network, loss, every=max(1, steps // 2))],
        progress=True,
    ).history
    print(f"{history[-1].train_loss:.3f} nats a character")
    return history[-1].train_loss


if __name__ == "__main__":
    main(file=sys.argv[1] if len(sys.argv) > 1 else None)
