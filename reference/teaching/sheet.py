"""The sheet that a learner fills in: the task, two functions to write, nothing else."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from reference.teaching.exercise import Exercise, Part, drawn
from reference.verifier.oracle import exact_arithmetic

MARK = "# purefw exercise:"
FOOT = """\
Fill in the functions below, in NumPy or in jax.numpy, and ask

    purefw grade {file}          the marks, term by term
    purefw grade {file} --hint   and one hint more each time

Arrays are float64 and may not be written into; derivatives of JAX's are refused."""


def sheet(exercise: Exercise) -> str:
    """The text of the file."""
    parts = zip(exercise.parts, drawn(exercise, 0))
    functions = [functions_of(part, cases[0].args, cases[0].options)
                 for part, cases in parts]  # fmt: skip
    foot = FOOT.format(file=exercise.file)
    return (
        f'{MARK} {exercise.name}\n"""{exercise.number}. {exercise.task}\n\n{foot}\n"""'
        + "\n\nimport numpy as np\n\n\n"
        + "\n\n\n".join(functions)
        + "\n"
    )


def functions_of(part: Part, args: tuple, options: Mapping[str, Any]) -> str:
    """The two functions of a part, to be written."""
    y, residuals = shapes(part, args, options)
    keywords = "".join(f", {name}" for name in part.options)
    keywords = f", *{keywords}" if keywords else ""
    kept, outputs = field_names(residuals), output_names(y)
    gradients = in_brackets([f"d{name}" for name in part.gradients])
    dy = in_brackets([f"d{n}" for n in outputs]) if len(outputs) > 1 else "dy"
    unpacked = f"    {dy} = dy\n" if len(outputs) > 1 else ""
    return (
        f"def {part.function('forward')}({', '.join(part.arguments)}{keywords}):\n"
        f'    """Return {in_brackets(outputs, bare=True)}, {in_brackets(kept)}."""\n'
        f"    raise NotImplementedError\n\n\n"
        f"def {part.function('backward')}(residuals, dy{keywords}):\n"
        f'    """Return {gradients}."""\n'
        f"    {in_brackets(kept, bare=len(kept) > 1)} = residuals\n{unpacked}"
        f"    raise NotImplementedError"
    )


def shapes(part: Part, args: tuple, options: Mapping[str, Any]) -> tuple:
    """y and residuals without their values."""
    with exact_arithmetic():
        return jax.eval_shape(
            lambda *a: part.forward(*a, **options), *map(np.asarray, args)
        )


def field_names(found: Any) -> list[str]:
    """Of a NamedTuple."""
    return list(found._fields)


def output_names(y: Any) -> list[str]:
    """ "y", or the fields where there are several."""
    return field_names(y) if isinstance(y, tuple) else ["y"]


def in_brackets(names: list[str], bare: bool = False) -> str:
    """(a, b), (a,), or a where one may stand alone."""
    if len(names) == 1:
        return names[0] if bare else f"({names[0]},)"
    text = ", ".join(names)
    return text if bare else f"({text})"


def name_in(source: str) -> str | None:
    """The exercise that a sheet says it is."""
    for line in source.splitlines():
        if line.startswith(MARK):
            return line.removeprefix(MARK).strip()
    return None


def write_sheets(exercises: dict[str, Exercise], folder: Path) -> list[Path]:
    """Write every sheet that is not there yet; never over a learner's work."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for exercise in exercises.values():
        path = folder / exercise.file
        if not path.exists():
            path.write_text(sheet(exercise))
            written.append(path)
    return written
