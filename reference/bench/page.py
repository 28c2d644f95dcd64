"""The tables of docs/performance.md, from the runs beside it.

    purefw bench --output docs/performance.json
    purefw bench --device gpu --output docs/performance_gpu.json
    purefw bench --train --directory MNIST --output docs/training.json
    python -m reference.bench.page

The first three measure; the last writes between the lines `<!-- measured -->` and
`<!-- /measured -->` of the page, from the root of the repository.
"""

from pathlib import Path

from reference.bench import training
from reference.bench.result import FLOOR, Run, geometric_mean, load, memory_ratio
from reference.bench.show import NOISY, epoch_cells, ordered, time_ratio
from reference.bench.why import WHY
from reference.generated import replaced, table

DOCS = Path("docs")


HEADERS = ("", "shape", "time", "ms", "product", "MB", "auto MB", "round")


def page(run: Run, gpu: Run, epochs: training.TrainRun) -> str:
    """What stands between the two lines."""
    why = table((*HEADERS, "why"), ((*cells(run, r), WHY[r.name]) for r in run.rows))
    there = table(HEADERS, (cells(gpu, row) for row in gpu.rows))
    return "\n".join(
        [
            "",
            *("### Rules, losses and networks", "", *rules(run), "", why, ""),
            *("### The same on a GPU", "", *rules(gpu), "", there, ""),
            *(*trained(epochs), ""),
        ]
    )


def rules(run: Run) -> list[str]:
    """Above a table of rules, losses and networks: where, and what it amounts to."""
    steady = [row for row in run.rows if row.steady]
    memory = geometric_mean(map(memory_ratio, run.rows))
    slower = [row.name for row in steady if row.ratio > 1.03]
    return [
        f"{machine(run)} Ceilings: {run.ceilings.gigaflops:.0f} GFLOP/s of a matrix "
        f"product, {run.ceilings.gigabytes:.0f} GB/s of a copy; after the last row "
        f"{run.after.gigaflops:.0f} and {run.after.gigabytes:.0f}.{quiet(run)}",
        "",
        f"{len(run.rows)} of {len(WHY)} cases were measured. "
        f"Geometric means: time {geometric_mean(r.ratio for r in steady):.2f} of "
        f"{len(steady)} rows with a ratio, memory {memory:.2f} (nothing counted below "
        f"{FLOOR >> 20} MB). Slower than autodiff by more than 3 %: "
        f"{', '.join(slower) or 'none'}.",
    ]


def quiet(run: Run) -> str:
    """A warning where the machine was not."""
    if run.disturbance <= NOISY:
        return ""
    return (
        f" The machine was not quiet: a ceiling changed by {run.disturbance:.0%}, "
        "so the milliseconds are not to be trusted."
    )


def cells(run: Run, row) -> tuple[str, ...]:
    """One line."""
    return (
        f"`{row.name}`",
        row.shapes,
        time_ratio(row),
        f"{row.hand.milliseconds:.3g}",
        f"{ceiling_share(run, row):.0%}",
        f"{row.hand.temporary / 1e6:.1f}",
        f"{row.auto.temporary / 1e6:.1f}",
        f"{row.rounding:.2f}",
    )


def ceiling_share(run: Run, row) -> float:
    """Its operations a second by those of a matrix product."""
    return row.hand.flops / row.hand.milliseconds / 1e6 / run.ceilings.gigaflops


def trained(run: training.TrainRun) -> list[str]:
    """The table of epochs."""
    head = ("batch", "who", "seconds", "by ours", "accuracy", "GFLOP/s", "of ceiling")
    return [
        "### An epoch of training",
        "",
        f"{run.data}; a perceptron of 128 tanh units, softmax and cross-entropy, plain "
        f"SGD: the same parameters, updates and minibatches for all but scikit-learn, "
        f"which draws its own. {machine(run)} The ceiling is "
        f"{run.ceilings.gigaflops:.0f} GFLOP/s of a matrix product.",
        "",
        table(head, (epoch_cells(run, row) for row in ordered(run))),
    ]


def machine(run: Run | training.TrainRun) -> str:
    """Where and when."""
    return f"{run.device}, {run.versions}, {run.date}."


def current(text: str) -> str:
    """The page with the tables of the runs in docs/."""
    run, gpu = (load(DOCS / f"performance{of}.json") for of in ("", "_gpu"))
    epochs = training.load(DOCS / "training.json")
    return replaced(text, "measured", page(run, gpu, epochs), who="page")


if __name__ == "__main__":
    file = DOCS / "performance.md"
    file.write_text(current(file.read_text()))
