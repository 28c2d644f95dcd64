"""`purefw train`: a network on a data set, its gradient by hand or by autodiff."""

from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any

import jax
import typer
from rich.console import Console

import purefw
from purefw.data import NAMES
from purefw.exports import check_suffix, save_params
from purefw.leaves import gathered
from purefw.train.checks import NONFINITE
from purefw.train.optimisers import OPTIMISERS, SCHEDULES, one_of
from reference import autodiff
from reference.commands import settings
from reference.commands.networks import ACTIVATIONS, NETWORKS

GRADIENTS = {"manual": purefw.loss_and_grad, "autodiff": autodiff.loss_and_grad}
DATA, NET, STEPS, LOOKS, MANY, FILES = (
    "Data",
    "Network",
    "Descent",
    "While it trains",
    "Many devices",
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
        int | None, option(STEPS, f"Rows a step; else {settings.BATCH_SIZE}, or all.")
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
    plot: Annotated[
        Path | None, option(LOOKS, "Folder for pictures: curves, weights, ...")
    ] = None,
    mesh: Annotated[
        str | None,
        option(MANY, "Devices along data, fsdp and model: data=8,model=2."),
    ] = None,
    coordinator: Annotated[
        str | None, option(MANY, "Address and port of process 0: host:1234.")
    ] = None,
    num_processes: Annotated[
        int | None, option(MANY, "How many; else what a launcher says.")
    ] = None,
    process_id: Annotated[int | None, option(MANY, "Which one this is.")] = None,
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
    options = SimpleNamespace(**locals())
    console = settings.connect(options)
    exports = [check_suffix(path) for path in export or ()]
    with settings.floats(precision):
        task = settings.task(options)
        descend = settings.descent(options, task)
        _describe(console, options, task)
        fitted = settings.fit_and_tell(
            task.network,
            task.loss,
            task.data,
            optimiser=descend,
            epochs=options.epochs,
            batch_size=options.batch_size,
            key=jax.random.key(seed),
            gradient=one_of("gradient", gradient, GRADIENTS),
            accumulate=accumulate,
            nonfinite=nonfinite,
            mesh=settings.devices(options),
            callbacks=settings.onlookers(options, task, console),
            resume=settings.resumed(options, task, descend),
            progress=not console.quiet,
        )
        params = gathered(fitted.params)
    console.print(settings.table(fitted.history))
    if task.data.name == "text":
        console.print("loss: nats a character")
    if jax.process_index() == 0:
        for path in exports:
            save_params(path, params)


def _describe(console: Console, options: SimpleNamespace, task: settings.Task) -> None:
    """One sentence about all that follows."""
    data = task.data
    console.print(
        f"{data.name}: {len(data.train.x)} rows to learn from, "
        f"{len(data.validation.x)} held out. {task.description}, {options.gradient} "
        f"gradient, {options.optimiser}, {options.schedule} learning rate "
        f"{options.learning_rate}, batch {options.batch_size}.",
        soft_wrap=True,
    )
