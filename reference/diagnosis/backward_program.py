"""The hand's program: the jaxpr of its backward and the lines of its equations.

(residuals, dys, live) -> the cotangents of the live leaves
"""

import linecache
import os
from dataclasses import dataclass
from typing import Any

import jax

from reference.diagnosis.hypothesis import OtherProgram
from reference.diagnosis.scene import Stage
from reference.mutate.edits import walk


@dataclass(frozen=True)
class Equation:
    """One equation, bodies of loops included.

    Attributes:
        number: In the order of the walk.
        path: The calls to it.
        eqn: JAX's own.
        source: "file.py:line" or "".
        code: That line.
    """

    number: int
    path: tuple[int, ...]
    eqn: Any
    source: str
    code: str

    @property
    def text(self) -> str:
        """For a person."""
        if not self.code:
            return self.source or f"`{self.eqn.primitive.name}`"
        return f"`{self.code}` ({self.source})"


class BackwardProgram:
    """The program of a stage, traced and not compiled."""

    def __init__(self, stage: Stage):
        """Trace it.

        Raises:
            Exception: whatever tracing raises.
        """
        home = stage.home
        program = stage.reading(stage.backward_program)
        self.closed = jax.make_jaxpr(program)(home.run.residuals, home.dys, home.live)
        self.equations = [
            Equation(n, path, eqn, *place(frame))
            for n, (path, eqn, frame) in enumerate(walk(self.closed.jaxpr))
        ]

    def same(self, equation: Equation) -> Equation:
        """The equation that stands where this one stands in another size's program.

        Raises:
            OtherProgram: there the program has other equations.
        """
        if equation.number < len(self.equations):
            there = self.equations[equation.number]
            names = (there.eqn.primitive.name, equation.eqn.primitive.name)
            if there.source == equation.source and names[0] == names[1]:
                return there
        raise OtherProgram


def place(frame: tuple[str, int] | None) -> tuple[str, str]:
    """ "file.py:line" and what is written there."""
    if frame is None:
        return "", ""
    code = linecache.getline(*frame).split("#")[0].strip()
    return f"{os.path.basename(frame[0])}:{frame[1]}", code


def program_of(stage: Stage) -> BackwardProgram | None:
    """The stage's program, made once; None where it cannot be traced."""

    def make() -> BackwardProgram | None:
        if stage.eager:
            return None
        try:
            return BackwardProgram(stage)
        except Exception:  # What cannot be traced from here is not taken apart.
            return None

    return stage.home.once("backward program", make)
