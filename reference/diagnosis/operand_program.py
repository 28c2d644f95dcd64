"""The operands of the hand's program, and the program with some of them replaced.

One program takes every replacement: at operand u it has the value select(m_u, b, own).
"""

import linecache
import os
from collections.abc import Callable
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from reference.diagnosis.hypothesis import OtherProgram
from reference.diagnosis.path_program import CONTAINERS
from reference.diagnosis.scene import Scene, Stage
from reference.mutate.edits import walk
from reference.verifier.replay import Change, Replay

MOST = 400  # Operands beyond which the program is not made.
CHUNK = 64  # Replacements a call.


class Use(NamedTuple):
    """One float operand of one equation of the hand's program."""

    place: tuple
    primitive: str
    shape: tuple[int, ...]
    source: str
    code: str
    residual: int | None  # Which, where the operand is one as it was kept.


class Uses:
    """The operands of a stage's backward and the program with replacements."""

    def __init__(self, stage: Stage):
        """Trace the backward and list its operands; compile nothing yet."""
        self.stage, home = stage, stage.home
        program = stage.reading(stage.backward_program)
        inputs = home.run.residuals, home.dys, home.live
        self.closed = jax.make_jaxpr(program)(*inputs)
        self.index: dict[tuple, int] = {}
        self.all: list[Use] = []
        listing = _Listing(len(home.run.residuals), frames_of(self.closed))
        jax.eval_shape(lambda *v: self._walked(listing, v), *inputs)
        self.all = listing.found
        self.index = {use.place: k for k, use in enumerate(self.all)}
        self.shapes = list(dict.fromkeys(use.shape for use in self.all))

    def replaced(self, scene: Scene, which: tuple, new: np.ndarray) -> list[np.ndarray]:
        """The cotangents with some operands, all of one shape, replaced."""
        return [v[0] for v in self.each(scene, [(which, new)])]

    def each(self, scene: Scene, tries: list[tuple]) -> list[np.ndarray]:
        """The same for several of (which, new) at once, with a leading axis."""
        masks = np.zeros((CHUNK, len(self.all)), bool)
        # Another size has other shapes in the same order.
        arrays = [np.zeros((CHUNK, *s)) for s in self.shapes]
        for row, (which, new) in enumerate(tries):
            wanted = self.all[which[0]].shape
            if new.shape != wanted:
                raise ValueError("each: new must have the operand's shape")
            masks[row, list(which)] = True
            arrays[self.shapes.index(wanted)][row] = new
        at = scene.run.residuals, scene.dys, scene.live
        count = np.int32(len(tries))
        return [np.asarray(v)[:count] for v in self._program(count, masks, arrays, *at)]

    def values(self, scene: Scene) -> list[np.ndarray | None]:
        """What every operand is at a scene; None in a loop, where it is many."""

        def make() -> list[np.ndarray | None]:
            at = scene.run.residuals, scene.dys, scene.live
            return [v if v is None else np.asarray(v) for v in self._recording(*at)]

        return scene.once("values of uses", make)

    @cached_property
    def _recording(self) -> Callable:
        def program(*inputs):
            listing = _Listing(len(inputs[0]), {})
            self._walked(listing, inputs)
            return listing.values

        return self.stage.oracle.jit(program)

    @cached_property
    def _program(self) -> Callable:
        def program(count, masks, arrays, *inputs):
            def one(row):
                mask, news = masks[row], [a[row] for a in arrays]
                return self._walked(_Replaced(self, mask, news), inputs)

            shapes = jax.eval_shape(one, jax.ShapeDtypeStruct((), jnp.int32))
            start = [jnp.zeros((CHUNK, *s.shape), s.dtype) for s in shapes]

            def body(row, found):
                return [f.at[row].set(v) for f, v in zip(found, one(row))]

            return jax.lax.fori_loop(0, count, body, start)

        return self.stage.oracle.jit(program)

    def _walked(self, walker: Replay, inputs: tuple) -> list:
        leaves = [jnp.asarray(v) for v in jax.tree.leaves(inputs)]
        return walker.run(self.closed.jaxpr, self.closed.consts, leaves)


def frames_of(closed) -> dict[tuple, tuple[str, str, str]]:
    """The primitive, the source and the code of every equation, by its path."""
    found = {}
    for path, eqn, frame in walk(closed.jaxpr):
        source = f"{os.path.basename(frame[0])}:{frame[1]}" if frame else ""
        code = linecache.getline(*frame).split("#")[0].strip() if frame else ""
        found[path] = eqn.primitive.name, source, code
    return found


