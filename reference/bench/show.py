"""A run as tables for the terminal, as a plot, and beside an earlier one."""

from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from reference.bench.epoch import OURS
from reference.bench.measure import Row
from reference.bench.result import Run, geometric_mean, memory_ratio
from reference.bench.training import EpochRow, TrainRun

NOISY = 0.2  # The change of the ceilings during a run beyond which it is not quiet.
CHANGED = 0.1


HEADERS = ("", "time", "±", "ms", "MB", "auto", "flops", "bytes", "round", "compile")


def print_run(console: Console, run: Run) -> None:
    """The table and what it amounts to."""
    table = Table(*HEADERS, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in table.columns[1:]:
        column.justify, column.no_wrap = "right", True
    for row in run.rows:
        table.add_row(*cells(row))
    console.print(table)
    console.print(summary(run), soft_wrap=True)


def cells(row: Row) -> tuple[str, ...]:
    """One line of the table."""
    hand, auto = row.hand, row.auto
    return (
        row.name,
        time_ratio(row),
        f"{row.spread:.0%}",
        f"{hand.milliseconds:.3g}",
        f"{hand.temporary / 1e6:.1f}",
        f"{auto.temporary / 1e6:.1f}",
        quotient(hand.flops, auto.flops),
        quotient(hand.bytes, auto.bytes),
        f"{row.rounding:.2f}",
        quotient(hand.compile_seconds, auto.compile_seconds),
    )


def quotient(hand: float, auto: float) -> str:
    """hand / auto; nothing where that says nothing."""
    return f"{hand / auto:.2f}" if auto else "-"


def time_ratio(row: Row) -> str:
    """The ratio, if the rounds agree on one."""
    return f"{row.ratio:.2f}" if row.steady else "noisy"


def summary(run: Run) -> str:
    """The sentences below the table."""
    steady = [row for row in run.rows if row.steady]
    lines = [
        f"{run.device}, {run.dtype}, {run.versions}, {run.date}",
        "time: by hand / by autodiff, the median of interleaved rounds, ± the width of "
        "its 95 % interval; ms: by hand; MB: temporary memory by hand, and autodiff's; "
        "flops, bytes, compile: by hand / by autodiff; round: our largest error by "
        "autodiff's",
        f"geometric means: time {geometric_mean(r.ratio for r in steady):.2f} of "
        f"{len(steady)} steady rows, memory "
        f"{geometric_mean(map(memory_ratio, run.rows)):.2f} (counting 1 MB at least)",
        f"ceilings: {run.ceilings.gigaflops:.0f} GFLOP/s of a matrix product, "
        f"{run.ceilings.gigabytes:.0f} GB/s of a copy",
    ]
    if run.disturbance > NOISY:
        lines.append(
            f"THE MACHINE WAS NOT QUIET: a ceiling changed by {run.disturbance:.0%} "
            "during the run, the milliseconds are not to be trusted"
        )
    return "\n".join(lines)


def print_comparison(console: Console, old: Run, new: Run) -> None:
    """The rows of both runs whose time ratio, memory or rounding changed."""
    table = Table(
        "", "time before", "now", "MB before", "now", "rounding before", "now"
    )
    before = {row.name: row for row in old.rows}
    for row in new.rows:
        was = before.get(row.name)
        if was is not None and changed(was, row):
            table.add_row(
                row.name,
                time_ratio(was),
                time_ratio(row),
                *(f"{r.hand.temporary / 1e6:.1f}" for r in (was, row)),
                *(f"{r.rounding:.2f}" for r in (was, row)),
            )
    console.print(table if table.rows else "Nothing has changed.")


def changed(was: Row, row: Row) -> bool:
    """Whether a reader should look: a tenth of the time, or any memory."""
    apart = abs(row.ratio / was.ratio - 1)
    slower = was.steady and row.steady and apart > CHANGED + max(was.spread, row.spread)
    return slower or was.hand.temporary != row.hand.temporary


def print_epochs(console: Console, run: TrainRun) -> None:
    """Everyone's epoch at every batch size, the fastest of each first."""
    table = Table("batch", "", "seconds", "by ours", "accuracy", "GFLOP/s", "ceiling")
    for row in ordered(run):
        table.add_row(*epoch_cells(run, row))
    console.print(table)
    console.print(
        f"{run.device}, {run.data}, {run.versions}, {run.date}; ceiling: the share of "
        f"{run.ceilings.gigaflops:.0f} GFLOP/s of a matrix product",
        soft_wrap=True,
    )


def ordered(run: TrainRun) -> list[EpochRow]:
    """By batch size, the fastest first, those that could not run last."""
    return sorted(run.rows, key=lambda row: (row.batch, row.seconds or float("inf")))


def epoch_cells(run: TrainRun, row: EpochRow) -> tuple[str, ...]:
    """One line of the table."""
    if row.seconds is None:
        return str(row.batch), row.who, f"not run: {row.reason}", "", "", "", ""
    ours = {r.batch: r.seconds for r in run.rows if r.who == OURS}.get(row.batch)
    return (
        str(row.batch),
        row.who,
        f"{row.seconds:.3g}",
        f"{row.seconds / ours:.2f}" if ours else "-",
        f"{row.accuracy:.2%}",
        f"{row.gigaflops:.1f}",
        f"{row.gigaflops / run.ceilings.gigaflops:.0%}",
    )


def plot(run: Run, path: Path) -> None:
    """A bar for every ratio of time and of memory, the best at the top."""
    try:
        import matplotlib
    except ImportError:
        raise ValueError(
            "bench: matplotlib must be installed for plots, got none: "
            "pip install purefw[train]"
        ) from None
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    rows = sorted(run.rows, key=lambda row: -row.ratio)
    figure, axes = plt.subplots(
        1, 2, sharey=True, figsize=(9, 1 + 0.19 * len(rows)), layout="constrained"
    )
    names = [row.name for row in rows]
    for ax, title, value in (
        (axes[0], "time", [row.ratio for row in rows]),
        (axes[1], "temporary memory", list(map(memory_ratio, rows))),
    ):
        ax.barh(
            names, value, color=["#1a7f6b" if v <= 1.03 else "#b5452c" for v in value]
        )
        ax.axvline(1, color="black", linewidth=0.8)
        ax.set_xlabel(f"{title}, by hand / by autodiff")
        ax.margins(y=0.005)
        ax.tick_params(axis="y", labelsize=7)
    figure.suptitle(f"{run.device}, {run.dtype}", fontsize=9)
    figure.savefig(path, dpi=130)
    plt.close(figure)
