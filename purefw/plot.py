"""Pictures of a training and of what it has learnt, as matplotlib figures.

Each function returns a Figure of its own, which a notebook shows and `savefig` writes.
Needs matplotlib, of the extra `train`.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer, Num
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from purefw.data import Dataset, Split
from purefw.evaluation import predict
from purefw.leaves import to_arrays
from purefw.rule import Rule
from purefw.train.moment import Epoch

POINTS = 150  # Of the plane, along each axis.
MARGIN = 0.1  # Around the points, as a share of their extent.
TILES = 36  # Images of weights, at most.
LEGIBLE = 20  # Classes up to which the counts stand in the confusion matrix.


def curves(history: Sequence[Epoch]) -> Figure:
    """Loss, and accuracy where there is one, of both splits against the epoch.

    A line marks the epoch of the lowest validation loss: what follows it is
    overfitting, where the training loss goes on falling.

    Example:
        >>> epochs = [Epoch(0, 0.7, 0.5, 0.8, 0.4), Epoch(1, 0.2, 0.9, 0.9, 0.5)]
        >>> [axes.get_ylabel() for axes in curves(epochs).axes]
        ['loss', 'accuracy in %']
    """
    has_accuracy = history[0].train_accuracy is not None
    figure = Figure(figsize=(9 if has_accuracy else 5, 3.6), layout="constrained")
    panels = figure.subplots(1, 1 + has_accuracy, squeeze=False)[0]
    draw_curves(panels, history)
    return figure


def draw_curves(panels: Iterable[Axes], history: Sequence[Epoch]) -> None:
    """The curves of `curves` on axes that are there: loss, and accuracy if two."""
    numbers = [epoch.number for epoch in history]
    best = min(history, key=lambda epoch: epoch.validation_loss).number
    for axes, (measure, unit, factor) in zip(
        panels, (("loss", "", 1), ("accuracy", " in %", 100))
    ):
        for kind, style in (("train", "-"), ("validation", "--")):
            values = [factor * getattr(e, f"{kind}_{measure}") for e in history]
            name = "training" if kind == "train" else kind
            axes.plot(numbers, values, style, label=name)
        if best < numbers[-1]:
            label = f"lowest validation loss, epoch {best}"
            axes.axvline(best, color="grey", linewidth=0.8, label=label)
        axes.set_xlabel("epoch")
        axes.set_ylabel(measure + unit)
        axes.legend()


def boundary(network: Rule, params: Any, data: Dataset) -> Figure:
    """What the network says everywhere in the plane, with the points on it.

    Args:
        network: Gives one logit a class.
        params: Its parameters.
        data: Rows of two features, in classes.

    Returns:
        A colour a class, paler where the probabilities are less certain; filled points
        were learnt from, rings held out.

    Raises:
        ValueError: rows of another width, or data without classes.
    """
    check_plane(data)
    figure = Figure(figsize=(5, 4.4), layout="constrained")
    draw_boundary(figure.subplots(), shares(network, params, data), data)
    return figure


def check_plane(data: Dataset) -> None:
    """Raise ValueError unless the rows are points of the plane, in classes."""
    if not in_plane(data):
        raise ValueError(
            f"plot: {data.name} must have rows of 2 features, in classes, got "
            f"{data.train.x.shape[1:]} and {data.classes or 'no'} classes"
        )


def in_plane(data: Dataset) -> bool:
    """Whether the rows are points of the plane, in classes."""
    return data.classes is not None and data.train.x.shape[1:] == (2,)


def extent(data: Dataset) -> tuple[float, float, float, float]:
    """Left, right, bottom and top of a picture of the plane with all points in it."""
    x = np.concatenate([np.asarray(s.x) for s in (data.train, data.validation)])
    low, high = x.min(axis=0), x.max(axis=0)
    low, high = low - MARGIN * (high - low), high + MARGIN * (high - low)
    return float(low[0]), float(high[0]), float(low[1]), float(high[1])


def shares(
    network: Rule, params: Any, data: Dataset
) -> Float[np.ndarray, "points points classes"]:
    """The probabilities of the classes at the points of a grid, from below."""
    left, right, bottom, top = extent(data)
    grid = np.meshgrid(
        np.linspace(left, right, POINTS), np.linspace(bottom, top, POINTS)
    )
    x = jnp.asarray(np.stack(grid, axis=-1).reshape(-1, 2), data.train.x.dtype)
    logits = np.asarray(predict(params, x, network=network), float)
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (p / p.sum(axis=1, keepdims=True)).reshape(POINTS, POINTS, -1)


def draw_boundary(
    axes: Axes, probabilities: Float[np.ndarray, "n m classes"], data: Dataset
) -> None:
    """The picture of `boundary` on axes that are there."""
    colours = colormaps["tab10"](np.arange(data.classes) % 10)[:, :3]
    axes.imshow(
        0.5 + 0.5 * probabilities @ colours,
        extent=extent(data),
        origin="lower",
        aspect="auto",
    )
    for split, name, filled in (
        (data.train, "learnt from", True),
        (data.validation, "held out", False),
    ):
        edges = colours[np.asarray(split.labels)]
        faces, edge = (edges, "white") if filled else ("none", edges)
        axes.scatter(*np.asarray(split.x).T, 24, faces, edgecolors=edge, label=name)
    axes.set_xlabel("$x_0$")
    axes.set_ylabel("$x_1$")
    axes.legend(loc="upper right")


def weights(params: Any) -> Figure:
    """The weights of the first layer as images.

    Args:
        params: Of any network with a leaf named weight, of two axes or more. The images
            are squares where an affine map's inputs are the pixels of one, windows of a
            convolution; otherwise there is one, the matrix itself.

    Raises:
        ValueError: there is no such leaf.
    """
    found = {n: v for n, v in to_arrays(params).items() if n.endswith("weight")}
    name = next((n for n, v in found.items() if v.ndim > 1), None)
    if name is None:
        raise ValueError("plot: params must have a weight of 2 axes or more, got none")
    every = tiles(np.asarray(found[name], float))
    images = every[:TILES]
    columns = int(np.ceil(len(images) ** 0.5))
    figure = Figure(figsize=(6, 6.4), layout="constrained")
    panels = figure.subplots(-(-len(images) // columns), columns, squeeze=False)
    largest = np.abs(images).max()
    for panel in panels.flat:
        panel.axis("off")
    for panel, image in zip(panels.flat, images):
        shown = panel.imshow(
            image, cmap="RdBu", vmin=-largest, vmax=largest, aspect="auto"
        )
    figure.colorbar(shown, ax=panels, shrink=0.6)
    shape = " x ".join(map(str, found[name].shape))
    figure.suptitle(f"{name} of {shape}, {len(images)} of {len(every)} images")
    return figure


def tiles(weight: Num[np.ndarray, "..."]) -> Num[np.ndarray, "n height width"]:
    """A weight as images: one a unit, or a window of a channel, or the whole.

    Example:
        >>> tiles(np.ones((9, 5))).shape, tiles(np.ones((8, 5))).shape
        ((5, 3, 3), (1, 8, 5))
        >>> tiles(np.ones((5, 5, 3, 7))).shape
        (21, 5, 5)
    """
    if weight.ndim == 4:
        return np.moveaxis(weight.reshape(*weight.shape[:2], -1), -1, 0)
    matrix = weight.reshape(-1, weight.shape[-1])
    side = int(len(matrix) ** 0.5)
    if side < 3 or side * side != len(matrix):
        return matrix[None]
    return matrix.T.reshape(-1, side, side)


def confusion(network: Rule, params: Any, split: Split, classes: int) -> Figure:
    """How often rows of each class were taken for each class.

    Args:
        network: Gives one score a class.
        params: Its parameters.
        split: Rows with one label each.
        classes: How many there are.
    """
    scores = jax.jit(lambda p, x: predict(p, x, network=network))(params, split.x)
    counts = confusions(scores, split.labels, classes)
    figure = Figure(figsize=(5.6, 5), layout="constrained")
    axes = figure.subplots()
    of_class = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    shown = axes.imshow(100 * counts / of_class, cmap="Blues", vmin=0, vmax=100)
    if classes <= LEGIBLE:
        for (row, column), n in np.ndenumerate(counts):
            colour = "white" if n > of_class[row, 0] / 2 else "black"
            if n:
                axes.text(column, row, n, ha="center", va="center", color=colour)
        axes.set_xticks(range(classes))
        axes.set_yticks(range(classes))
    axes.set_xlabel("taken for")
    axes.set_ylabel("class")
    axes.set_title(f"{np.trace(counts)} of {counts.sum()} right")
    figure.colorbar(shown, label="% of the class")
    return figure


def confusions(
    scores: Float[Array, "*b classes"], labels: Integer[Array, "*b"], classes: int
) -> Integer[np.ndarray, "classes classes"]:
    """Rows by their class, down, and by what they were taken for, across.

    Example:
        >>> scores = jnp.array([[0.1, 0.9], [0.2, 0.8], [0.3, 0.7]])
        >>> confusions(scores, jnp.array([0, 1, 1]), 2)
        array([[0, 1],
               [0, 2]])
    """
    counts = np.zeros((classes, classes), int)
    pair = np.asarray(labels).ravel(), np.asarray(scores.argmax(axis=-1)).ravel()
    np.add.at(counts, pair, 1)
    return counts
