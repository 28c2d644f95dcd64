"""What the options of `purefw train` mean: data, optimiser, precision, onlookers."""

import math
import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import jax
import optax
import typer
from rich.console import Console
from rich.table import Table

from purefw.checkpoint import Checkpoints, restore, steps
from purefw.compose import computed_in
from purefw.data import NAMES, Dataset, load
from purefw.rule import Loss, Rule
from purefw.train import Epoch, Fitted, Snapshot, fit
from purefw.train.callbacks import EarlyStopping
from purefw.train.logs import FileLog, TensorBoardLog
from purefw.train.optimisers import one_of
from reference.commands.networks import NETWORKS
from reference.watch import Watch, WrongGradient

LINES = 30
# In what the network is computed, where parameters are kept wider.
PRECISIONS = {
    "float32": None,
    "float64": None,
    "bfloat16": "bfloat16",
    "float16": "float16",
}


def load_for(
    network: str,
    data: str | None,
    directory: Path | None,
    text_file: Path | None,
    target: str | None,
    seed: int,
) -> Dataset:
    """The data set of a name or a file; where None, the first that the network fits."""
    known = NETWORKS[network].data
    name = data or known[0]
    tables = network == "perceptron"
    if name not in known and (name in NAMES or not tables):
        others = ", or a file .csv or .npz" if tables else ""
        raise ValueError(
            f"train: data must be one of {', '.join(known)}{others} for {network}, "
            f"got {name!r}"
        )
    return load(name, directory=directory, file=text_file, target=target, seed=seed)


def floats(precision: str) -> AbstractContextManager:
    """Where arrays are made as wide as that precision keeps them."""
    one_of("precision", precision, PRECISIONS)
    return jax.enable_x64(True) if precision == "float64" else nullcontext()


def at_precision(network: Rule, precision: str) -> Rule:
    """The network, computed in the dtype of that name."""
    narrow = PRECISIONS[precision]
    return computed_in(network, narrow) if narrow else network


def resumed(
    resume: bool,
    checkpoints: Path | None,
    network: Rule,
    optimiser: optax.GradientTransformation,
) -> Snapshot | None:
    """Where to go on: the newest checkpoint, or the beginning where there is none."""
    if not resume:
        return None
    if checkpoints is None:
        raise ValueError("train: checkpoints must be given for resume, got None")
    if not steps(checkpoints):
        return None
    return restore(checkpoints, network, optimiser)


def onlookers(
    network: Rule,
    loss: Loss,
    console: Console,
    *,
    patience: int | None,
    log: Sequence[Path],
    tensorboard: Path | None,
    checkpoints: Path | None,
    checkpoint_every: int | None,
    keep: int,
    verify_every: int | None,
) -> list[Callable]:
    """The callbacks that the options ask for; the verifier sees a step first."""
    if checkpoints is None and checkpoint_every is not None:
        raise ValueError(
            "train: checkpoints must be given for checkpoint-every, got None"
        )
    found: list[Callable] = []
    if verify_every is not None:
        found.append(Watch(network, loss, verify_every, console.print))
    if checkpoints is not None:
        found.append(Checkpoints(checkpoints, keep=keep, every=checkpoint_every))
    found += map(FileLog, log)
    if tensorboard is not None:
        found.append(TensorBoardLog(tensorboard))
    if patience is not None:
        found.append(EarlyStopping(patience))
    return found


def fit_and_tell(*args: Any, epochs: int, **options: Any) -> Fitted:
    """`fit`; why it ended early, and a wrong gradient, as sentences for a person."""
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            fitted = fit(*args, epochs=epochs, **options)
    except WrongGradient as error:
        print(error, file=sys.stderr)
        raise typer.Exit(1) from None
    for warning in caught:
        print(warning.message, file=sys.stderr)
    number = fitted.history[-1].number
    if number < epochs and not caught:
        print(f"stopped after epoch {number}: no better one came", file=sys.stderr)
    return fitted


def table(history: Sequence[Epoch]) -> Table:
    """At most LINES epochs at equal distances, and the first and the last."""
    accuracies = history[0].train_accuracy is not None
    header = ["epoch", "training loss", "accuracy", "validation loss", "accuracy"]
    lines = Table(*(h for h in header if accuracies or h != "accuracy"))
    distance = max(1, math.ceil((len(history) - 1) / LINES))
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
