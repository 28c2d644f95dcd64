"""Orbax, which puts checkpoints in their place and decides which stay.

A step is a folder. It is filled under another name and then renamed, so that there is
never half of one; what a killed process left under the other name is cleared. What
stands in the folder is one file, which `write` of purefw.checkpoint makes.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import (
    AnyPreservationPolicy,
    BestN,
    LatestN,
)

from purefw.checkpoint import read

ITEM = "training"  # The folder of the file within that of the step.


class FileHandler(ocp.CheckpointHandler):
    """Lets a function write into the folder of an item."""

    def save(self, directory: Any, args: Any) -> None:
        """Call it."""
        args.write(Path(directory))

    def restore(self, directory: Any, args: Any = None) -> Any:
        """What `read` of purefw.checkpoint finds, which needs no Orbax."""
        return read(Path(directory).parent)


@ocp.args.register_with_handler(FileHandler, for_save=True, for_restore=True)
@dataclass
class FileArgs(ocp.args.CheckpointArgs):
    """What FileHandler calls to save: `write(folder)`."""

    write: Callable[[Path], None] | None = None


def manager(directory: Path, keep: int) -> ocp.CheckpointManager:
    """One that keeps the `keep` newest steps and that of the lowest loss."""
    if jax.process_index() == 0:
        for path in directory.glob("*.orbax-checkpoint-tmp*"):
            shutil.rmtree(path)  # Orbax would, in a thread that outlives the program.
    best = BestN(
        get_metric_fn=lambda metrics: -metrics["validation_loss"],
        n=1,
        keep_checkpoints_without_metrics=False,
    )
    options = ocp.CheckpointManagerOptions(
        enable_async_checkpointing=False,
        preservation_policy=AnyPreservationPolicy([LatestN(keep), best]),
    )
    return ocp.CheckpointManager(directory.absolute(), options=options)


def save(
    keeper: ocp.CheckpointManager,
    step: int,
    write: Callable[[Path], None],
    loss: float | None,
) -> None:
    """Make the checkpoint of a step; `loss` where it is judged by which is best."""
    keeper.save(
        step,
        args=ocp.args.Composite(**{ITEM: FileArgs(write)}),
        metrics=None if loss is None else {"validation_loss": loss},
    )


def steps(directory: Path) -> list[int]:
    """Those of which there is a checkpoint, in order."""
    return sorted(ocp.utils.checkpoint_steps(directory))
