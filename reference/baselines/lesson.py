"""The lesson's framework: layers in NumPy that keep what backward needs in themselves.

A network is a list of layers, each given the gradient at its output. `forward` stores,
`backward` reads what was stored last. So an activation object that stands in two places
hands its second input to both: nothing fails, and every weight before the second use
gets a wrong gradient.
"""

from collections.abc import Sequence

import numpy as np


class Linear:
    """z = x W + b."""

    def __init__(self, weight: np.ndarray, bias: np.ndarray) -> None:
        """From copies of the parameters, since `update` writes into them."""
        self.W, self.b = weight.copy(), bias.copy()

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Keeps x."""
        self.x = x
        return x @ self.W + self.b

    def backward(self, dz: np.ndarray) -> np.ndarray:
        """Leaves dW and db in the layer."""
        self.dW = self.x.T @ dz
        self.db = dz.sum(axis=0)
        return dz @ self.W.T

    def update(self, rate: float) -> None:
        """One step downhill."""
        self.W -= rate * self.dW
        self.b -= rate * self.db


class Activation:
    """Entry by entry: tanh, sigmoid or relu."""

    VALUES = {
        "tanh": np.tanh,
        "sigmoid": lambda x: 0.5 * (1 + np.tanh(0.5 * x)),
        "relu": lambda x: np.maximum(x, 0),
    }
    SLOPES = {  # Of the output.
        "tanh": lambda y: 1 - y * y,
        "sigmoid": lambda y: y * (1 - y),
        "relu": lambda y: y > 0,
    }

    def __init__(self, kind: str) -> None:
        """One of VALUES."""
        self.value, self.slope = self.VALUES[kind], self.SLOPES[kind]

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Keeps y."""
        self.y = self.value(x)
        return self.y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """Reads the last y."""
        return self.slope(self.y) * dy


class SoftmaxCrossEntropy:
    """The mean over rows of -log p at the label, p the softmax of z."""

    def forward(self, z: np.ndarray, labels: np.ndarray) -> float:
        """Keeps p and the labels."""
        e = np.exp(z - z.max(axis=1, keepdims=True))
        self.p, self.labels = e / e.sum(axis=1, keepdims=True), labels
        at_label = self.p[np.arange(len(z)), labels]
        return float(-np.log(np.maximum(at_label, 1e-30)).mean())

    def backward(self) -> np.ndarray:
        """(p - onehot) / N."""
        dz = self.p.copy()
        dz[np.arange(len(dz)), self.labels] -= 1
        return dz / len(dz)


class Network:
    """Layers in order, and the loss."""

    def __init__(self, layers: Sequence[Linear | Activation]) -> None:
        """One object may stand in the list twice."""
        self.layers, self.loss = list(layers), SoftmaxCrossEntropy()

    def scores(self, x: np.ndarray) -> np.ndarray:
        """The logits."""
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def gradient(self, x: np.ndarray, labels: np.ndarray) -> float:
        """Leaves each layer's gradient in it; returns the loss."""
        value = self.loss.forward(self.scores(x), labels)
        d = self.loss.backward()
        for layer in reversed(self.layers):
            d = layer.backward(d)
        return value

    def train(
        self, x: np.ndarray, labels: np.ndarray, order: np.ndarray, rate: float
    ) -> None:
        """One step for each line of row numbers."""
        for rows in order:
            self.gradient(x[rows], labels[rows])
            for layer in self.layers:
                if isinstance(layer, Linear):
                    layer.update(rate)

    def accuracy(self, x: np.ndarray, labels: np.ndarray) -> float:
        """Share of the rows whose largest score is the label's."""
        return float((self.scores(x).argmax(axis=1) == labels).mean())


def shared_activation(
    params: Sequence[tuple[np.ndarray, np.ndarray]], kind: str
) -> Network:
    """A perceptron with ONE activation object between all its layers: the accident.

    Args:
        params: Weight and bias of each linear layer.
        kind: "tanh", "sigmoid" or "relu".
    """
    return _perceptron(params, [Activation(kind)] * (len(params) - 1))


def separate_activations(
    params: Sequence[tuple[np.ndarray, np.ndarray]], kind: str
) -> Network:
    """The same with an object for each place, as it must be.

    Args:
        params: As there.
        kind: As there.
    """
    return _perceptron(params, [Activation(kind) for _ in params[1:]])


def _perceptron(params, activations: list[Activation]) -> Network:
    layers: list[Linear | Activation] = [Linear(*params[0])]
    for activation, pair in zip(activations, params[1:]):
        layers += [activation, Linear(*pair)]
    return Network(layers)
