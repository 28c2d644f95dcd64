"""One operand of the hand's program replaced by another value that was in scope.

A slip inside a loop has no name outside: x_t for h, d for da. Where an equation reads
operand o, the values w of o's shape that its own body has computed or been given are
tried in its place, and simple functions of both,

    (1)  c_0 + c_1 o + c_2 w + c_3 o w + c_4 w² + c_5 o w² + c_6 o²

with the coefficients of the module's table: w, 1 - w, o w, o (1 - w), o (1 - w²), ...
One program takes the operand, the value and the coefficients as numbers, so that all
are tried at the cost of one compilation.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

from reference.diagnosis.backward_program import BackwardProgram, program_of
from reference.diagnosis.hypothesis import Hypothesis, OtherProgram
from reference.diagnosis.near import near
from reference.diagnosis.scene import Scene, Stage
from reference.verifier.replay import Change, Replay

FORMS = {
    "{w}": (0, 0, 1, 0, 0, 0, 0),
    "1 - {o}": (1, -1, 0, 0, 0, 0, 0),
    "1 - {o}^2": (1, 0, 0, 0, 0, 0, -1),
    "{o}^2": (0, 0, 0, 0, 0, 0, 1),
    "{o} * {w}": (0, 0, 0, 1, 0, 0, 0),
    "{o} * (1 - {w})": (0, 1, 0, -1, 0, 0, 0),
    "{o} * (1 - {w}^2)": (0, 1, 0, 0, 0, -1, 0),
    "{o} - {w}": (0, 1, -1, 0, 0, 0, 0),
    "{o} + {w}": (0, 1, 1, 0, 0, 0, 0),
    "1 - {w}": (1, 0, -1, 0, 0, 0, 0),
    "1 - {w}^2": (1, 0, 0, 0, -1, 0, 0),
    "{w}^2": (0, 0, 0, 0, 1, 0, 0),
}
MOST = 6000  # Replacements that are tried.
OPERANDS = 150  # Beyond which the program is not made.
BODIES = {"scan", "while", "cond", "jit", "pjit", "closed_call", "custom_jvp_call",
          "custom_vjp_call", "remat2", "checkpoint"}  # fmt: skip


@dataclass(frozen=True)
class Place:
    """An operand, and the values that may stand there.

    Attributes:
        equation: Number of the equation in the walk.
        operand: Which of its operands.
        rivals: The variables of its body that have its shape.
    """

    equation: int
    operand: int
    rivals: tuple[int, ...]


class Scope:
    """The operands of a stage's backward and what is in scope at each."""

    def __init__(self, stage: Stage, program: BackwardProgram):
        """List them; compile nothing yet."""
        self.stage, self.program = stage, program
        self.numbers = {e.path: e.number for e in program.equations}
        self.names = names_of(stage, program)
        listing = _Listing(self.numbers)
        home = stage.home
        inputs = home.run.residuals, home.dys, home.live
        jax.eval_shape(lambda *v: walked(listing, program, v), *inputs)
        self.places: list[Place] = listing.found
        self.index = {(p.equation, p.operand): k for k, p in enumerate(self.places)}

    @cached_property
    def tries(self) -> list[tuple[int, int, str]]:
        """(place, rival, form), the plain exchange first."""
        found = [
            (k, j, form)
            for form in FORMS
            for k, place in enumerate(self.places)
            for j in range(len(place.rivals) if "{w}" in form else 1)
        ]
        return found[:MOST]

    def outputs(self, scene: Scene, tries: list) -> list[np.ndarray]:
        """The cotangents under each try, with a leading axis."""
        rows = np.array([(k, j) for k, j, _ in tries], np.int32)
        forms = np.array([FORMS[form] for *_, form in tries], float)
        at = scene.run.residuals, scene.dys, scene.live
        return [np.asarray(v) for v in self._many(rows, forms, *at)]

    @cached_property
    def _many(self) -> Any:
        def program(rows, forms, *inputs):
            def one(given):
                (which, rival), form = given
                walker = _Exchanged(self, which, rival, form)
                return walked(walker, self.program, inputs)

            return jax.lax.map(one, (rows, forms))

        return self.stage.oracle.jit(program)


def walked(walker: Replay, program: BackwardProgram, inputs: tuple) -> list:
    """The program under a walker."""
    leaves = [jnp.asarray(v) for v in jax.tree.leaves(inputs)]
    return walker.run(program.closed.jaxpr, program.closed.consts, leaves)


class _InScope(Replay):
    """A replay that knows at each operand what its body has computed so far."""

    def __init__(self, numbers: dict):
        super().__init__(Change())
        self.numbers, self.path, self.env = numbers, (), {}

    def read(self, env: dict, v) -> Any:
        """The value; the body's values are remembered."""
        self.env = env
        return super().read(env, v)

    def equation(self, eqn, values: list) -> list:
        """The equation with its float operands seen."""
        env = dict(self.env)
        outer, self.path = self.path, (*self.path, id(eqn))
        if eqn.primitive.name not in BODIES:
            number = self.numbers[self.path]
            values = [
                self.operand(number, k, v, w, env)
                for k, (v, w) in enumerate(zip(eqn.invars, values))
            ]
        outputs = super().equation(eqn, values)
        self.path = outer
        return outputs

    def operand(self, number: int, k: int, v: Any, value: Any, env: dict) -> Any:
        """Operand k, which is the variable v."""
        return value


