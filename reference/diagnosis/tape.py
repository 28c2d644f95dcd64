"""Every value that the forward computes: what a residual might have been.

The forward's jaxpr is run once with all its float results returned, those inside jit
too; the bodies of loops are left out.
"""

import linecache
import os
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from reference.diagnosis.hypothesis import OtherProgram
from reference.diagnosis.scene import Scene
from reference.mutate.edits import walk
from reference.verifier.replay import CALLS, Change, Replay

MOST = 400  # Values, and
NUMBERS = 1_000_000  # entries in all, beyond which there is no tape.


class Entry(NamedTuple):
    """One value of the forward."""

    value: np.ndarray
    source: str
    code: str


def tape(scene: Scene) -> list[Entry]:
    """The values at a scene, in order; [] where they are too many."""
    return scene.once("tape", lambda: recorded(scene))


def same_place(home: Scene, place: int, scene: Scene) -> np.ndarray:
    """The value that stands in another scene's tape where this one stands at home."""
    if len(tape(scene)) != len(tape(home)):
        raise OtherProgram
    return tape(scene)[place].value


def recorded(scene: Scene) -> list[Entry]:
    """One run of the recording program."""
    program, places = scene.stage.home.once("recorder", lambda: recorder(scene))
    if program is None:
        return []
    values = program(scene.live, scene.rest)
    return [Entry(np.asarray(v), *place) for v, place in zip(values, places)]


def recorder(scene: Scene) -> tuple:
    """The program, and the line of each of its values."""
    stage = scene.stage
    if stage.eager:
        return None, []
    primal = stage.reading(stage.problem.functions.primal)
    closed = jax.make_jaxpr(primal)(scene.live, scene.rest)
    lines = {path: frame for path, _, frame in walk(closed.jaxpr)}

    def program(live: list, rest: list) -> list:
        walker = Recorder()
        walker.run(closed.jaxpr, closed.consts, jax.tree.leaves((live, rest)))
        return [v for v, _ in walker.found]

    shapes = jax.eval_shape(program, scene.live, scene.rest)
    size = sum(int(np.prod(v.shape)) for v in shapes)
    if len(shapes) > MOST or size > NUMBERS:
        return None, []
    walker = Recorder()
    jax.eval_shape(
        lambda *v: walker.run(closed.jaxpr, closed.consts, jax.tree.leaves(v)),
        scene.live,
        scene.rest,
    )
    return stage.oracle.jit(program), [place(lines.get(p)) for _, p in walker.found]


def place(frame: tuple[str, int] | None) -> tuple[str, str]:
    """ "file.py:line" and the line."""
    if frame is None:
        return "", ""
    code = linecache.getline(*frame).split("#")[0].strip()
    return f"{os.path.basename(frame[0])}:{frame[1]}", code


class Recorder(Replay):
    """A replay that keeps every float result outside of loops."""

    def __init__(self):
        """Nothing has run yet."""
        super().__init__(Change(inline=True))
        self.found: list[tuple] = []
        self.path: tuple = ()

    def equation(self, eqn, values: list) -> list:
        """The equation; its results are kept."""
        outer, self.path = self.path, (*self.path, id(eqn))
        if eqn.primitive.name in ("scan", "while", "cond"):
            outputs = Replay(Change()).equation(eqn, values)
        else:
            outputs = super().equation(eqn, values)
        if eqn.primitive.name not in CALLS:
            self.found += [(v, self.path) for v in outputs if is_float(v)]
        self.path = outer
        return outputs


def is_float(v) -> bool:
    """Whether a result is an array of real floats."""
    return jnp.issubdtype(jnp.result_type(v), jnp.floating) and jnp.ndim(v) > 0
