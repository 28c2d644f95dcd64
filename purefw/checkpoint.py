"""Checkpoints of a training: interrupted at any moment, it goes on to the same bits.

A checkpoint holds all that training goes on from, purefw.train.Snapshot: parameters,
running statistics among them, the optimiser's state, the key and the step, from which
the order of the rows follows, and the history. It is one npz file, whose entries carry
checksums, written to the disk before Orbax puts it in its place by one rename. So a
process killed in the middle, or a full disk, leaves the earlier ones as they were.

    about    the step, the history, what the rows are drawn from, the settings, and of
             each leaf the name, shape and dtype, as JSON
    NAME     a leaf: its bytes

Writing needs orbax-checkpoint, of the extra `train`, and a copy of the state on the
host. Reading needs NumPy alone.
"""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax

from purefw.leaves import check_alike, named, specs, to_arrays, to_tree
from purefw.rule import Rule
from purefw.train.moment import Epoch, Moment, Snapshot, Source
from purefw.train.step import State

FILE = Path("training", "snapshot.npz")  # Within the folder of a step.


class CheckpointError(ValueError):
    """A checkpoint could not be written or read."""


class Checkpoints:
    """A callback of `fit` that keeps the newest checkpoints and the best.

    The best is that of the epoch with the lowest validation loss. It saves at the end
    of every epoch and, where `every` is given, before every step that is its multiple.

    Example:
        >>> import tempfile
        >>> from purefw.data import toy
        >>> from purefw.layers.relu import relu
        >>> from purefw.losses.softmax_cross_entropy import softmax_cross_entropy
        >>> from purefw.models import perceptron
        >>> from purefw.train import fit
        >>> directory, network = tempfile.mkdtemp(), perceptron((2, 2), relu())
        >>> task = network, softmax_cross_entropy(), toy()
        >>> settings = {"optimiser": optax.adam(0.1), "batch_size": 16}
        >>> half = fit(*task, epochs=1, key=jax.random.key(0), **settings,
        ...            callbacks=[Checkpoints(directory)])
        >>> _, history = fit(*task, epochs=2, key=jax.random.key(0), **settings,
        ...                  resume=restore(directory, network, optax.adam(0.1)))
        >>> history[:2] == half.history, len(history)
        (True, 3)
    """

    def __init__(
        self,
        directory: str | Path,
        *,
        keep: int = 3,
        every: int | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        """Make the directory where there is none, and clear what a killed run left.

        Args:
            directory: Of the checkpoints of one training and nothing else.
            keep: How many of the newest stay, beside the best. At least 1.
            every: Steps between checkpoints within an epoch. None: none.
            settings: What else the training was begun with, for `settings_of`: names
                and values that JSON knows.

        Raises:
            CheckpointError: the directory cannot be made or read, `keep` is not
                positive, or Orbax is not installed.
        """
        if keep < 1:
            raise CheckpointError(f"checkpoint: keep must be at least 1, got {keep}")
        self.every, self._directory = every, Path(directory)
        self._settings, self._orbax = dict(settings or {}), _orbax()
        with _told(self._directory, "be a folder to write to"):
            self._directory.mkdir(parents=True, exist_ok=True)
            self._manager = self._orbax.manager(self._directory, keep)

    def __enter__(self) -> None:
        """Nothing."""

    def __exit__(self, *error: object) -> None:
        """Let go of the directory."""
        self._manager.close()

    def __call__(self, moment: Moment) -> None:
        """Save, unless this very step is there.

        Raises:
            CheckpointError: the disk is full, the directory may not be written to, or
                it holds a later step, which is of another training.
        """
        latest = self._manager.latest_step()
        if latest == moment.step:
            return
        if latest is not None and latest > moment.step:
            raise CheckpointError(
                f"checkpoint: {self._directory} must hold no step after {moment.step}, "
                f"got {latest}: resume it, or name another folder"
            )
        loss = None if moment.epoch is None else moment.epoch.validation_loss
        with _told(self._directory, "take a checkpoint"):
            self._orbax.save(
                self._manager,
                moment.step,
                lambda folder: write(
                    folder / FILE.name, moment.snapshot, self._settings
                ),
                loss,
            )


def restore(
    directory: str | Path,
    network: Rule,
    optimiser: optax.GradientTransformation,
    *,
    step: int | Literal["latest", "best"] = "latest",
) -> Snapshot:
    """What a checkpoint holds, for `train` and `fit` to go on from.

    Args:
        directory: Where `Checkpoints` wrote.
        network: The one that was trained: a checkpoint of another architecture is
            refused with the first leaf that differs.
        optimiser: The one that it was trained with, likewise.
        step: Which checkpoint.

    Raises:
        CheckpointError: there is no such checkpoint, or it is damaged.
        ValueError: it is of another network or optimiser.
    """
    directory, known = Path(directory), steps(directory)
    if step == "best":
        step = min(known, key=lambda s: _loss(directory / str(s)), default="best")
    elif step == "latest" and known:
        step = known[-1]
    if step not in known:
        raise CheckpointError(
            f"checkpoint: {directory} must hold the {step} step, "
            f"got {', '.join(map(str, known)) or 'no checkpoint'}"
        )
    place = directory / str(step)
    about, arrays = read(place)
    like = _initial(network, optimiser)
    key = arrays.pop("key")
    check_alike(f"checkpoint: {place}", specs(arrays), specs(named(like)))
    return Snapshot(
        to_tree(arrays, like),
        jax.random.wrap_key_data(jnp.asarray(key)),
        about["step"],
        tuple(Epoch(**epoch) for epoch in about["history"]),
        Source(**about["source"]),
    )


def steps(directory: str | Path) -> list[int]:
    """The steps of which there is a checkpoint, in order; none where no folder is."""
    directory = Path(directory)
    if not directory.is_dir():
        return []
    with _told(directory, "be a folder of checkpoints"):
        return _orbax().steps(directory)


def settings_of(directory: str | Path) -> dict[str, Any]:
    """The settings that the newest checkpoint was written with; it must exist.

    Raises:
        CheckpointError: it is damaged.
    """
    return read(Path(directory) / str(steps(directory)[-1]))[0]["settings"]


def write(path: Path, snapshot: Snapshot, settings: Mapping[str, Any]) -> None:
    """The file of a checkpoint, on the disk when this returns."""
    arrays = to_arrays(snapshot.state) | {"key": to_arrays(snapshot.key)["leaf"]}
    about = {
        "step": snapshot.step,
        "source": snapshot.source._asdict(),
        "settings": settings,
        "history": [epoch._asdict() for epoch in snapshot.history],
        "leaves": {name: (v.shape, str(v.dtype)) for name, v in arrays.items()},
    }
    arrays["about"] = np.array(json.dumps(about).encode())
    if jax.process_index():
        return  # Of several processes the first one writes.
    with path.open("wb") as file:
        np.savez(file, **{name: _bytes(v) for name, v in arrays.items()})
        file.flush()
        os.fsync(file.fileno())


def read(place: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What the folder of a step tells of the training, and its leaves by name.

    Raises:
        CheckpointError: the file is missing or damaged.
    """
    with (
        _told(place, "be whole"),
        (place / FILE).open("rb") as file,
        np.load(file, allow_pickle=False) as entries,
    ):
        about = json.loads(entries["about"].tobytes())
        return about, {
            name: entries[name].view(jnp.dtype(dtype)).reshape(shape)
            for name, (shape, dtype) in about["leaves"].items()
        }


def _bytes(v: np.ndarray) -> np.ndarray:
    """Of any dtype, those too that npz does not know."""
    return np.frombuffer(v.tobytes(), np.uint8)


def _loss(place: Path) -> float:
    """The validation loss of a step that ends an epoch; infinite within one."""
    about, _ = read(place)
    epoch, source = about["history"][-1], about["source"]
    ends = about["step"] == epoch["number"] * (source["rows"] // source["batch_size"])
    return epoch["validation_loss"] if ends else float("inf")


def _initial(network: Rule, optimiser: optax.GradientTransformation) -> State:
    params = network.init(jax.random.key(0))
    return State(params, optimiser.init(params))


def _orbax() -> Any:
    """The module that imports Orbax, which takes most of a second."""
    try:
        from purefw import checkpoint_manager
    except ImportError:
        raise CheckpointError(
            "checkpoint: orbax-checkpoint must be installed "
            "(pip install 'purefw[train]'), got no module orbax"
        ) from None
    return checkpoint_manager


@contextmanager
def _told(place: Path, requirement: str) -> Iterator[None]:
    """What the system and Orbax raise, as one sentence."""
    try:
        yield
    except Exception as error:  # A damaged zip file can raise any.
        reason = getattr(error, "strerror", None) or str(error) or "an empty file"
        raise CheckpointError(
            f"checkpoint: {place} must {requirement}, got {reason}"
        ) from None
