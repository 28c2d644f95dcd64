"""What is known of a training between two of its steps."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Float, Key

from purefw.train.step import State


class Epoch(NamedTuple):
    """How good the parameters are after an epoch; number 0 is before the first.

    The accuracies are None where the data have no classes.
    """

    number: int
    train_loss: float
    train_accuracy: float | None
    validation_loss: float
    validation_accuracy: float | None


class Source(NamedTuple):
    """What the order of the rows depends on, beside the key and the step."""

    rows: int
    batch_size: int
    checksum: int


class Snapshot(NamedTuple):
    """All that training goes on from.

    Attributes:
        state: Parameters, running statistics among them, and the optimiser's state.
        key: Of the training: with `step` it gives the order of all rows to come.
        step: How many steps were taken since the first epoch began.
        history: The epochs that are complete, from number 0.
        source: What the rows are drawn from.
    """

    state: State
    key: Key[Array, ""]
    step: int
    history: tuple[Epoch, ...]
    source: Source


@dataclass(frozen=True)
class Moment:
    """Training at rest between two steps.

    Attributes:
        snapshot: All that it goes on from. Its state lives until the next step, which
            works in the same memory.
        params: The parameters, a copy to keep.
        epoch: How good they are, where an epoch ends here; None within one.
        losses: Of the steps since the last moment, each before its step.
        next_batch: A function that gives the minibatch to come: (x, target, key).
    """

    snapshot: Snapshot
    params: Any
    epoch: Epoch | None
    losses: Float[np.ndarray, " steps"]
    next_batch: Callable[[], tuple[Array, Array, Key[Array, ""]]]

    @property
    def step(self) -> int:
        """How many steps were taken."""
        return self.snapshot.step

    @property
    def history(self) -> tuple[Epoch, ...]:
        """The epochs that are complete."""
        return self.snapshot.history


class NonFiniteLoss(ValueError):
    """The loss turned NaN or infinite, and training stopped.

    Attributes:
        epoch: The epoch in which it did, from 1; 0 is before the first step.
        step: The step in that epoch, from 1; the number of steps where only the
            evaluation after the last one saw it.
        params: The parameters after the last good epoch, or as training was resumed.
        history: The good epochs.
    """

    def __init__(
        self,
        epoch: int,
        step: int,
        loss: float,
        params: Any,
        history: tuple[Epoch, ...],
    ) -> None:
        """Name the place and keep the parameters."""
        super().__init__(
            f"train: loss must be finite, got {loss} in epoch {epoch}, step {step}"
        )
        self.epoch, self.step = epoch, step
        self.params, self.history = params, history
