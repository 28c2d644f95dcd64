"""LeNet-5 on the digits, enlarged to its 32 x 32 pixels: python examples/lenet.py

Convolutions, pools and a perceptron in one chain, trained with Adam whose rate falls
along a cosine.
"""

import jax

from purefw import chain
from purefw.data import digits
from purefw.layers.relu import relu
from purefw.layers.reshape import reshape
from purefw.layers.upsample_nearest import upsample_nearest
from purefw.losses.softmax_cross_entropy import softmax_cross_entropy
from purefw.models import lenet
from purefw.train import fit, optimiser

BATCH = 32


def main(epochs: int = 10) -> float:
    """Train; returns the accuracy on the rows held out."""
    data = digits()
    network = chain(
        reshape((8, 8, 1)), upsample_nearest((4, 4)), lenet(32, data.classes, relu())
    )
    steps = epochs * (len(data.train.x) // BATCH)
    history = fit(
        network,
        softmax_cross_entropy(),
        data,
        optimiser=optimiser("adam", 2e-3, schedule="cosine", steps=steps),
        epochs=epochs,
        batch_size=BATCH,
        key=jax.random.key(0),
        progress=True,
    ).history
    accuracy = history[-1].validation_accuracy
    print(f"{accuracy:.1%} of the digits held out are recognised")
    return accuracy


if __name__ == "__main__":
    main()
