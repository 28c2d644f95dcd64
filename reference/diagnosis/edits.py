"""Did you mean: single-equation edits of the hand's program, and of the truth's.

    repair     an edit of the backward's jaxpr makes hand = truth: its line is the slip
    forward    hand is the true gradient of an edited forward: the backward belongs to
               another function
    planting   an edit of the truth's jaxpr makes truth = hand: something was lost there
               that no edit of what is left can bring back, as in `a` for `a * b`

The edits are those of reference.mutate, all in one compiled program.
"""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from reference.diagnosis.hypothesis import Hypothesis, OtherProgram
from reference.diagnosis.near import near
from reference.diagnosis.operations import in_place_of
from reference.diagnosis.scene import Scene, Stage
from reference.mutate.edits import Edit, Edits
from reference.mutate.operators import operators_for

UNSAFE = {"to log", "to log1p", "to sqrt", "to rsqrt", "drop", "a / b to b / a",
          "to exp", "a ** b to a ** (b - 1)", "power -1", "to 2"}  # fmt: skip
MOST = {"hand": 400, "forward": 200, "truth": 250}  # Edits; more take too long.


class Edited:
    """The edits of one program of a stage: "hand" from residuals, or "truth"."""

    def __init__(self, stage: Stage, which: str):
        """Trace the program and find its edits; compile nothing yet."""
        home = stage.home
        self.stage, self.which = stage, which
        inputs = self._inputs(home)
        if which == "forward":
            f, inputs = stage.problem.functions.primal, inputs[:2]
        else:
            f = self._hand if which == "hand" else self._truth
        self.closed = jax.make_jaxpr(stage.reading(f))(*inputs)
        self.operators = in_place_of if which == "forward" else operators_for
        self.edits = self.among(None)
        if which == "forward" and not self._is_clean(home):
            self.edits = self.among([e for e in self.edits if e.kind not in UNSAFE])
        self.usable = 0 < len(self.edits) <= MOST[which]

    def among(self, few: list[Edit] | None) -> Edits:
        """The program's edits, or these of them."""
        return Edits(self.closed, few, self.operators)

    def all(self, scene: Scene) -> list[np.ndarray]:
        """Every edit's cotangents at a scene, leaf by leaf, with a leading axis."""

        def make() -> list:
            numbers = jnp.arange(len(self.edits), dtype=jnp.int32)
            run = self.stage.oracle.jit(
                lambda *inputs: jax.lax.map(
                    lambda k: self._run(self.edits, k, *inputs), numbers
                )
            )
            return [np.asarray(v) for v in run(*self._inputs(scene))]

        return scene.once(f"edits of {self.which}", make)

    def one(self, scene: Scene, edit: Edit) -> list[np.ndarray]:
        """One edit's cotangents at a scene."""

        def make() -> Callable:
            only = self.among([edit])
            return self.stage.oracle.jit(lambda *v: self._run(only, 0, *v))

        program = self.stage.home.once(f"edit of {self.which} {edit}", make)
        return [np.asarray(v) for v in program(*self._inputs(scene))]

    def _run(self, edits: Edits, k: Any, one: list, two: Any, dys: list) -> list:
        """The cotangents under edit k."""
        if self.which != "forward":
            return edits.run(k, jax.tree.leaves((one, two, dys)))
        y, pullback = jax.vjp(lambda v: edits.run(k, jax.tree.leaves((v, two))), one)
        return pullback([jnp.asarray(d, v.dtype) for d, v in zip(dys, y)])[0]

    def _is_clean(self, home: Scene) -> bool:
        """Whether what is not chosen leaves no NaN in the gradient."""
        run = self.stage.oracle.jit(lambda k, *v: self._run(self.edits, k, *v))
        plain = run(np.int32(-1), *self._inputs(home))
        return all(near(np.asarray(a), b) for a, b in zip(plain, home.truth))

    def _inputs(self, scene: Scene) -> tuple[list, Any, list]:
        if self.which == "hand":
            return scene.run.residuals, scene.live, scene.dys
        return scene.live, scene.rest, scene.dys

    def _hand(self, residuals: list, live: list, dys: list) -> list:
        return self.stage.backward_program(residuals, dys, live)

    def _truth(self, live: list, rest: list, dys: list) -> list:
        primal = self.stage.problem.functions.primal
        y, pullback = jax.vjp(lambda vs: primal(vs, rest), live)
        return pullback([jnp.asarray(d, v.dtype) for d, v in zip(dys, y)])[0]


