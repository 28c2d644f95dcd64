"""The lab's figures, one a question, and one of the accident."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from reference.lab.accident import Accident
from reference.lab.answers import of_depth
from reference.lab.sweep import ACTIVATIONS, Run

COLOURS = {
    "none": "#666666",
    "tanh": "#1f77b4",
    "sigmoid": "#d95f02",
    "relu": "#1b9e77",
}
LINES = ("-", "--", ":")


def figures(runs: Sequence[Run], mishap: Accident) -> dict[str, Figure]:
    """From a file's name to its figure."""
    return {
        "activation": activation(runs),
        "depth": depth(runs),
        "trouble": trouble(runs),
        "weights": weights(runs),
        "accident": accident(mishap),
    }


def activation(runs: Sequence[Run]) -> Figure:
    """Accuracy of every network, a bar each with its spread over seeds."""
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    axes = figure.subplots()
    for place, run in enumerate(runs):
        values = 100 * run.accuracy
        axes.bar(
            place, values.mean(), yerr=values.std(), color=COLOURS[run.activation],
            capsize=4,
        )  # fmt: skip
        axes.plot([place] * len(values), values, "k.", markersize=4)
    lowest = min(100 * run.accuracy.min() for run in runs)
    axes.set_ylim(max(0, lowest - 5), 100)
    labels = [run.name.replace(" ", "\n") for run in runs]
    axes.set_xticks(range(len(runs)), labels, fontsize=8)
    axes.set_ylabel("held-out accuracy in %")
    axes.set_title("Accuracy by activation and depth; dots are seeds")
    return figure


def depth(runs: Sequence[Run]) -> Figure:
    """Accuracy against the epoch, a panel an activation, a line a depth."""
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    panels = figure.subplots(1, len(ACTIVATIONS), sharey=True)
    for panel, name in zip(panels, ACTIVATIONS):
        shown = [run for run in runs if run.activation in (name, "none")]
        for line, run in zip(LINES, shown):
            values = 100 * np.array([look.accuracy for look in run.looks])
            layers = len(run.sizes) - 1
            _band(panel, run, values, line, f"{layers} layer{'s' * (layers > 1)}")
        panel.set_title(name)
        panel.set_xlabel("epoch")
        panel.legend(loc="lower right")
    panels[0].set_ylabel("held-out accuracy in %")
    trained = [100 * look.accuracy.min() for run in runs for look in run.looks[1:]]
    panels[0].set_ylim(max(0, min(trained) - 2))  # The start is far below.
    return figure


def trouble(runs: Sequence[Run]) -> Figure:
    """Gradient norms above, flat and dead units below, of the deepest networks."""
    deep = of_depth(runs, 3)
    figure = Figure(figsize=(9, 6), layout="constrained")
    panels = figure.subplots(2, len(deep), sharex=True, sharey="row")
    for column, run in zip(panels.T, deep):
        gradient = np.array([look.gradient for look in run.looks])
        for k, line in enumerate(LINES):
            _band(column[0], run, gradient[:, :, k], line, f"layer {k + 1}")
        flat = 100 * np.array([look.flat for look in run.looks])
        dead = 100 * np.array([look.dead for look in run.looks])
        for k, line in enumerate(LINES[:2]):
            _band(column[1], run, flat[:, :, k], line, f"flat, layer {k + 1}")
            last = dead[-1, :, k].mean()
            column[1].plot(
                run.looks[-1].epoch, last, "kx" if k else "k+", label=f"dead, {k + 1}"
            )
        column[0].set_title(run.activation)
        column[0].set_yscale("log")
        column[1].set_xlabel("epoch")
        for panel in column:
            panel.legend(fontsize=7)
    panels[0, 0].set_ylabel("norm of dW")
    panels[1, 0].set_ylabel("share of units in %")
    return figure


def weights(runs: Sequence[Run]) -> Figure:
    """The largest |W| of each layer against the epoch."""
    deep = of_depth(runs, 3)
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    panels = figure.subplots(1, len(deep), sharey=True)
    for panel, run in zip(panels, deep):
        largest = np.array([look.largest for look in run.looks])
        for k, line in enumerate(LINES):
            _band(panel, run, largest[:, :, k], line, f"layer {k + 1}")
        panel.set_title(run.activation)
        panel.set_xlabel("epoch")
        panel.legend(fontsize=8)
    panels[0].set_ylabel("largest |W|")
    return figure


def accident(mishap: Accident) -> Figure:
    """Accuracies on the left, gradient errors on the right."""
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    kinds = ("one shared\nobject", "two objects", "pure\nfunction")
    colours = ("#c0392b", "#7f8c8d", "#1b9e77")
    for place, values in enumerate((mishap.shared, mishap.separate, mishap.pure)):
        mean, deviation = 100 * values.mean(), 100 * values.std()
        left.bar(place, mean, yerr=deviation, color=colours[place], capsize=4)
        left.annotate(f"{mean:.1f}", (place, mean / 2), ha="center", color="white")
    left.set_xticks(range(3), kinds)
    left.set_ylabel("held-out accuracy in %")
    left.set_title(mishap.name)
    layers = np.arange(len(mishap.errors))
    floor = 1e-17
    right.bar(layers - 0.2, np.maximum(mishap.errors, floor), 0.4, color=colours[0])
    right.bar(
        layers + 0.2, np.maximum(mishap.pure_errors, floor), 0.4, color=colours[2]
    )
    right.legend(kinds[::2])
    right.set_yscale("log")
    right.set_ylim(floor, 10)
    right.set_xticks(layers, [f"layer {k + 1}" for k in layers])
    right.set_title("relative error of dW at the start")
    return figure


def _band(panel, run: Run, values: np.ndarray, line: str, label: str) -> None:
    """The mean over seeds as a line, their range as a band, of (looks, seeds)."""
    epochs = [look.epoch for look in run.looks]
    colour = COLOURS[run.activation]
    panel.plot(epochs, values.mean(axis=1), line, color=colour, label=label)
    low, high = values.min(axis=1), values.max(axis=1)
    panel.fill_between(epochs, low, high, color=colour, alpha=0.15, linewidth=0)
