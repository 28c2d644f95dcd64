"""`purefw lab`: the lesson's lab, its table, its figures and its accident."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from purefw.data import Dataset, Split, load
from reference.lab import accident, answers, sweep
from reference.lab.sweep import Plan
from reference.lab.table import header, rows

HIDDEN = {"digits": 32, "mnist": 128}
EPOCHS = {"digits": 10, "mnist": 1}
NETWORKS = 7


def lab(
    out: Annotated[
        Path, typer.Option(help="Folder for lab.html and the figures.")
    ] = Path("lab"),
    data_dir: Annotated[
        Path | None, typer.Option(help="Folder of MNIST; without it, the digits.")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(help="10 for the digits, 1 for MNIST.")
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Rows a step.")] = 4,
    learning_rate: Annotated[float, typer.Option(help="Of plain SGD.")] = 0.1,
    seeds: Annotated[int, typer.Option(help="Trainings of each network.")] = 3,
) -> None:
    """Train 1 to 3 layers with three activations, and answer the lab's questions."""
    name = "digits" if data_dir is None else "mnist"
    data = (
        load(name) if data_dir is None else lesson_split(load(name, directory=data_dir))
    )
    count = EPOCHS[name] if epochs is None else epochs
    plan = Plan(data, count, batch_size, learning_rate, tuple(range(seeds)))
    console = Console()
    title = (
        f"{data.name}: {len(data.train.x)} rows to learn from, "
        f"{len(data.validation.x)} held out; batch {batch_size}, learning rate "
        f"{learning_rate}, {count} epoch{'s' * (count > 1)}, {seeds} seeds."
    )
    console.print(title, soft_wrap=True)
    runs = []
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("Training", total=NETWORKS + 1)
        for run in sweep(plan, HIDDEN[name]):
            runs.append(run)
            bar.update(task, advance=1, description=run.name)
        last = runs[-1]
        mishap = accident(plan, last.sizes, last.activation, last.accuracy)
    table = Table(*header(runs))
    for cells in rows(runs, mishap):
        table.add_row(*cells)
    console.print(table)
    for question, sentence in answers(runs, mishap):
        console.print(f"[bold]{question}[/bold]\n{sentence}\n")
    console.print(f"See {save(out, title, runs, mishap)}")


def lesson_split(data: Dataset) -> Dataset:
    """The lesson's rows of MNIST: 40,000 to learn from and the next 10,000 held out."""
    x, labels = data.train
    splits = [Split(x[a:b], labels[a:b]) for a, b in ((0, 40_000), (40_000, 50_000))]
    return Dataset(data.name, *splits, data.classes)


def save(out: Path, title: str, runs, mishap) -> Path:
    """Write page and figures; returns the page."""
    try:
        from reference.lab.page import write
    except ModuleNotFoundError:
        raise ValueError(
            "lab: the figures need matplotlib, pip install 'purefw[train]'"
        ) from None
    try:
        return write(out, title, runs, mishap)[-1]
    except OSError as error:
        raise ValueError(
            f"lab: {out} must be a folder to write to, got {error}"
        ) from None