def edited(stage: Stage, which: str) -> Edited | None:
    """The edits of a stage's program, made once."""

    def make() -> Edited | None:
        if stage.eager:
            return None
        try:
            found = Edited(stage, which)
            return found if found.usable else None
        except Exception:  # What cannot be traced from here has no edits.
            return None

    return stage.home.once(f"edited {which}", make)


def same_edit(scene: Scene, which: str, edit: Edit) -> Edited:
    """The edits at a scene's stage, if this one is among them."""
    there = edited(scene.stage, which)
    if there is None or edit not in there.edits[:]:
        raise OtherProgram
    return there


def repairs(stage: Stage, i: int) -> Iterator[Hypothesis]:
    """Edits of the backward that make leaf `i` right and spoil no other."""
    program = edited(stage, "hand")
    if program is None:
        return
    home, found = stage.home, program.all(stage.home)
    for k in range(len(program.edits)):
        if not near(found[i][k], home.truth[i]):
            continue
        rest = (j for j in range(len(found)) if j != i and not home.is_wrong(j))
        if not all(near(found[j][k], home.truth[j]) for j in rest):
            continue
        edit = program.edits[k]
        line = f"another line {edit.source}".rstrip()

        def sides(s: Scene, edit=edit) -> tuple:
            return same_edit(s, "hand", edit).one(s, edit)[i], s.truth[i]

        yield Hypothesis(
            f"edit: {edit.source or edit.primitive}",
            "C3" if "swapped" in edit.kind or "-" in edit.kind else "C2",
            f"did you mean {line}: {said(edit)}",
            sides,
            source=edit.source,
        )


def said(edit: Edit) -> str:
    """An edit as a repair, with the line it is in."""
    code = edit.code.split("#")[0].strip()
    return f"{edit.sentence}, in `{code}`" if code else edit.sentence


def other_forwards(stage: Stage, i: int) -> Iterator[Hypothesis]:
    """Edits of the forward whose gradient the hand is."""
    yield from planted(
        stage, i, "forward", "is the gradient of another forward, in which, at"
    )


def plantings(stage: Stage, i: int) -> Iterator[Hypothesis]:
    """Edits of the truth's own program that make it the hand."""
    yield from planted(
        stage, i, "truth", "is what the truth becomes if, in the derivative of"
    )


def planted(stage: Stage, i: int, which: str, text: str) -> Iterator[Hypothesis]:
    """Edits of a program that gives the truth which make it give the hand."""
    program = edited(stage, which)
    if program is None:
        return
    home, found = stage.home, program.all(stage.home)
    for k in range(len(program.edits)):
        if not near(found[i][k], home.hand[i]):
            continue
        edit = program.edits[k]

        def sides(s: Scene, edit=edit) -> tuple:
            return s.hand[i], same_edit(s, which, edit).one(s, edit)[i]

        kind = "branch" if "branch" in edit.kind else "edit"
        yield Hypothesis(
            f"{kind}: {edit.source or edit.primitive}",
            "C11" if kind == "branch" else "C2",
            f"{text} {said_of(edit)}, {edit.sentence}",
            sides,
            source=edit.source,
        )


def said_of(edit: Edit) -> str:
    """The forward's line."""
    code = edit.code.split("#")[0].strip()
    return f"`{code}` ({edit.source})" if code else edit.source or edit.primitive
