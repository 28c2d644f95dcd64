"""The networks that `purefw train` knows, and how each is trained unless told."""

import math
from typing import NamedTuple

from purefw.compose import chain
from purefw.data import Dataset
from purefw.layers.relu import relu
from purefw.layers.reshape import reshape
from purefw.layers.sigmoid import sigmoid
from purefw.layers.tanh import tanh
from purefw.layers.upsample_nearest import upsample_nearest
from purefw.models import autoencoder, char_lstm, gpt, lenet, perceptron, resnet
from purefw.rule import Rule

ACTIVATIONS = {"relu": relu, "sigmoid": sigmoid, "tanh": tanh}
LAYERS = {
    ("perceptron", "digits"): "64,32,10",
    ("perceptron", "toy"): "2,10,2",
    ("perceptron", "mnist"): "784,128,10",
    ("autoencoder", "digits"): "64,32,8",
    ("autoencoder", "mnist"): "784,128,16",
}


class Choice(NamedTuple):
    """One network.

    Attributes:
        data: The data sets that it fits; the first is the default.
        options: Those of --layers and --activation that it has.
        optimiser: The default.
        epochs: The default.
    """

    data: tuple[str, ...]
    options: tuple[str, ...]
    optimiser: str = "adam"
    epochs: int = 30


NETWORKS = {
    "perceptron": Choice(("digits", "toy", "mnist"), ("layers", "activation"), "sgd"),
    "lenet": Choice(("digits", "mnist"), ("activation",), epochs=10),
    "resnet": Choice(("digits", "mnist"), (), epochs=10),
    "autoencoder": Choice(("digits", "mnist"), ("layers", "activation"), epochs=100),
    "lstm": Choice(("text",), (), epochs=300),
    "gpt": Choice(("text",), (), epochs=150),
}


def build(
    network: str, data: Dataset, layers: str | None, activation: str | None
) -> tuple[Rule, str]:
    """The network that fits the data, and its description.

    Args:
        network: One of NETWORKS.
        data: What it is for.
        layers: Its widths, where it has that option; None for the default.
        activation: One of ACTIVATIONS, where it has that option; None for relu.

    Raises:
        ValueError: an option is given that the network does not have, or is unknown, or
            does not fit the data.
    """
    for option, value in (("layers", layers), ("activation", activation)):
        if value is not None and option not in NETWORKS[network].options:
            raise ValueError(
                f"train: {option} must be left out for {network}, got {value}"
            )
    name = activation or "relu"
    between = one_of("activation", name, ACTIVATIONS)()
    if "layers" in NETWORKS[network].options:
        sizes = widths(network, layers or LAYERS[network, data.name], data)
        make = {"perceptron": perceptron, "autoencoder": autoencoder}[network]
        return make(sizes, between), f"{'-'.join(map(str, sizes))} {name}"
    return {
        "lenet": lambda: (_lenet(data, between), f"LeNet-5 {name}"),
        "resnet": lambda: (_resnet(data), "ResNet 16-32"),
        "lstm": lambda: (char_lstm(data.classes, 32, 128), "LSTM 128"),
        "gpt": lambda: (gpt(data.classes, 64, 4, 2), "GPT of 2 blocks 64 wide"),
    }[network]()


def widths(network: str, layers: str, data: Dataset) -> tuple[int, ...]:
    """The sizes in "64,32,10", which must begin and end as the data do."""
    try:
        sizes = tuple(int(part) for part in layers.split(","))
    except ValueError:
        raise ValueError(
            f"train: layers must be whole numbers with commas between, got {layers!r}"
        ) from None
    features = data.train.x.shape[1]
    if network == "autoencoder":
        if len(sizes) < 2 or sizes[0] != features:
            raise ValueError(
                f"train: layers must begin with {features}, the features of "
                f"{data.name}, and end with the code, got {layers}"
            )
    elif len(sizes) < 2 or (sizes[0], sizes[-1]) != (features, data.classes):
        raise ValueError(
            f"train: layers must begin with {features} and end with {data.classes}, "
            f"the features and classes of {data.name}, got {layers}"
        )
    return sizes


def one_of(option: str, name: str, known: dict):
    """The value of a name; an error that lists the known ones."""
    if name not in known:
        raise ValueError(
            f"train: {option} must be one of {', '.join(known)}, got {name!r}"
        )
    return known[name]


def _side(data: Dataset) -> int:
    return math.isqrt(data.train.x.shape[1])


def _lenet(data: Dataset, activation: Rule) -> Rule:
    """LeNet-5; the digits of 8 x 8 pixels are enlarged to its 32 x 32."""
    side = _side(data)
    if side != 8:
        return lenet(side, data.classes, activation)
    enlarged = chain(reshape((8, 8, 1)), upsample_nearest((4, 4)))
    return chain(enlarged, lenet(32, data.classes, activation))


def _resnet(data: Dataset) -> Rule:
    return resnet((_side(data), _side(data), 1), (16, 32), 1, data.classes)
