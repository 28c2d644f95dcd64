"""`purefw power`: what the verifier and other checks catch of planted mistakes."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import jax
import typer
from rich.console import Console
from rich.progress import Progress

from reference.mutate.panel import Row, examine
from reference.mutate.results import table
from reference.registry import LOSSES, RULES
from reference.verifier.oracle import oracle_for


def power(
    only: Annotated[
        str, typer.Option(help="Names in the registry, with commas; all by default.")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            help="A JSON file, written after every rule; those in it are not run again."
        ),
    ] = None,
) -> None:
    """Plant mistakes in every rule and loss, and count who catches them.

    The whole registry takes about half an hour; it can be stopped and resumed with
    --output. Exit code 1: a mistake that our verifier lets pass, or a right rule that
    it accuses.
    """
    rows = read(output) if output and output.exists() else []
    names = chosen(only)
    with Progress(console=Console(stderr=True), transient=True) as bar:
        for name in bar.track(names, description="Planting mistakes"):
            if name not in {row.name for row in rows}:
                rows.append(examine(name))
                jax.clear_caches()  # Programs of one entry serve no other.
                oracle_for.cache_clear()
                if output:
                    write(output, rows)
    rows = [row for row in rows if row.name in names]
    if as_json:
        print(json.dumps([asdict(row) for row in rows]))
    else:
        show(rows)
    if any(row.survivors or row.false_alarm for row in rows):
        raise typer.Exit(1)


def chosen(only: str) -> list[str]:
    """The names asked for.

    Raises:
        ValueError: One of them is not registered.
    """
    known = [*RULES, *LOSSES]
    names = [name.strip() for name in only.split(",") if name.strip()]
    for name in names:
        if name not in known:
            raise ValueError(f"power: --only must name registered rules, got {name!r}")
    return names or known


def show(rows: list[Row]) -> None:
    """The table, then what survived."""
    console = Console()
    console.print(table(rows))
    for row in rows:
        if row.false_alarm:
            console.print(f"{row.name}: right, and called {row.false_alarm}")
        for survivor in row.survivors:
            console.print(f"{row.name}: survives: {survivor}", soft_wrap=True)


def read(path: Path) -> list[Row]:
    """The rows of a file."""
    return [Row(**row) for row in json.loads(path.read_text())]


def write(path: Path, rows: list[Row]) -> None:
    """One row a line, so that a change of one rule is a change of one line."""
    lines = ",\n".join(json.dumps(asdict(row)) for row in rows)
    path.write_text(f"[\n{lines}\n]\n")
