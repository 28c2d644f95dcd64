"""`purefw train`: a network on a data set, its gradient by hand or by autodiff."""

from pathlib import Path
from typing import Annotated, Any

import jax
import typer
from rich.console import Console

import purefw
from purefw.data import NAMES, to_itself
from purefw.exports import check_suffix, save_params
from purefw.losses.softmax_cross_entropy import softmax_cross_entropy
from purefw.losses.squared_error import squared_error
from purefw.train.loop import NONFINITE
from purefw.train.optimisers import OPTIMISERS, SCHEDULES, one_of
from purefw.train.optimisers import optimiser as make
from reference import autodiff
from reference.commands import settings
from reference.commands.networks import ACTIVATIONS, NETWORKS, build

GRADIENTS = {"manual": purefw.loss_and_grad, "autodiff": autodiff.loss_and_grad}
BATCH_SIZE = 32
DATA, NET, STEPS, LOOKS, FILES = (
    "Data",
    "Network",
    "Descent",
    "While it trains",
    "Checkpoints and results",
)


def option(panel: str, help: str, *names: str) -> Any:
    """An option in one of the groups of the help; named like the argument."""
    return typer.Option(*names, help=help, rich_help_panel=panel)


def train(
    network: Annotated[str, option(NET, f"One of {', '.join(NETWORKS)}.")] = (
        "perceptron"
    ),
    layers: Annotated[
        str | None, option(NET, "Widths, input to output: 64,32,10.")
    ] = None,
    activation: Annotated[
        str | None, option(NET, f"Between layers: {', '.join(ACTIVATIONS)}.")
    ] = None,
    precision: Annotated[
        str,
        option(NET, "float32, float64, or to compute in: bfloat16, float16."),
    ] = "float32",
    data: Annotated[
        str | None,
        option(DATA, f"{', '.join(NAMES)}, or a file .csv or .npz."),
    ] = None,
    data_dir: Annotated[
        Path | None, option(DATA, "Folder of MNIST's IDX files or of mnist.pkl.")
    ] = None,
    target: Annotated[
        str | None, option(DATA, "The column of a .csv or .npz to learn.")
    ] = None,
    text_file: Annotated[
        Path | None, option(DATA, "A text in UTF-8; else the Zen of Python.")
    ] = None,
    gradient: Annotated[
        str, option(STEPS, f"Where it comes from: {', '.join(GRADIENTS)}.")
    ] = "manual",
    optimiser: Annotated[
        str | None,
        option(STEPS, f"{', '.join(OPTIMISERS)}; else the network's own."),
    ] = None,
    learning_rate: Annotated[
        float | None, option(STEPS, "The largest; else the optimiser's own.")
    ] = None,
    schedule: Annotated[
        str, option(STEPS, f"How it falls: {', '.join(SCHEDULES)}.")
    ] = "constant",
    warmup: Annotated[int, option(STEPS, "Steps in which it rises from 0.")] = 0,
    clip: Annotated[float | None, option(STEPS, "Longest gradient.")] = None,
    weight_decay: Annotated[
        float, option(STEPS, "Of weights; biases and norms are spared.")
    ] = 0.0,
    epochs: Annotated[int | None, option(STEPS, "How often all rows are seen.")] = None,
    batch_size: Annotated[
        int | None, option(STEPS, f"Rows a step; else {BATCH_SIZE}, or all.")
    ] = None,
    accumulate: Annotated[
        int, option(STEPS, "Parts in which a minibatch goes through the network.")
    ] = 1,
    nonfinite: Annotated[
        str, option(STEPS, f"At a loss that is NaN: {', '.join(NONFINITE)}.")
    ] = "raise",
    seed: Annotated[int, option(STEPS, "Of parameters, split and order.")] = 0,
    verify_every: Annotated[
        int | None,
        option(LOOKS, "Steps between checks of the gradient against the oracle."),
    ] = None,
    patience: Annotated[
        int | None, option(LOOKS, "Epochs without a better one, then stop.")
    ] = None,
    log: Annotated[
        list[Path] | None, option(LOOKS, "File .csv or .jsonl of the epochs.")
    ] = None,
    tensorboard: Annotated[
        Path | None, option(LOOKS, "Folder for TensorBoard.")
    ] = None,
    checkpoints: Annotated[
        Path | None, option(FILES, "Folder; one at the end of every epoch.")
    ] = None,
    checkpoint_every: Annotated[
        int | None, option(FILES, "Steps between more of them.")
    ] = None,
    keep: Annotated[int, option(FILES, "Newest that stay, beside the best.")] = 3,
    resume: Annotated[
        bool,
        option(FILES, "Go on from the newest checkpoint, if any.", "--resume"),
    ] = False,
    export: Annotated[
        list[Path] | None,
        option(FILES, "File .safetensors or .npz of the parameters."),
    ] = None,
) -> None:
    """Train a network and print loss and accuracy of its epochs.

    Exit code 1: the gradient is wrong (--verify-every). 2: an option or a file is.
    """
    choice = one_of("network", network, NETWORKS)
    source = one_of("gradient", gradient, GRADIENTS)
    name, console = optimiser or choice.optimiser, Console()
    exports = [check_suffix(path) for path in export or ()]
    with settings.floats(precision):
        dataset = settings.load_for(network, data, data_dir, text_file, target, seed)
        rule, description = build(network, dataset, layers, activation)
        rule = settings.at_precision(rule, precision)
        if network == "autoencoder":
            dataset = to_itself(dataset)
        loss = squared_error() if dataset.classes is None else softmax_cross_entropy()
        rows = len(dataset.train.x)
        batch_size = min(BATCH_SIZE, rows) if batch_size is None else batch_size
        epochs = choice.epochs if epochs is None else epochs
        descend = make(
            name,
            learning_rate,
            schedule=schedule,
            steps=epochs * (rows // max(1, batch_size)),
            warmup=warmup,
            clip=clip,
            weight_decay=weight_decay,
        )
        callbacks = settings.onlookers(
            rule,
            loss,
            console,
            patience=patience,
            log=log or (),
            tensorboard=tensorboard,
            checkpoints=checkpoints,
            checkpoint_every=checkpoint_every,
            keep=keep,
            verify_every=verify_every,
        )
        rate = OPTIMISERS[name].rate if learning_rate is None else learning_rate
        console.print(
            f"{dataset.name}: {rows} rows to learn from, "
            f"{len(dataset.validation.x)} held out. {description}, {gradient} "
            f"gradient, {name}, {schedule} learning rate {rate}, batch {batch_size}.",
            soft_wrap=True,
        )
        fitted = settings.fit_and_tell(
            rule,
            loss,
            dataset,
            optimiser=descend,
            epochs=epochs,
            batch_size=batch_size,
            key=jax.random.key(seed),
            gradient=source,
            accumulate=accumulate,
            nonfinite=nonfinite,
            callbacks=callbacks,
            resume=settings.resumed(resume, checkpoints, rule, descend),
            progress=True,
        )
    console.print(settings.table(fitted.history))
    if dataset.name == "text":
        console.print("loss: nats a character")
    for path in exports:
        save_params(path, fitted.params)
