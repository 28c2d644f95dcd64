"""Callbacks of `fit`: when to stop, and the bar that shows how far it is.

They keep nothing that the history of the training does not hold, so that they go on
rightly where a training is resumed.
"""

from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from purefw.train.moment import Epoch, Moment


@dataclass(frozen=True)
class EarlyStopping:
    """Stop when the validation loss has had no new minimum for some epochs.

    Attributes:
        patience: For how many. At least 1.

    Raises:
        ValueError: patience is not positive.

    Example:
        >>> EarlyStopping(0)
        Traceback (most recent call last):
            ...
        ValueError: early_stopping: patience must be at least 1, got 0
    """

    patience: int

    def __post_init__(self) -> None:
        """Refuse a patience that would stop at once."""
        if self.patience < 1:
            raise ValueError(
                f"early_stopping: patience must be at least 1, got {self.patience}"
            )

    def __call__(self, moment: Moment) -> bool:
        """Whether the patience is at its end."""
        best = min(moment.history, key=lambda epoch: epoch.validation_loss)
        return moment.history[-1].number - best.number >= self.patience


class Bar:
    """A progress bar on the standard error stream."""

    def __init__(self, name: str, epochs: int) -> None:
        """Prepare it; entering the context draws it.

        Args:
            name: What stands before it.
            epochs: Its length.
        """
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[newest]}"),
            console=Console(stderr=True),
        )
        self._task = self._progress.add_task(name, total=epochs, newest="")

    def __enter__(self) -> None:
        """Draw it."""
        self._progress.start()

    def __exit__(self, *error: object) -> None:
        """Leave it as it is, and the cursor below it."""
        self._progress.stop()

    def __call__(self, moment: Moment) -> None:
        """Move it."""
        newest = moment.history[-1]
        self._progress.update(
            self._task, completed=newest.number, newest=_measure(newest)
        )


def _measure(epoch: Epoch) -> str:
    """What the bar shows of an epoch."""
    if epoch.validation_accuracy is None:
        return f"validation loss {epoch.validation_loss:.4f}"
    return f"validation accuracy {epoch.validation_accuracy:.1%}"
