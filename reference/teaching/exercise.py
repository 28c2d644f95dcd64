"""What an exercise is: one file, from the task to what the grader needs.

The file's docstring is the task that the learner reads; it ends with what is to be
derived and gives no answer. `EXERCISE` holds the rest:

    forward          the reference in jax.numpy; its derivative is the truth, so nobody
                     writes a backward for the grader
    configurations   draws the hidden cases from a generator: a usual one, then edges
    gradients        the arguments that get a gradient, each with its formula, which is
                     the last hint
    terms            the named summands of a gradient, where it is a sum that one can
                     get half right

A backward that is long is cut into parts, each a forward and a backward of its own.
Every part is given the reference's residuals and cotangents, so that a mistake in one
costs nothing in the others.
"""

import importlib
import inspect
import pkgutil
import runpy
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from reference.teaching import exercises

Terms = Callable[..., dict[str, dict[str, Any]]]


@dataclass(frozen=True)
class Configuration:
    """One case that a submission is tried on.

    Attributes:
        kind: What is special about it: "usual", "one row", "repeated ids".
        args: The arguments of forward, float64, int64 or bool arrays.
        options: Its keyword arguments, Python numbers that JSON can hold.
    """

    kind: str
    args: tuple
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Part:
    """A forward and the backward that is to be derived for it.

    Attributes:
        forward: `forward(*args, **options) -> (y, residuals)` in jax.numpy. y is an
            array or a NamedTuple of arrays, residuals a NamedTuple of arrays.
        configurations: From a generator to the hidden cases, a usual one first.
        gradients: From an argument's name to the formula of its gradient.
        name: "" in an exercise of one part; else it stands before "_forward".
        terms: `terms(residuals, dy, **options)`, from an argument's name to the named
            summands of its gradient.
    """

    forward: Callable[..., tuple[Any, Any]]
    configurations: Callable[[np.random.Generator], Iterable[Configuration]]
    gradients: Mapping[str, str]
    name: str = ""
    terms: Terms | None = None

    @property
    def arguments(self) -> list[str]:
        """Names of forward's arguments."""
        kinds = inspect.signature(self.forward).parameters.values()
        return [p.name for p in kinds if p.kind is p.POSITIONAL_OR_KEYWORD]

    @property
    def options(self) -> list[str]:
        """Names of its keyword arguments."""
        kinds = inspect.signature(self.forward).parameters.values()
        return [p.name for p in kinds if p.kind is p.KEYWORD_ONLY]

    def function(self, which: str) -> str:
        """ "forward" or "backward" as the submission names it."""
        return f"{self.name}_{which}" if self.name else which


@dataclass(frozen=True)
class Exercise:
    """An exercise.

    Attributes:
        title: In a few words.
        number: Its place in the course.
        parts: At least one.
        name: Of its file.
        task: The docstring of its file.
    """

    title: str
    number: int
    parts: tuple[Part, ...]
    name: str = ""
    task: str = ""

    @property
    def file(self) -> str:
        """The name of the sheet."""
        return f"{self.number:02d}_{self.name}.py"


def exercise_in(path: str | Path) -> Exercise:
    """The exercise in a teacher's file.

    Raises:
        ValueError: the file is not there, or defines no EXERCISE.
    """
    if not Path(path).is_file():
        raise ValueError(f"exercise: FILE must exist, got {path}")
    return _named(runpy.run_path(str(path)), Path(path).stem)


def _named(space: Mapping[str, Any], name: str) -> Exercise:
    found = space.get("EXERCISE")
    if not isinstance(found, Exercise):
        raise ValueError(
            f"exercise: {name} must define EXERCISE, got {type(found).__name__}"
        )
    return replace(found, name=name, task=inspect.cleandoc(space["__doc__"] or ""))


def all_exercises(folder: str | Path | None = None) -> dict[str, Exercise]:
    """Those of the course, and a teacher's own.

    Args:
        folder: Whose every .py file is an exercise; none where None.

    Returns:
        From name to exercise, in the order of the course.

    Example:
        >>> list(all_exercises())[:2]
        ['linear', 'tanh']
    """
    names = [m.name for m in pkgutil.iter_modules(exercises.__path__)]
    found = {name: course_exercise(name) for name in names}
    for path in sorted(Path(folder).glob("*.py")) if folder is not None else ():
        found[path.stem] = exercise_in(path)
    return dict(sorted(found.items(), key=lambda item: (item[1].number, item[0])))


def course_exercise(name: str) -> Exercise:
    """The one of that name in reference.teaching.exercises."""
    module = importlib.import_module(f"{exercises.__name__}.{name}")
    return _named(vars(module), name)


def drawn(exercise: Exercise, seed: int) -> list[list[Configuration]]:
    """The hidden configurations of each part."""
    roots = np.random.SeedSequence([0x7EAC4, seed]).spawn(len(exercise.parts))
    return [
        list(part.configurations(np.random.default_rng(root)))
        for part, root in zip(exercise.parts, roots)
    ]


def sizes(rng: np.random.Generator, count: int) -> list[int]:
    """Different primes from 3 to 11: no axis is taken for another, no 1/N for 1/2."""
    return [int(n) for n in rng.permutation([3, 5, 7, 11])[:count]]
