"""Every single-equation edit of a traced function, in one program.

A program in which one equation is another (operators.py) is a mutant: what a slip of
the pen would have made of it. All mutants of a jaxpr are one function of its inputs and
of an integer, the number of the edit,

    y = f_k(x)         k = 0, ..., n-1,  and f itself for any other k

in which every equation has the value select(k, its own, its edits). So a thousand
mutants are compiled once, at the cost of a program a few times the size of f, and k may
be traced: `run_all` loops over it. Untch, Offutt and Harrold, "Mutation analysis using
mutant schemata", ISSTA 1993.

The walk goes into the bodies of jit, scan, while, cond and custom derivatives. A body
that is called twice has edits of its own at each call.
"""

import linecache
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, overload

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend import core

from reference.mutate.operators import operators_for
from reference.mutate.slips import Operator
from reference.verifier.programs import is_library, user_frame
from reference.verifier.replay import Change, Replay


@dataclass(frozen=True)
class Edit:
    """One equation, edited; equal to the same edit of another trace of the function.

    The line is no part of that: where JAX traces a custom backward, every equation has
    the line of the forward's call.

    Attributes:
        kind: Of the operator: "sub swapped", "sum to mean".
        sentence: "`a - b` becomes `b - a`".
        primitive: Of the equation.
        source: "file.py:line" of the code that made the equation, or "".
        code: That line.
        occurrence: Which of the equations of this primitive.
    """

    kind: str
    sentence: str
    primitive: str
    occurrence: int
    source: str = field(default="", compare=False)
    code: str = field(default="", compare=False)

    def __str__(self) -> str:
        """Where and what."""
        return f"{self.source or self.primitive}: {self.sentence}"


class Edits(Sequence[Edit]):
    """The edits of a closed jaxpr; edit k is `edits[k]`.

    Args:
        closed: A function as jax.make_jaxpr gives it.
        only: Leave out the edits that are not among these, to compile less.
        operators: From an equation to what may be done to it.

    Example:
        >>> closed = jax.make_jaxpr(lambda a, b: a - b)(3.0, 1.0)
        >>> edits = Edits(closed)
        >>> edits[0].sentence, edits.run_all([3.0, 1.0])[0][:4]
        ('`a - b` becomes `b - a`', Array([-2.,  4.,  3., -1.], ...))
    """

    def __init__(
        self,
        closed: core.ClosedJaxpr,
        only: Sequence[Edit] | None = None,
        operators: Callable[[Any], list[Operator]] = operators_for,
    ):
        """Find the edits; nothing is compiled yet."""
        self.closed = closed
        self._edits: list[Edit] = []
        self._at: dict[tuple[int, ...], list[tuple[int, Operator]]] = {}
        wanted = None if only is None else set(only)
        seen: Counter = Counter()
        for path, eqn, frame in walk(closed.jaxpr):
            source = f"{Path(frame[0]).name}:{frame[1]}" if frame else ""
            code = linecache.getline(*frame).strip() if frame else ""
            name = eqn.primitive.name
            place = name, seen[name], source, code
            seen[name] += 1
            for operator in operators(eqn):
                edit = Edit(operator.kind, operator.sentence, *place)
                if (wanted is None or edit in wanted) and applies(operator, eqn):
                    self._at.setdefault(path, []).append((len(self._edits), operator))
                    self._edits.append(edit)

    def __len__(self) -> int:
        """How many."""
        return len(self._edits)

    @overload
    def __getitem__(self, k: int) -> Edit: ...
    @overload
    def __getitem__(self, k: slice) -> list[Edit]: ...
    def __getitem__(self, k):
        """Edit k."""
        return self._edits[k]

    def run(self, which: Any, inputs: list) -> list:
        """The outputs of mutant `which`, an integer or a traced one; -1 is none."""
        walk = _Edited(self._at, which)
        return walk.run(self.closed.jaxpr, self.closed.consts, inputs)

    def run_all(self, inputs: list) -> list:
        """The outputs of every mutant: each of the function's, with a leading axis."""
        return lax.map(
            lambda which: self.run(which, inputs),
            jnp.arange(len(self), dtype=jnp.int32),
        )


class _Edited(Replay):
    """The walk that chooses, at every equation, between its value and its edits'."""

    def __init__(self, at: dict, which: Any):
        super().__init__(Change())
        self.at, self.which, self.path = at, which, ()

    def equation(self, eqn, values: list) -> list:
        outer, self.path = self.path, (*self.path, id(eqn))
        edits = self.at.get(self.path, [])
        for k, operator in edits:
            if operator.before:
                values = self.choose(k, operator.before(eqn, values), values)
        outputs = super().equation(eqn, values)
        chosen = outputs
        for k, operator in edits:
            if operator.instead or operator.after:
                chosen = self.choose(k, edited(operator, eqn, values, outputs), chosen)
        self.path = outer
        return chosen

    def choose(self, k: int, other: list, values: list) -> list:
        """`other` where k is the mutant."""
        if isinstance(self.which, int):
            return other if k == self.which else values
        return [
            v if w is v else lax.select_n(self.which == k, jnp.asarray(v), w)
            for w, v in zip(other, values, strict=True)
        ]


def edited(operator: Operator, eqn, values: list, outputs: list) -> list:
    """The equation's results under an operator, in their own dtypes."""
    if operator.instead:
        found = operator.instead(eqn, list(map(jnp.asarray, values)))
    else:
        found = operator.after(eqn, outputs)
    return [
        jnp.asarray(v, w.aval.dtype) for v, w in zip(found, eqn.outvars, strict=True)
    ]


def applies(operator: Operator, eqn) -> bool:
    """Whether the operator gives this equation's results in their shapes."""
    shapes = [jax.ShapeDtypeStruct(v.aval.shape, v.aval.dtype) for v in eqn.invars]
    results = [jax.ShapeDtypeStruct(v.aval.shape, v.aval.dtype) for v in eqn.outvars]
    try:
        if operator.before:
            jax.eval_shape(lambda v: operator.before(eqn, v), shapes)
            return True
        found = jax.eval_shape(
            lambda v, w: edited(operator, eqn, v, w), shapes, results
        )
    except (TypeError, ValueError, NotImplementedError, IndexError):
        return False
    return [v.shape for v in found] == [v.shape for v in results]


def walk(jaxpr: core.Jaxpr, path: tuple = (), outer: Any = None) -> Iterator[tuple]:
    """Each equation with the path of calls to it and its (file, line), or None.

    The body of a library's own function was traced wherever it was first called, so its
    equations are given the line of the call.
    """
    for eqn in jaxpr.eqns:
        here = (*path, id(eqn))
        frame = outer or user_frame(eqn)
        yield here, eqn, frame
        for inner in core.jaxprs_in_params(eqn.params):
            inner = getattr(inner, "jaxpr", inner)
            yield from walk(inner, here, frame if is_library(inner) else outer)
