"""`purefw bench`: speed and memory of every rule by hand, beside autodiff."""

from pathlib import Path
from typing import Annotated

import jax
import jax.numpy as jnp
import typer
from rich.console import Console
from rich.progress import Progress

from purefw.data import load as read
from reference.bench import measure, training
from reference.bench.ceilings import ceilings
from reference.bench.epoch import MAKERS
from reference.bench.result import Run, describe, load, now, save, save_csv, versions
from reference.bench.shapes import CASES
from reference.bench.show import plot, print_comparison, print_epochs, print_run

DTYPES = ("float32", "bfloat16", "float16")
DEVICES = ("cpu", "gpu", "tpu")


def bench(
    only: Annotated[
        str, typer.Option(help="Names with commas between, or parts of names.")
    ] = "",
    device: Annotated[str, typer.Option(help="cpu, gpu or tpu.")] = "cpu",
    dtype: Annotated[str, typer.Option(help="float32, bfloat16 or float16.")] = (
        "float32"
    ),
    rounds: Annotated[int, typer.Option(min=3)] = measure.ROUNDS,
    output: Annotated[
        Path | None,
        typer.Option(help="Where to write the run: .json, .csv, .png or .svg."),
    ] = None,
    compare: Annotated[
        Path | None, typer.Option(help="The .json of an earlier run.")
    ] = None,
    train: Annotated[
        bool, typer.Option("--train", help="Time an epoch instead, beside everyone's.")
    ] = False,
    directory: Annotated[
        Path | None,
        typer.Option(help="Of MNIST, for --train; scikit-learn's digits without."),
    ] = None,
) -> None:
    """Time every rule, loss and network by hand beside autodiff of the usual form."""
    where = device_of(device)
    if train:
        epochs(only, where, directory, output)
        return
    names = chosen(only, tuple(CASES))
    if dtype not in DTYPES:
        raise ValueError(f"bench: dtype must be one of {DTYPES}, got {dtype!r}")
    write = writer(output)
    old = load(compare) if compare else None
    console = Console()
    run = benchmark(names, where, dtype, rounds, console)
    print_run(console, run)
    if old:
        print_comparison(console, old, run)
    if output:
        write(run, output)


def epochs(only: str, device, directory: Path | None, output: Path | None) -> None:
    """`--train`: an epoch at every batch size."""
    if output is not None and output.suffix != ".json":
        raise ValueError(f"bench: output must end with .json for --train, got {output}")
    who = chosen(only, tuple(MAKERS))
    data = read("mnist", directory=directory) if directory else read("digits")
    run = training.measure(data, training.BATCHES, who, device)
    print_epochs(Console(), run)
    if output:
        training.save(run, output)


def benchmark(names: list[str], device, dtype: str, rounds: int, console) -> Run:
    """The run over these cases."""
    before = ceilings(device)
    rows = []
    with Progress(console=Console(stderr=True), transient=True) as bar:
        for name in bar.track(names, description="Measuring"):
            case = CASES[name]
            rows.append(measure.measure(name, case, jnp.dtype(dtype), device, rounds))
    return Run(
        now(),
        describe(device),
        versions(),
        dtype,
        before,
        ceilings(device),
        tuple(rows),
    )


def chosen(only: str, known: tuple[str, ...]) -> list[str]:
    """The names that contain one of the parts; all of them for none."""
    parts = [part.strip() for part in only.split(",") if part.strip()]
    names = [n for n in known if n in parts or any(p in n for p in parts) or not parts]
    if not names:
        raise ValueError(
            f"bench: only must name some of {', '.join(known)}, got {only!r}"
        )
    return names


def device_of(name: str):
    """The first device of a platform."""
    if name not in DEVICES:
        raise ValueError(f"bench: device must be one of {DEVICES}, got {name!r}")
    try:
        return jax.devices(name)[0]
    except RuntimeError:
        raise ValueError(
            f"bench: device must be one that jax finds here, got {name!r}"
        ) from None


def writer(output: Path | None):
    """What writes a file of this name."""
    known = {".json": save, ".csv": save_csv, ".png": plot, ".svg": plot}
    if output is not None and output.suffix not in known:
        raise ValueError(
            f"bench: output must end with one of {', '.join(known)}, got {output}"
        )
    return known[output.suffix] if output else None
