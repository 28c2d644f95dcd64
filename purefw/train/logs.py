"""Callbacks of `fit` that write the history down: CSV, JSON lines, TensorBoard.

A line an epoch, from 0, with the fields of Epoch and the step. The first call writes
the history so far, in place of what the file held, and the others add to it. So the
file of a training that was killed and resumed is that of one that was not.
"""

import csv
import json
from pathlib import Path
from typing import Any, TextIO

from purefw.train.moment import Epoch, Moment

FIELDS = ("step", "epoch", *Epoch._fields[1:])


class FileLog:
    """A file with a line an epoch, of the format that its suffix names.

    Example:
        >>> import tempfile, jax
        >>> from purefw.data import toy
        >>> from purefw.layers.relu import relu
        >>> from purefw.losses.softmax_cross_entropy import softmax_cross_entropy
        >>> from purefw.models import perceptron
        >>> from purefw.train import fit
        >>> path = Path(tempfile.mkdtemp()) / "log.csv"
        >>> _ = fit(perceptron((2, 2), relu()), softmax_cross_entropy(), toy(),
        ...         optimiser="sgd", epochs=2, batch_size=4, key=jax.random.key(0),
        ...         callbacks=[FileLog(path)])
        >>> [line.split(",")[:2] for line in path.read_text().splitlines()]
        [['step', 'epoch'], ['0', '0'], ['20', '1'], ['40', '2']]
    """

    def __init__(self, path: str | Path) -> None:
        """Name the file; nothing is written yet.

        Args:
            path: Ends with .csv or .jsonl.

        Raises:
            ValueError: another suffix.
        """
        self._path, self._written = Path(path), 0
        if self._path.suffix not in (".csv", ".jsonl"):
            raise ValueError(
                f"log: file must end with .csv or .jsonl, got {self._path.name}"
            )

    def __call__(self, moment: Moment) -> None:
        """Write the epochs that are not there yet.

        Raises:
            ValueError: the file cannot be written.
        """
        try:
            with self._path.open("a" if self._written else "w", newline="") as file:
                self._write(file, moment)
        except OSError as error:
            raise ValueError(
                f"log: {self._path} must be a file to write to, got {error.strerror}"
            ) from None
        self._written = len(moment.history)

    def _write(self, file: TextIO, moment: Moment) -> None:
        rows = [row(epoch, moment) for epoch in moment.history[self._written :]]
        if self._path.suffix == ".jsonl":
            file.writelines(json.dumps(line) + "\n" for line in rows)
            return
        table = csv.DictWriter(file, FIELDS, lineterminator="\n")
        if not self._written:
            table.writeheader()
        table.writerows(rows)


class TensorBoardLog:
    """Scalars for TensorBoard, of every epoch against its step.

    Needs tensorboardX, of the extra `tensorboard`.
    """

    def __init__(self, directory: str | Path) -> None:
        """Name the folder; each training adds a file of its own to it.

        Raises:
            ValueError: tensorboardX is not installed.
        """
        try:
            from tensorboardX import SummaryWriter
        except ImportError:
            raise ValueError(
                "tensorboard: tensorboardX must be installed "
                "(pip install 'purefw[tensorboard]'), got no module tensorboardX"
            ) from None
        self._make, self._directory = SummaryWriter, Path(directory)
        self._writer, self._written = None, 0

    def __enter__(self) -> None:
        """Nothing: the first call tells at which step the file begins."""

    def __exit__(self, *error: object) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()

    def __call__(self, moment: Moment) -> None:
        """Write the epochs that are not there yet.

        Raises:
            ValueError: the folder cannot be written to.
        """
        if self._writer is None:
            try:
                self._writer = self._make(str(self._directory), purge_step=0)
            except OSError as error:
                raise ValueError(
                    f"tensorboard: {self._directory} must be a folder to write to, "
                    f"got {error.strerror}"
                ) from None
        for epoch in moment.history[self._written :]:
            line = row(epoch, moment)
            for name in Epoch._fields[1:]:
                if line[name] is not None:
                    kind, measure = name.split("_")
                    tag = f"{measure}/{kind}"
                    self._writer.add_scalar(tag, line[name], line["step"])
        self._writer.flush()
        self._written = len(moment.history)


def row(epoch: Epoch, moment: Moment) -> dict[str, Any]:
    """A line of the log."""
    source = moment.snapshot.source
    step = epoch.number * (source.rows // source.batch_size)
    return dict(zip(FIELDS, (step, *epoch)))