def rivals(v: Any, env: dict) -> list:
    """The other variables in scope of v's shape and dtype."""
    if isinstance(v, core.Literal) or not jnp.issubdtype(v.aval.dtype, jnp.floating):
        return []
    kind = v.aval.shape, v.aval.dtype
    return [w for w in env if w is not v and (w.aval.shape, w.aval.dtype) == kind]


class _Listing(_InScope):
    """Lists the places."""

    def __init__(self, numbers: dict):
        super().__init__(numbers)
        self.found: list[Place] = []

    def operand(self, number: int, k: int, v: Any, value: Any, env: dict) -> Any:
        """Note it, once for a body that is traced several times."""
        place = Place(number, k, tuple(map(id, rivals(v, env))))
        if place.rivals and place not in self.found:
            self.found.append(place)
        return value


class _Exchanged(_InScope):
    """Puts (1) in one place."""

    def __init__(self, scope: Scope, which: Any, rival: Any, form: Any):
        super().__init__(scope.numbers)
        self.scope, self.which, self.rival, self.form = scope, which, rival, form

    def operand(self, number: int, k: int, v: Any, value: Any, env: dict) -> Any:
        """The operand, or what stands in its place."""
        u = self.scope.index.get((number, k))
        if u is None:
            return value
        every = jnp.stack([env[w] for w in rivals(v, env)])
        w = every[jnp.minimum(self.rival, len(every) - 1)]
        c = self.form.astype(w.dtype)
        new = c[0] + c[1] * value + c[2] * w + c[3] * value * w
        new = new + c[4] * w**2 + c[5] * value * w**2 + c[6] * value**2
        return jnp.where(self.which == u, new, value)


def scope_of(stage: Stage) -> Scope | None:
    """The stage's scope, made once."""

    def make() -> Scope | None:
        program = program_of(stage)
        try:
            found = Scope(stage, program) if program else None
        except Exception:  # A program that this walk cannot follow has none.
            return None
        return found if found and 0 < len(found.places) <= OPERANDS else None

    return stage.home.once("scope", make)


def in_scope(stage: Stage, i: int) -> Iterator[Hypothesis]:
    """Exchanges that make leaf `i` right and spoil no other."""
    scope, home = scope_of(stage), stage.home
    if scope is None or not scope.tries:
        return
    found = home.once("exchanged", lambda: scope.outputs(home, scope.tries))
    rest = [j for j in range(len(found)) if j != i and not home.is_wrong(j)]
    for n, (k, j, form) in enumerate(scope.tries):
        right = near(found[i][n], home.truth[i])
        if right and all(near(found[m][n], home.truth[m]) for m in rest):
            yield hypothesis(scope, k, j, form, i)


def hypothesis(scope: Scope, k: int, j: int, form: str, i: int) -> Hypothesis:
    """That this value was meant."""
    place = scope.places[k]
    equation = scope.program.equations[place.equation]

    def sides(s: Scene) -> tuple:
        there = scope_of(s.stage)
        if there is None or len(there.places) != len(scope.places):
            raise OtherProgram
        return there.outputs(s, [(k, j, form)])[i][0], s.truth[i]

    own = scope.names.get(id(equation.eqn.invars[place.operand]), "a value")
    other = scope.names.get(place.rivals[j], "another value")
    text = form.replace("{o}", own).replace("{w}", other)
    return Hypothesis(
        f"residual: {own} should be {text} {equation.source}".rstrip(),
        "C9",
        f"`{equation.eqn.primitive.name}` in {equation.text} takes {own} where {text} "
        "belongs",
        sides,
        source=equation.source,
    )


def names_of(stage: Stage, program: BackwardProgram) -> dict[int, str]:
    """What each variable is called: an input's name, or the line that gave it."""
    dys = len(stage.home.dys)
    cotangents = ["dy"] if dys == 1 else [f"dy[{k}]" for k in range(dys)]
    inputs = [*stage.residual_names, *cotangents, *stage.names]
    found = dict(zip(map(id, program.closed.jaxpr.invars), inputs))
    for equation in program.equations:
        for v in equation.eqn.outvars:
            line = f"`{equation.code}`" if equation.code else ""
            found[id(v)] = line or f"the {equation.eqn.primitive.name}"
        found |= names_in_loop(equation.eqn, found)
    return found


def names_in_loop(eqn: Any, outside: dict[int, str]) -> dict[int, str]:
    """The names of a scan's own inputs: what is the same, its state, this step's."""
    if eqn.primitive.name != "scan":
        return {}
    body, consts = eqn.params["jaxpr"].jaxpr, eqn.params["num_consts"]
    carry = consts + eqn.params["num_carry"]
    found = {}
    for n, (inner, outer) in enumerate(zip(body.invars, eqn.invars)):
        name = outside.get(id(outer), "a value")
        if n >= carry:
            name = f"this step's {name}"
        elif n >= consts:
            name = f"the loop's state {n - consts}"
        found[id(inner)] = name
    return found
