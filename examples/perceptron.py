"""A perceptron on scikit-learn's digits: python examples/perceptron.py

Trains 64-32-10, prints how good it is, draws its curves, and asks the oracle whether
the gradient by hand, by which it learnt, is right.
"""

import jax

from purefw import plot
from purefw.data import digits
from purefw.layers.relu import relu
from purefw.losses.softmax_cross_entropy import softmax_cross_entropy
from purefw.models import perceptron
from purefw.train import fit
from reference import check_network


def main(epochs: int = 30, picture: str | None = "perceptron.png") -> float:
    """Train; returns the accuracy on the rows held out."""
    network, loss = perceptron((64, 32, 10), relu()), softmax_cross_entropy()
    data = digits()
    params, history = fit(
        network,
        loss,
        data,
        optimiser="sgd",
        epochs=epochs,
        batch_size=32,
        key=jax.random.key(0),
    )
    accuracy = history[-1].validation_accuracy
    print(f"{accuracy:.1%} of the digits held out are recognised")
    if picture:
        plot.curves(history).savefig(picture)
        print(f"see {picture}")
    x, labels = (v[:7] for v in data.train)
    print(check_network(network, loss, params, x, labels, points=0))
    return accuracy


if __name__ == "__main__":
    main()
