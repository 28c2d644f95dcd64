"""All mutants of a backward pass: as one program, and one at a time as functions.

A mutation is an edit of one equation (edits.py) or a plant around the pass (plants.py).
`Schema` evaluates every mutant of a problem with one compiled program, in float64;
`mutated` gives one of them as a rule or a loss that anything can be tried on, at any
shape and dtype.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from purefw.rule import Loss, Rule
from reference.mutate.edits import Edit, Edits
from reference.mutate.plants import (
    Call,
    CotangentPlant,
    OutputPlant,
    Plant,
    ResidualPlant,
    cotangent_plants,
    output_plants,
    planted,
    residual_plants,
)
from reference.verifier.problem import Problem, is_inexact

Mutation = Edit | Plant
CHUNK = 64  # Mutants a call of the program, so that it is compiled once.


class Schema:
    """The mutants of a problem's backward at its shapes, in float64.

    Wants `reference.verifier.oracle.exact_arithmetic`. `mutations[k]` is what mutant k
    does; its leaves are the float leaves that backward returns, in order.

    Args:
        problem: Whose backward.
        place: Which argument is the data.
        terms: The rule's, or None.
        only: The mutations to keep; all where None.
    """

    def __init__(
        self,
        problem: Problem,
        place: int,
        terms: Callable | None = None,
        only: Sequence[Mutation] | None = None,
    ):
        """Trace the functions and list what can be done to them; compile nothing."""
        self.problem, self.place, self.terms = problem, place, terms
        subject, shape = problem.subject, problem.shape
        live = [lifted(v) for v in shape.live]
        dys = [lifted(v) for v in shape.live_outputs]
        y, residuals = jax.eval_shape(self._forward, live, problem.rest)
        leaves, self.treedef = jax.tree.flatten(residuals)
        self.flat = Flat(subject.backward, self.treedef, shape.cotangent)
        closed = jax.make_jaxpr(self.flat)([*leaves, *dys])
        names = path_names("residuals", residuals)
        outputs = [jax.ShapeDtypeStruct(v.shape, v.dtype) for v in closed.out_avals]
        x = jax.tree.leaves(subject.args[place])
        rows = np.shape(x[0])[0] if x and np.shape(x[0]) else 1
        summands = (
            jax.eval_shape(terms, residuals, shape.cotangent(dys)) if terms else {}
        )
        plants = [
            *cotangent_plants(dys),
            *residual_plants(leaves, names, jax.tree.leaves(y)),
            *output_plants(outputs, self.names, rows, terms, summands),
        ]
        if only is not None:
            kinds = {str(m) for m in only}
            plants = [p for p in plants if str(p) in kinds]
        edits = None if only is None else [m for m in only if isinstance(m, Edit)]
        self.edits = Edits(closed, only=edits)
        self.plants = plants

    @cached_property
    def mutations(self) -> list[Mutation]:
        """Edits, then plants."""
        return [*self.edits, *self.plants]

    @property
    def names(self) -> list[str]:
        """Of the leaves: "dparams.scale", "dx"."""
        judged = zip(self.problem.names, self.problem.is_judged, strict=True)
        return [name for name, is_judged in judged if is_judged]

    def run(self, which: Any, live: list, rest: list, dys: list) -> list:
        """The leaves of mutant `which`, which may be traced; -1 is the original."""
        y, residuals = self._forward(live, rest)
        call = Call(
            self.problem.subject.forward,
            self.problem.shape.merge(live, rest),
            self.place,
            y,
        )
        leaves = list(map(jnp.asarray, jax.tree.leaves(residuals)))
        dys = self._choose(which, CotangentPlant, list(map(jnp.asarray, dys)))
        leaves = self._choose(which, ResidualPlant, leaves, call)
        found = self.edits.run(which, [*leaves, *dys])
        residuals = jax.tree.unflatten(self.treedef, leaves)
        dy = self.problem.shape.cotangent(dys)
        return self._choose(which, OutputPlant, found, residuals, dy)

    def outputs(self, which: Sequence[int], live, rest, dys) -> list[np.ndarray]:
        """The leaves of several mutants, stacked, in one compiled program."""
        parts = []
        for start in range(0, len(which), CHUNK):
            part = np.full(CHUNK, -1, np.int32)
            chosen = which[start : start + CHUNK]
            part[: len(chosen)] = chosen
            found = jax.device_get(self._program(part, live, rest, dys))
            parts.append([v[: len(chosen)] for v in found])
        return [np.concatenate(p) for p in zip(*parts, strict=True)]

    @cached_property
    def _program(self) -> Callable:
        def program(which, live, rest, dys):
            return lax.map(lambda k: self.run(k, live, rest, dys), which)

        options = {"xla_backend_optimization_level": 0}
        return jax.jit(program, compiler_options=options)

    def _forward(self, live: list, rest: list) -> tuple[Any, Any]:
        return self.problem.subject.forward(*self.problem.shape.merge(live, rest))

    def _choose(self, which: Any, place: type, leaves: list, *context: Any) -> list:
        """The leaves, changed where `which` is a plant of that place."""
        chosen = leaves
        for k, plant in enumerate(self.plants, len(self.edits)):
            if type(plant) is place:
                chosen = [
                    v if v is w else lax.select_n(which == k, v, w)
                    for v, w in zip(
                        chosen, planted(plant, leaves, *context), strict=True
                    )
                ]
        return chosen


@dataclass(frozen=True)
class Flat:
    """backward as a function of flat leaves: residuals, then floats of dy."""

    backward: Callable
    treedef: Any
    cotangent: Callable[[list], Any]

    def __call__(self, leaves: list) -> list:
        """The float leaves that it returns."""
        n = self.treedef.num_leaves
        residuals = jax.tree.unflatten(self.treedef, leaves[:n])
        return floats(self.backward(residuals, self.cotangent(leaves[n:])))


def mutated(made: Rule | Loss, mutation: Mutation) -> Rule | Loss:
    """The rule or loss with one mistake in its backward, or in what it keeps for it."""
    if type(mutation) is ResidualPlant:
        place = 1 if isinstance(made, Rule) else 0
        return replace(made, forward=MutatedForward(made.forward, mutation, place))
    return replace(made, backward=MutatedBackward(made.backward, mutation))


@dataclass(frozen=True)
class MutatedForward:
    """A forward that keeps wrong residuals."""

    forward: Callable
    plant: ResidualPlant
    place: int

    def __call__(self, *args: Any) -> tuple[Any, Any]:
        """The forward's y, and the residuals after the plant."""
        y, residuals = self.forward(*args)
        leaves, treedef = jax.tree.flatten(residuals)
        call = Call(self.forward, args, self.place, y)
        leaves = planted(self.plant, list(map(jnp.asarray, leaves)), call)
        return y, jax.tree.unflatten(treedef, leaves)