class _Walk(Replay):
    """A replay that knows at which operand it is."""

    def __init__(self):
        super().__init__(Change())
        self.path: tuple = ()

    def run(self, jaxpr, consts, inputs) -> list:
        """The jaxpr; the first call's inputs are the program's."""
        self.begin(inputs)
        return super().run(jaxpr, consts, inputs)

    def begin(self, inputs: list) -> None:
        """What to do with the inputs of the whole."""

    def equation(self, eqn, values: list) -> list:
        """The equation with its float operands seen."""
        outer, self.path = self.path, (*self.path, id(eqn))
        if eqn.primitive.name not in CONTAINERS:
            values = [
                self.operand(k, w) if is_float_array(w, v) else w
                for k, (v, w) in enumerate(zip(eqn.invars, values))
            ]
        outputs = super().equation(eqn, values)
        self.path = outer
        return outputs

    def operand(self, k: int, value: Any) -> Any:
        """Operand k of the equation at `path`."""
        return value


class _Listing(_Walk):
    """Lists the operands."""

    def __init__(self, residuals: int, frames: dict):
        super().__init__()
        self.count, self.frames = residuals, frames
        self.inputs: list = []
        self.found: list[Use] = []
        self.values: list = []
        self.loops = 0

    def begin(self, inputs: list) -> None:
        """Remember the residuals by identity."""
        self.inputs = self.inputs or inputs[: self.count]

    def operand(self, k: int, value: Any) -> Any:
        """Note it."""
        which = next((n for n, r in enumerate(self.inputs) if r is value), None)
        primitive, source, code = self.frames.get(self.path, ("", "", ""))
        place = self.path, k
        self.found.append(Use(place, primitive, value.shape, source, code, which))
        self.values.append(None if self.loops else value)
        return value

    def equation(self, eqn: Any, values: list) -> list:
        """The outputs; what is traced inside of a loop or a choice stays there."""
        inner = eqn.primitive.name in ("scan", "while", "cond")
        self.loops += inner
        outputs = super().equation(eqn, values)
        self.loops -= inner
        return outputs


class _Replaced(_Walk):
    """Puts the replacements in."""

    def __init__(self, uses: Uses, mask: Any, arrays: list):
        super().__init__()
        self.uses, self.mask, self.arrays = uses, mask, arrays

    def operand(self, k: int, value: Any) -> Any:
        """The operand or its replacement."""
        u = self.uses.index.get((self.path, k))
        if u is None:
            return value
        new = self.arrays[self.uses.shapes.index(value.shape)].astype(value.dtype)
        return jnp.where(self.mask[u], new, value)


def is_float_array(value: Any, variable: Any) -> bool:
    """Whether an operand is an array of floats and not a literal."""
    is_literal = hasattr(variable, "val")
    return not is_literal and jnp.issubdtype(jnp.result_type(value), jnp.floating)


def uses_of(stage: Stage) -> Uses | None:
    """The stage's uses, made once."""

    def make() -> Uses | None:
        if stage.eager:
            return None
        try:
            found = Uses(stage)
            return found if 0 < len(found.all) <= MOST else None
        except Exception:  # What cannot be traced from here is not taken apart.
            return None

    return stage.home.once("uses", make)


def same_uses(uses: Uses, which: tuple, there: Uses | None) -> tuple:
    """The operands at another size: the same, or those of the same line."""
    if there is None:
        raise OtherProgram
    if len(there.all) == len(uses.all):
        return which
    use = uses.all[which[0]]
    for found in lines_of(there):
        other = there.all[found[0]]
        if len(which) > 1 and same_line(other, use):
            return found
    raise OtherProgram


def same_line(one: Use, other: Use) -> bool:
    """Whether two operands are one residual in one line."""
    return (one.residual, one.source) == (other.residual, other.source)


def lines_of(uses: Uses) -> list[tuple]:
    """All uses of one residual in one line, where there are several."""
    turns: dict[tuple, list[int]] = {}
    for k, use in enumerate(uses.all):
        if use.residual is not None and use.source:
            turns.setdefault((use.residual, use.source), []).append(k)
    return [tuple(v) for v in turns.values() if len(v) > 1]
