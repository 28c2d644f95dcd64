"""`purefw train`: a network on a data set, its gradient by hand or by autodiff."""

import math
from pathlib import Path
from typing import Annotated

import jax
import optax
import typer
from rich.console import Console
from rich.table import Table

import purefw
from purefw.data import NAMES, Dataset, load, to_itself
from purefw.losses.softmax_cross_entropy import softmax_cross_entropy
from purefw.losses.squared_error import squared_error
from purefw.train import Epoch, fit
from reference import autodiff
from reference.commands.networks import ACTIVATIONS, NETWORKS, build, one_of

GRADIENTS = {"manual": purefw.loss_and_grad, "autodiff": autodiff.loss_and_grad}
OPTIMISERS = {"sgd": optax.sgd, "adam": optax.adam}
SCHEDULES = {
    "constant": lambda rate, steps: rate,
    "cosine": optax.cosine_decay_schedule,
}
RATES = {"sgd": 0.1, "adam": 1e-3}
BATCH_SIZE = 32
LINES = 30


def train(
    network: Annotated[
        str, typer.Option(help=f"What learns: {', '.join(NETWORKS)}.")
    ] = "perceptron",
    data: Annotated[
        str | None,
        typer.Option(help=f"What to learn, what the network fits: {', '.join(NAMES)}."),
    ] = None,
    data_dir: Annotated[
        Path | None,
        typer.Option(help="Folder of MNIST's IDX files or of the lab's mnist.pkl."),
    ] = None,
    text_file: Annotated[
        Path | None, typer.Option(help="A text in UTF-8; else the Zen of Python.")
    ] = None,
    layers: Annotated[
        str | None,
        typer.Option(help="Widths, input to classes; of an autoencoder to the code."),
    ] = None,
    activation: Annotated[
        str | None,
        typer.Option(help=f"Between the layers: {', '.join(ACTIVATIONS)}."),
    ] = None,
    gradient: Annotated[
        str, typer.Option(help=f"Where it comes from: {', '.join(GRADIENTS)}.")
    ] = "manual",
    optimiser: Annotated[
        str | None,
        typer.Option(help="sgd, the perceptron's, or adam, that of the others."),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(help="How often all rows are seen; else the network's own."),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(help=f"Rows a step; else {BATCH_SIZE}, or all.")
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="0.1 under sgd, 0.001 under adam.")
    ] = None,
    schedule: Annotated[
        str, typer.Option(help="Of the rate: constant, or cosine down to 0 at the end.")
    ] = "constant",
    seed: Annotated[
        int, typer.Option(help="Of the parameters, the split and the order.")
    ] = 0,
) -> None:
    """Train a network and print loss and accuracy of its epochs."""
    choice = one_of("network", network, NETWORKS)
    source = one_of("gradient", gradient, GRADIENTS)
    optimiser = optimiser or choice.optimiser
    descend = one_of("optimiser", optimiser, OPTIMISERS)
    rate = RATES[optimiser] if learning_rate is None else learning_rate
    rate_of_step = one_of("schedule", schedule, SCHEDULES)
    check_rate(rate)
    dataset = load_for(network, data, data_dir, text_file, seed)
    rule, description = build(network, dataset, layers, activation)
    if network == "autoencoder":
        dataset = to_itself(dataset)
    rows = len(dataset.train.x)
    batch_size = min(BATCH_SIZE, rows) if batch_size is None else batch_size
    epochs = choice.epochs if epochs is None else epochs
    steps = max(1, epochs * rows // max(1, batch_size))
    console = Console()
    console.print(
        f"{dataset.name}: {rows} rows to learn from, "
        f"{len(dataset.validation.x)} held out. {description}, {gradient} gradient, "
        f"{optimiser}, {schedule} learning rate {rate}, batch {batch_size}.",
        soft_wrap=True,
    )
    fitted = fit(
        rule,
        squared_error() if dataset.classes is None else softmax_cross_entropy(),
        dataset,
        optimiser=descend(rate_of_step(rate, steps)),
        epochs=epochs,
        batch_size=batch_size,
        key=jax.random.key(seed),
        gradient=source,
        progress=True,
    )
    console.print(table(fitted.history))
    if dataset.name == "text":
        console.print("loss: nats a character")


def check_rate(rate: float) -> None:
    """Raise ValueError unless the learning rate leads downhill."""
    if not (rate > 0 and math.isfinite(rate)):
        raise ValueError(
            f"train: learning-rate must be positive and finite, got {rate}"
        )


def load_for(
    network: str,
    data: str | None,
    directory: Path | None,
    text_file: Path | None,
    seed: int,
) -> Dataset:
    """The data set of a name; where None, the first that the network fits."""
    known = NETWORKS[network].data
    name = data or known[0]
    if name in NAMES and name not in known:
        raise ValueError(
            f"train: data must be one of {', '.join(known)} for {network}, got {name!r}"
        )
    return load(name, directory=directory, file=text_file, seed=seed)


def table(history: list[Epoch]) -> Table:
    """At most LINES epochs at equal distances, and the first and the last."""
    accuracies = history[0].train_accuracy is not None
    header = ["epoch", "training loss", "accuracy", "validation loss", "accuracy"]
    lines = Table(*(h for h in header if accuracies or h != "accuracy"))
    distance = math.ceil((len(history) - 1) / LINES)
    for epoch in history:
        if epoch.number % distance == 0 or epoch is history[-1]:
            lines.add_row(*cells(epoch))
    return lines


def cells(epoch: Epoch) -> list[str]:
    """A line of the table; an accuracy that is None has no place in it."""
    losses = f"{epoch.train_loss:.4f}", f"{epoch.validation_loss:.4f}"
    if epoch.train_accuracy is None:
        return [str(epoch.number), *losses]
    shares = f"{epoch.train_accuracy:.1%}", f"{epoch.validation_accuracy:.1%}"
    return [str(epoch.number), losses[0], shares[0], losses[1], shares[1]]
