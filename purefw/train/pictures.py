"""Callbacks of `fit` that draw: into files at the end, or live in a notebook.

Needs matplotlib, of the extra `train`; Live needs IPython, which notebooks have.
"""

from io import BytesIO
from pathlib import Path
from typing import Any

import jax
from matplotlib.animation import PillowWriter
from matplotlib.figure import Figure

from purefw import plot
from purefw.data import Dataset
from purefw.leaves import gathered
from purefw.rule import Rule
from purefw.train.moment import Moment

FRAMES = 60  # Of an animation, at most.


class Pictures:
    """Writes what purefw.plot draws of a training when it ends.

    curves.png and weights.png; confusion.png where rows have a class each; and for
    points of the plane boundary.png, with boundary.gif, its growth over the epochs.
    """

    def __init__(
        self, directory: str | Path, network: Rule, data: Dataset, epochs: int
    ) -> None:
        """Make the folder.

        Args:
            directory: Where the files go.
            network: What trains.
            data: What it learns.
            epochs: How many there will be, from which the frames are taken.

        Raises:
            ValueError: the folder cannot be made.
        """
        self._directory, self._network, self._data = Path(directory), network, data
        self._distance = -(-epochs // FRAMES)
        self._frames: list[tuple[int, Any]] = []
        self._last: Moment | None = None
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._refused(error) from None

    def __enter__(self) -> None:
        """Nothing."""

    def __exit__(self, *error: object) -> None:
        """Write the files, of the epochs there were.

        Raises:
            ValueError: a file cannot be written.
        """
        if self._last is None:
            return
        figures = self._figures(self._last)
        if jax.process_index():
            return  # Of several processes the first one writes.
        try:
            for name, figure in figures.items():
                figure.savefig(self._directory / f"{name}.png", dpi=110)
            if self._frames:
                self._animate(self._directory / "boundary.gif")
        except OSError as failure:
            raise self._refused(failure) from None

    def __call__(self, moment: Moment) -> None:
        """Remember the epoch, and of some of them what the network says."""
        if moment.epoch is None:
            return
        self._last = moment
        number = moment.epoch.number
        if plot.in_plane(self._data) and number % self._distance == 0:
            params = gathered(moment.params)
            shares = plot.shares(self._network, params, self._data)
            self._frames.append((number, shares))

    def _figures(self, moment: Moment) -> dict[str, Figure]:
        network, data, params = self._network, self._data, gathered(moment.params)
        found = {
            "curves": plot.curves(moment.history),
            "weights": plot.weights(params),
        }
        if data.classes is not None and data.validation.labels.ndim == 1:
            found["confusion"] = plot.confusion(
                network, params, data.validation, data.classes
            )
        if plot.in_plane(data):
            found["boundary"] = plot.boundary(network, params, data)
        return found

    def _animate(self, path: Path) -> None:
        figure = Figure(figsize=(5, 4.4), layout="constrained")
        axes, writer = figure.subplots(), PillowWriter(fps=8)
        with writer.saving(figure, path, dpi=80):
            for number, shares in self._frames:
                axes.clear()
                plot.draw_boundary(axes, shares, self._data)
                axes.set_title(f"epoch {number}")
                writer.grab_frame()

    def _refused(self, error: OSError) -> ValueError:
        return ValueError(
            f"plot: {self._directory} must be a folder to write to, "
            f"got {error.strerror}"
        )


class Live:
    """Draws curves, and of points of the plane the boundary, live in a notebook.

    Example:
        In a notebook::

            fit(network, loss, data, ..., callbacks=[Live(network, data)])
    """

    def __init__(self, network: Rule, data: Dataset) -> None:
        """Name what is drawn.

        Raises:
            ValueError: IPython is not installed.
        """
        try:
            from IPython.display import Image, display
        except ImportError:
            raise ValueError(
                "live: IPython must be installed, as in a notebook, "
                "got no module IPython"
            ) from None
        self._display, self._image, self._handle = display, Image, None
        self._network, self._data = network, data

    def __call__(self, moment: Moment) -> None:
        """Replace the picture by that of the newest epoch."""
        if moment.epoch is None:
            return
        stream = BytesIO()
        self._figure(moment).savefig(stream, format="png", dpi=80)
        image = self._image(data=stream.getvalue())
        if self._handle is None:
            self._handle = self._display(image, display_id=True)
        else:
            self._handle.update(image)

    def _figure(self, moment: Moment) -> Figure:
        in_plane = plot.in_plane(self._data)
        count = 1 + (moment.epoch.train_accuracy is not None)
        figure = Figure(figsize=(4.5 * (count + in_plane), 3.6), layout="constrained")
        panels = figure.subplots(1, count + in_plane, squeeze=False)[0]
        plot.draw_curves(panels[:count], moment.history)
        if in_plane:
            shares = plot.shares(self._network, moment.params, self._data)
            plot.draw_boundary(panels[-1], shares, self._data)
        return figure
