"""`purefw train`: a perceptron on a data set, its gradient by hand or by autodiff."""

import math
from pathlib import Path
from typing import Annotated

import jax
import optax
import typer
from rich.console import Console
from rich.table import Table

import purefw
from purefw.data import NAMES, Dataset, load
from purefw.layers.relu import relu
from purefw.layers.sigmoid import sigmoid
from purefw.layers.tanh import tanh
from purefw.losses.softmax_cross_entropy import softmax_cross_entropy
from purefw.models import perceptron
from purefw.train import Epoch, fit
from reference import autodiff

ACTIVATIONS = {"relu": relu, "sigmoid": sigmoid, "tanh": tanh}
GRADIENTS = {"manual": purefw.loss_and_grad, "autodiff": autodiff.loss_and_grad}
LAYERS = {"digits": "64,32,10", "toy": "2,10,2", "mnist": "784,128,10"}


def train(
    data: Annotated[
        str, typer.Option(help=f"What to learn: {', '.join(NAMES)}.")
    ] = "digits",
    data_dir: Annotated[
        Path | None,
        typer.Option(help="Folder of MNIST's IDX files or of the lab's mnist.pkl."),
    ] = None,
    layers: Annotated[
        str | None,
        typer.Option(help="Widths from input to classes; a network for the data."),
    ] = None,
    activation: Annotated[
        str, typer.Option(help=f"Between the layers: {', '.join(ACTIVATIONS)}.")
    ] = "relu",
    gradient: Annotated[
        str, typer.Option(help=f"Where it comes from: {', '.join(GRADIENTS)}.")
    ] = "manual",
    epochs: Annotated[int, typer.Option(help="How often all rows are seen.")] = 30,
    batch_size: Annotated[int, typer.Option(help="Rows a step.")] = 32,
    learning_rate: Annotated[float, typer.Option(help="Of gradient descent.")] = 0.1,
    seed: Annotated[
        int, typer.Option(help="Of the parameters, the split and the order.")
    ] = 0,
) -> None:
    """Train a perceptron and print loss and accuracy after every epoch."""
    rule = one_of("activation", activation, ACTIVATIONS)()
    source = one_of("gradient", gradient, GRADIENTS)
    if not (learning_rate > 0 and math.isfinite(learning_rate)):
        raise ValueError(
            f"train: learning-rate must be positive and finite, got {learning_rate}"
        )
    dataset = load(data, directory=data_dir, seed=seed)
    sizes = widths(layers or LAYERS[data], dataset)
    console = Console()
    console.print(
        f"{data}: {len(dataset.train.x)} rows to learn from, "
        f"{len(dataset.validation.x)} held out. {'-'.join(map(str, sizes))} "
        f"{activation}, {gradient} gradient, learning rate {learning_rate}, "
        f"batch {batch_size}.",
        soft_wrap=True,
    )
    fitted = fit(
        perceptron(sizes, rule),
        softmax_cross_entropy(),
        dataset,
        optimiser=optax.sgd(learning_rate),
        epochs=epochs,
        batch_size=batch_size,
        key=jax.random.key(seed),
        gradient=source,
        progress=True,
    )
    console.print(table(fitted.history))


def one_of(option: str, name: str, known: dict):
    """The value of a name; an error that lists the known ones."""
    if name not in known:
        raise ValueError(
            f"train: {option} must be one of {', '.join(known)}, got {name!r}"
        )
    return known[name]


def widths(layers: str, data: Dataset) -> tuple[int, ...]:
    """The sizes in "64,32,10", which must begin and end as the data do."""
    try:
        sizes = tuple(int(part) for part in layers.split(","))
    except ValueError:
        raise ValueError(
            f"train: layers must be whole numbers with commas between, got {layers!r}"
        ) from None
    features = data.train.x.shape[1]
    if len(sizes) < 2 or (sizes[0], sizes[-1]) != (features, data.classes):
        raise ValueError(
            f"train: layers must begin with {features} and end with {data.classes}, "
            f"the features and classes of {data.name}, got {layers}"
        )
    return sizes


def table(history: list[Epoch]) -> Table:
    """A line an epoch."""
    lines = Table("epoch", "training loss", "accuracy", "validation loss", "accuracy")
    for epoch in history:
        lines.add_row(
            str(epoch.number),
            f"{epoch.train_loss:.4f}",
            f"{epoch.train_accuracy:.1%}",
            f"{epoch.validation_loss:.4f}",
            f"{epoch.validation_accuracy:.1%}",
        )
    return lines
