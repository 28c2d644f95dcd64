"""What the options of `purefw train` mean: data, optimiser, precision, onlookers."""

import math
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import jax
import optax
import typer
from jax.sharding import Mesh
from rich.console import Console
from rich.table import Table

from purefw.checkpoint import Checkpoints, restore, settings_of, steps
from purefw.compose import computed_in
from purefw.data import NAMES, Dataset, load, to_itself
from purefw.losses.softmax_cross_entropy import softmax_cross_entropy
from purefw.losses.squared_error import squared_error
from purefw.mesh import make_mesh, read_sizes
from purefw.processes import Place, join, launched
from purefw.rule import Loss, Rule
from purefw.train import Epoch, Fitted, Snapshot, fit
from purefw.train.callbacks import EarlyStopping
from purefw.train.logs import FileLog, TensorBoardLog
from purefw.train.optimisers import OPTIMISERS, one_of, optimiser
from reference.commands.networks import NETWORKS, build
from reference.watch import Watch, WrongGradient

LINES = 30
BATCH_SIZE = 32
# Options with which a checkpoint goes on to the bits of a training without a break.
KEPT = (
    "network",
    "layers",
    "activation",
    "precision",
    "gradient",
    "optimiser",
    "learning_rate",
    "schedule",
    "warmup",
    "clip",
    "weight_decay",
    "accumulate",
    "nonfinite",
)
# In what the network is computed, where parameters are kept wider.
PRECISIONS = {
    "float32": None,
    "float64": None,
    "bfloat16": "bfloat16",
    "float16": "float16",
}


class Task(NamedTuple):
    """What is trained on what."""

    network: Rule
    loss: Loss
    data: Dataset
    description: str


def task(options: SimpleNamespace) -> Task:
    """The data, the network that fits them and its loss; fills in what was not given.

    Args:
        options: Those of `purefw train`, by name. Set where they are None: epochs,
            batch_size, optimiser and learning_rate.
    """
    choice = one_of("network", options.network, NETWORKS)
    data = load_for(
        options.network,
        options.data,
        seed=options.seed,
        directory=options.data_dir,
        file=options.text_file,
        target=options.target,
    )
    rule, description = build(options.network, data, options.layers, options.activation)
    if options.network == "autoencoder":
        data = to_itself(data)
    loss = squared_error() if data.classes is None else softmax_cross_entropy()
    usual = {
        "epochs": choice.epochs,
        "batch_size": min(BATCH_SIZE, len(data.train.x)),
        "optimiser": choice.optimiser,
    }
    fill(options, usual)
    rate = one_of("optimiser", options.optimiser, OPTIMISERS).rate
    fill(options, {"learning_rate": rate})
    return Task(at_precision(rule, options.precision), loss, data, description)


def fill(options: SimpleNamespace, usual: dict[str, Any]) -> None:
    """Set the options that were not given."""
    for name, value in usual.items():
        if getattr(options, name) is None:
            setattr(options, name, value)


def load_for(
    network: str,
    data: str | None,
    *,
    seed: int,
    directory: Path | None = None,
    file: Path | None = None,
    target: str | None = None,
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
    return load(name, directory=directory, file=file, target=target, seed=seed)


def descent(options: SimpleNamespace, task: Task) -> optax.GradientTransformation:
    """The optimiser with its schedule, clipping and decay."""
    steps = len(task.data.train.x) // max(1, options.batch_size)
    return optimiser(
        options.optimiser,
        options.learning_rate,
        schedule=options.schedule,
        steps=options.epochs * steps,
        warmup=options.warmup,
        clip=options.clip,
        weight_decay=options.weight_decay,
    )


def connect(options: SimpleNamespace) -> Console:
    """Join the other processes, if any; where to tell, which is the first one's alone.

    Before anything is computed: JAX connects before it looks for devices.
    """
    place = Place(options.coordinator, options.num_processes, options.process_id)
    given = any(v is not None for v in place)
    place = place if given else launched(os.environ)
    if place is None:
        return Console()
    join(place)
    return Console(quiet=jax.process_index() > 0)


def devices(options: SimpleNamespace) -> Mesh | None:
    """The mesh that was asked for; several processes share the rows unless told."""
    if options.mesh is not None:
        return make_mesh(read_sizes(options.mesh))
    return make_mesh({"data": jax.device_count()}) if jax.process_count() > 1 else None


def floats(precision: str) -> AbstractContextManager:
    """Where arrays are made as wide as that precision keeps them."""
    one_of("precision", precision, PRECISIONS)
    return jax.enable_x64(True) if precision == "float64" else nullcontext()


def at_precision(network: Rule, precision: str) -> Rule:
    """The network, computed in the dtype of that name."""
    narrow = PRECISIONS[precision]
    return computed_in(network, narrow) if narrow else network


def resumed(
    options: SimpleNamespace, task: Task, optimiser: optax.GradientTransformation
) -> Snapshot | None:
    """Where to go on: the newest checkpoint, or the beginning where there is none.

    Raises:
        ValueError: no folder is named, or the checkpoint was made with other options.
    """
    folder = options.checkpoints
    if not options.resume:
        return None
    if folder is None:
        raise ValueError("train: checkpoints must be given for resume, got None")
    if not steps(folder):
        return None
    for name, old in settings_of(folder).items():
        new = kept(options).get(name)
        if new != old:
            raise ValueError(
                f"train: {name.replace('_', '-')} must be {old} to resume {folder}, "
                f"got {new}"
            )
    return restore(folder, task.network, optimiser)


def kept(options: SimpleNamespace) -> dict[str, Any]:
    """The options that must stay the same where a training goes on."""
    names = KEPT if options.schedule == "constant" else (*KEPT, "epochs")
    return {name: getattr(options, name) for name in names}


def onlookers(options: SimpleNamespace, task: Task, console: Console) -> list[Callable]:
    """The callbacks that the options ask for; the verifier sees a step first.

    Of several processes the first one writes; all take part in checkpoints.
    """
    folder, every = options.checkpoints, options.checkpoint_every
    if folder is None and every is not None:
        raise ValueError(
            "train: checkpoints must be given for checkpoint-every, got None"
        )
    found: list[Callable] = []
    if options.verify_every is not None:
        found.append(Watch(*task[:2], options.verify_every, console.print))
    if folder is not None:
        found.append(
            Checkpoints(folder, keep=options.keep, every=every, settings=kept(options))
        )
    if options.patience is not None:
        found.append(EarlyStopping(options.patience))
    if jax.process_index() == 0:
        found += map(FileLog, options.log or ())
        if options.tensorboard is not None:
            found.append(TensorBoardLog(options.tensorboard))
    if options.plot is not None:
        found.append(pictures(options, task))
    return found


def pictures(options: SimpleNamespace, task: Task) -> Callable:
    """The callback that draws."""
    try:
        from purefw.train.pictures import Pictures
    except ModuleNotFoundError:
        raise ValueError(
            "train: matplotlib must be installed for plot (pip install "
            "'purefw[train]'), got no module matplotlib"
        ) from None
    return Pictures(options.plot, task.network, task.data, options.epochs)


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
