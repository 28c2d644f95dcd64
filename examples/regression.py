"""Regression on the diabetes data, with early stopping: python examples/regression.py

The parameters that are judged are not the last ones but those that the checkpoints kept
as the best.
"""

import tempfile

import jax

from purefw.checkpoint import Checkpoints, restore
from purefw.data import diabetes
from purefw.evaluation import evaluate
from purefw.layers.tanh import tanh
from purefw.losses.squared_error import squared_error
from purefw.models import perceptron
from purefw.train import EarlyStopping, fit, optimiser


def main(epochs: int = 200) -> float:
    """Train; returns the best mean squared error, where 1 is guessing the mean."""
    network, loss, data = perceptron((10, 32, 1), tanh()), squared_error(), diabetes()
    descend = optimiser("adam", 3e-3, weight_decay=1e-2)
    with tempfile.TemporaryDirectory() as folder:
        history = fit(
            network,
            loss,
            data,
            optimiser=descend,
            epochs=epochs,
            batch_size=32,
            key=jax.random.key(0),
            callbacks=[Checkpoints(folder, keep=1), EarlyStopping(patience=10)],
        ).history
        best = restore(folder, network, descend, step="best").state.params
    error, _ = evaluate(best, data.validation, network=network, loss=loss)
    print(f"stopped after epoch {history[-1].number}; held-out error {error:.3f}")
    return float(error)


if __name__ == "__main__":
    main()