@dataclass(frozen=True)
class MutatedBackward:
    """A backward with one mistake."""

    backward: Callable
    mutation: Mutation

    def __call__(self, residuals: Any, dy: Any) -> Any:
        """What the mutant returns."""
        if isinstance(self.mutation, Edit):
            return self._edited(residuals, dy)
        if type(self.mutation) is CotangentPlant:
            changed = planted(self.mutation, floats(dy))
            return self.backward(residuals, with_floats(dy, changed))
        cotangents = self.backward(residuals, dy)
        changed = planted(self.mutation, floats(cotangents), residuals, dy)
        return with_floats(cotangents, changed)

    def _edited(self, residuals: Any, dy: Any) -> Any:
        leaves, treedef = jax.tree.flatten(residuals)
        cotangents = None

        def flat(inputs):
            nonlocal cotangents
            parts = jax.tree.unflatten(treedef, inputs[: len(leaves)])
            cotangents = self.backward(parts, with_floats(dy, inputs[len(leaves) :]))
            return floats(cotangents)

        inputs = [*leaves, *floats(dy)]
        edits = Edits(jax.make_jaxpr(flat)(inputs), only=[self.mutation])
        return with_floats(cotangents, edits.run(0, inputs))


def floats(tree: Any) -> list:
    """The leaves that have a cotangent, as arrays."""
    arrays = [
        v if hasattr(v, "dtype") else jnp.asarray(v) for v in jax.tree.leaves(tree)
    ]
    return [v for v in arrays if is_inexact(v.dtype)]


def with_floats(tree: Any, values: list) -> Any:
    """The tree with other float leaves."""
    others = iter(values)
    return jax.tree.map(
        lambda v: next(others) if is_inexact(jnp.result_type(v)) else v, tree
    )


def lifted(v: Any) -> jax.ShapeDtypeStruct:
    """A leaf's shape in float64."""
    return jax.ShapeDtypeStruct(v.shape, np.float64)


def path_names(root: str, tree: Any) -> list[str]:
    """A name for each leaf: "residuals.x"."""
    paths = jax.tree.leaves_with_path(tree)
    return [root + jax.tree_util.keystr(path) for path, _ in paths]
