"""Checkpoints of a training, kept by Orbax: interrupted at any moment, it goes on.

A checkpoint holds all that training goes on from, purefw.train.Snapshot: parameters,
running statistics among them, the optimiser's state, the key and the step, from which
the order of the rows follows, and the history. It is written beside its place and put
there by one rename, so that a process killed in the middle, or a full disk, leaves the
earlier ones as they were. A checksum of every leaf tells damage from outside.

Writing costs a copy of the state on the host. Needs orbax-checkpoint, of the extra
`train`.
"""

import gc
import logging
import os
import re
import sys
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
import optax

from purefw.leaves import Spec, check_alike, specs, to_arrays, to_tree
from purefw.rule import Rule
from purefw.train.moment import Epoch, Moment, Snapshot, Source
from purefw.train.step import State


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
        self, directory: str | Path, *, keep: int = 3, every: int | None = None
    ) -> None:
        """Make the directory where there is none, and clear what a killed run left.

        Args:
            directory: Of the checkpoints of one training and nothing else.
            keep: How many of the newest stay, beside the best. At least 1.
            every: Steps between checkpoints within an epoch. None: none.

        Raises:
            CheckpointError: the directory cannot be made or read, or `keep` is not
                positive.
        """
        if keep < 1:
            raise CheckpointError(f"checkpoint: keep must be at least 1, got {keep}")
        self.every, self._directory = every, Path(directory)
        with _told(self._directory, "be a folder to write to"):
            self._manager = _writer(self._directory, keep)

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
        with _told(self._directory, "take a checkpoint"):
            save(self._manager, moment)


def save(manager: Any, moment: Moment) -> None:
    """Write a snapshot; the manager of Orbax removes what is not to be kept."""
    import orbax.checkpoint as ocp

    snapshot = moment.snapshot
    arrays = to_arrays(snapshot.state) | {"key": to_arrays(snapshot.key)["leaf"]}
    about = {
        "step": snapshot.step,
        "source": snapshot.source._asdict(),
        "history": [epoch._asdict() for epoch in snapshot.history],
        "leaves": [
            {
                "name": name,
                "shape": v.shape,
                "dtype": str(v.dtype),
                "checksum": _checksum(v),
            }
            for name, v in arrays.items()
        ],
    }
    loss = None if moment.epoch is None else moment.epoch.validation_loss
    manager.save(
        snapshot.step,
        args=ocp.args.Composite(
            arrays=ocp.args.StandardSave(arrays), about=ocp.args.JsonSave(about)
        ),
        metrics=None if loss is None else {"validation_loss": loss},
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
        step = min(known, key=lambda s: _loss(directory, s), default="best")
    elif step == "latest" and known:
        step = known[-1]
    if step not in known:
        raise CheckpointError(
            f"checkpoint: {directory} must hold the {step} step, "
            f"got {', '.join(map(str, known)) or 'no checkpoint'}"
        )
    place = directory / str(step)
    about = _about(directory, step)
    like = jax.eval_shape(lambda: _initial(network, optimiser, jax.random.key(0)))
    stored = {v["name"]: Spec(tuple(v["shape"]), v["dtype"]) for v in about["leaves"]}
    key_spec = stored.pop("key")
    check_alike(f"checkpoint: {place}", stored, specs(like))
    with _told(place, "be whole"):
        arrays = _arrays(directory, step, stored | {"key": key_spec})
        for leaf in about["leaves"]:
            if _checksum(arrays[leaf["name"]]) != leaf["checksum"]:
                raise ValueError(f"other bytes in {leaf['name']}")
    return Snapshot(
        to_tree(arrays, like),
        jax.random.wrap_key_data(arrays["key"]),
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
        import orbax.checkpoint as ocp

        return sorted(ocp.utils.checkpoint_steps(directory))


def _initial(network: Rule, optimiser: optax.GradientTransformation, key: Any) -> State:
    params = network.init(key)
    return State(params, optimiser.init(params))


def _about(directory: Path, step: int) -> dict[str, Any]:
    import orbax.checkpoint as ocp

    with _told(directory / str(step), "be whole"):
        return _read(directory, step, about=ocp.args.JsonRestore()).about


def _loss(directory: Path, step: int) -> float:
    """The validation loss of a step that ends an epoch; infinite within one."""
    about = _about(directory, step)
    epoch = about["history"][-1]
    steps_an_epoch = about["source"]["rows"] // about["source"]["batch_size"]
    at_end = step == epoch["number"] * steps_an_epoch
    return epoch["validation_loss"] if at_end else float("inf")


def _arrays(directory: Path, step: int, wanted: dict[str, Spec]) -> dict:
    import orbax.checkpoint as ocp

    like = {name: jax.ShapeDtypeStruct(*spec) for name, spec in wanted.items()}
    found = _read(directory, step, arrays=ocp.args.StandardRestore(like)).arrays
    return {name: np.asarray(v) for name, v in found.items()}


def _read(directory: Path, step: int, **items: Any) -> Any:
    import orbax.checkpoint as ocp

    with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as checkpointer:
        place = (directory / str(step)).absolute()
        return checkpointer.restore(place, args=ocp.args.Composite(**items))


def _checksum(v: np.ndarray) -> int:
    return zlib.crc32(np.ascontiguousarray(v).tobytes())


def _writer(directory: Path, keep: int) -> Any:
    """Orbax's manager; it removes what a killed process left half written."""
    import orbax.checkpoint as ocp

    policies = ocp.checkpoint_managers
    best = policies.BestN(
        get_metric_fn=lambda metrics: -metrics["validation_loss"],
        n=1,
        keep_checkpoints_without_metrics=False,
    )
    options = ocp.CheckpointManagerOptions(
        enable_async_checkpointing=False,
        cleanup_tmp_directories=True,
        preservation_policy=policies.AnyPreservationPolicy(
            [policies.LatestN(keep), best]
        ),
    )
    return ocp.CheckpointManager(directory.absolute(), options=options)


@contextmanager
def _told(place: Path, requirement: str) -> Iterator[None]:
    """Whatever Orbax and the system below it raise, as one sentence."""
    reason = None
    with _quiet():
        try:
            yield
        except ImportError:
            place, requirement = "orbax-checkpoint", "be installed"
            reason = "no module orbax: pip install 'purefw[train]'"
        except Exception as error:
            reason = _reason(error)
        if reason is not None:
            gc.collect()  # What is left of the threads complains as it goes.
    if reason is not None:
        raise CheckpointError(f"checkpoint: {place} must {requirement}, got {reason}")


@contextmanager
def _quiet() -> Iterator[None]:
    """Orbax raises an error, logs it, and its threads print it: once will do."""
    hooks, level = (
        (threading.excepthook, sys.unraisablehook),
        logging.root.manager.disable,
    )
    threading.excepthook = sys.unraisablehook = lambda args: None
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        threading.excepthook, sys.unraisablehook = hooks
        logging.disable(level)


def _reason(error: Exception) -> str:
    """What went wrong, without the paths and settings that TensorStore adds."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    code = re.search(r"os_error_code='(\d+)'", str(error))
    if code:
        return os.strerror(int(code.group(1)))
    first = next(iter(str(error).strip().splitlines()), type(error).__name__)
    return first if len(first) <= 200 else f"{first[:200]}..."
