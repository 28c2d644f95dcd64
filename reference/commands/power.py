"""`purefw power`: what the verifier and other checks catch of planted mistakes."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import jax
import typer
from rich.console import Console
from rich.progress import Progress

from reference.mutate.panel import Row, examine, fingerprint
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
            help="A JSON file, written after every rule; what is in it is run again "
            "only if the rule has changed."
        ),
    ] = None,
) -> None:
    """Plant mistakes in every rule and loss, and count who catches them.

    The whole registry takes about half an hour; it can be stopped and resumed with
    --output. Exit code 1: a mistake that our verifier lets pass, or a right rule that
    it accuses.
    """
    found = (
        {row.name: row for row in read(output)} if output and output.exists() else {}
    )
    names = chosen(only)
    with Progress(console=Console(stderr=True), transient=True) as bar:
        for name in bar.track(names, description="Planting mistakes"):
            if name in found and found[name].fingerprint == fingerprint(name):
                continue
            found[name] = examine(name)
            jax.clear_caches()  # Programs of one entry serve no other.
            oracle_for.cache_clear()
            if output:
                write(output, list(found.values()))
    rows = [found[name] for name in names]
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
    """A row a line, in the registry's order: a change of one rule changes one line."""
    order = {name: n for n, name in enumerate([*RULES, *LOSSES])}
    rows = sorted(rows, key=lambda row: order[row.name])
    lines = ",\n".join(json.dumps(asdict(row)) for row in rows)
    path.write_text(f"[\n{lines}\n]\n")
