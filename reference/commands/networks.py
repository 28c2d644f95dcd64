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
from purefw.train.optimisers import one_of

ACTIVATIONS = {"relu": relu, "sigmoid": sigmoid, "tanh": tanh}
IMAGES = ("digits", "mnist", "fashion-mnist")
HIDDEN = {"toy": 10, "mnist": 128, "fashion-mnist": 128}  # Else 32.
CODE = {"digits": 8}  # Else 16.


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
    "perceptron": Choice(
        ("digits", "toy", "mnist", "fashion-mnist", "diabetes", "california"),
        ("layers", "activation"),
        "sgd",
    ),
    "lenet": Choice(IMAGES, ("activation",), epochs=10),
    "resnet": Choice(IMAGES, (), epochs=10),
    "autoencoder": Choice(IMAGES, ("layers", "activation"), epochs=100),
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
        sizes = widths(network, layers or usual(network, data), data)
        make = {"perceptron": perceptron, "autoencoder": autoencoder}[network]
        return make(sizes, between), f"{'-'.join(map(str, sizes))} {name}"
    return {
        "lenet": lambda: (_lenet(data, between), f"LeNet-5 {name}"),
        "resnet": lambda: (_resnet(data), "ResNet 16-32"),
        "lstm": lambda: (char_lstm(data.classes, 32, 128), "LSTM 128"),
        "gpt": lambda: (gpt(data.classes, 64, 4, 2), "GPT of 2 blocks 64 wide"),
    }[network]()


def usual(network: str, data: Dataset) -> str:
    """The widths unless told."""
    last = CODE.get(data.name, 16) if network == "autoencoder" else outputs(data)
    return f"{data.train.x.shape[1]},{HIDDEN.get(data.name, 32)},{last}"


def outputs(data: Dataset) -> int:
    """How many numbers a network says of a row: one a class, or the label's."""
    return data.classes or data.train.labels.shape[1]


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
    elif len(sizes) < 2 or (sizes[0], sizes[-1]) != (features, outputs(data)):
        raise ValueError(
            f"train: layers must begin with {features} and end with {outputs(data)}, "
            f"the features and outputs of {data.name}, got {layers}"
        )
    return sizes


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
