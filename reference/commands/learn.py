"""`purefw learn`: sheets to fill in. `purefw grade`: the marks of one."""

import secrets
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from reference.teaching.exercise import Exercise, all_exercises, exercise_in
from reference.teaching.formats import gradescope, junit
from reference.teaching.grade import grade as judge
from reference.teaching.ladder import climb
from reference.teaching.marks import HINTS
from reference.teaching.sandbox import Limits
from reference.teaching.sheet import name_in, write_sheets

Folder = Annotated[
    Path | None, typer.Option(help="A teacher's own exercises, a file each.")
]


def learn(
    folder: Annotated[Path, typer.Argument(help="Where the sheets go.")] = Path(
        "exercises"
    ),
    exercises: Folder = None,
) -> None:
    """Write the exercises, from linear to attention, to be filled in.

    A sheet that is there already is left alone.
    """
    found = all_exercises(exercises)
    written = write_sheets(found, folder)
    print(f"{len(written)} of {len(found)} sheets written to {folder}")
    first = next(iter(found.values()))
    print(f"begin with {first.file}, then: purefw grade {folder / first.file}")


def grade(
    file: Annotated[Path, typer.Argument(help="A sheet, filled in.")],
    exercise: Annotated[
        str | None,
        typer.Option(help="A name, or a teacher's FILE.py. The sheet says it, too."),
    ] = None,
    hint: Annotated[bool, typer.Option("--hint", help="One hint more.")] = False,
    hints: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=len(HINTS),
            help=f"So many hints, whatever was given before: {', '.join(HINTS)}.",
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(help="Of the hidden configurations; a new one each time."),
    ] = None,
    exercises: Folder = None,
    seconds: Annotated[
        float, typer.Option(help="That the submission may take.")
    ] = Limits.seconds,
    memory: Annotated[int, typer.Option(help="MiB.")] = Limits.memory >> 20,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="All that is known, for a teacher.")
    ] = None,
    gradescope_file: Annotated[
        Path | None, typer.Option("--gradescope", help="results.json.")
    ] = None,
    junit_file: Annotated[
        Path | None, typer.Option("--junit", help="JUnit's XML.")
    ] = None,
) -> None:
    """Judge a sheet on hidden configurations: marks term by term.

    Exit code 0: full marks. 1: some are lost. 2: the sheet could not be read.
    """
    if not file.is_file():
        print(f"grade: FILE must exist, got {file}", file=sys.stderr)
        raise typer.Exit(2)
    source = file.read_text(errors="replace")
    found = judge(
        source,
        exercise_of(source, exercise, exercises),
        seed=secrets.randbelow(2**31) if seed is None else seed,
        file=file.name,
        limits=Limits(seconds, memory << 20),
    )
    found = replace(found, hints=climb(file, hint) if hints is None else hints)
    print(found)
    if json_file is not None:
        json_file.write_text(found.to_json())
    if gradescope_file is not None:
        gradescope_file.write_text(gradescope(found))
    if junit_file is not None:
        junit_file.write_text(junit(found))
    raise typer.Exit(0 if found.points == found.of else 1)


def exercise_of(source: str, given: str | None, folder: Path | None) -> Exercise:
    """The one that is named, or that the sheet says it is.

    Raises:
        ValueError: there is none of that name.
    """
    if given is not None and given.endswith(".py"):
        return exercise_in(given)
    name = given or name_in(source)
    known = all_exercises(folder)
    if name not in known:
        raise ValueError(
            f"grade: exercise must be one of {', '.join(known)}, got {name or 'none'}"
        )
    return known[name]
