"""The truth as a sum over paths, and which of them the hand counts wrongly.

A rule may name the summands of a cotangent (`terms`). Where it does not, they are found
in the forward itself: an edge is one operand of one equation of its jaxpr, and reverse
mode sends the cotangent back through all of them. With a weight m_e on what is sent
through edge e, and a share s_q of equation q whose derivative is left out, as if q were
the identity,

    (1)  V(m, s)           = the truth for m = 1, s = 0
    (2)  P_e               = V(1, 0) - V(1 - [e], 0)        all that goes through e
    (3)  hand - V          = (w - 1) P_e                    if the hand counts e w times
    (4)  hand              = V(m, s)                        with several, evaluated

(2) is exact because V is linear in each m_e. One program evaluates V for any m and s,
so all edges cost one compilation. Edges with the same P are one path; it is named by
the line of the first of them. Lines that the path runs through stand in the label.
"""

import linecache
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from reference.diagnosis.constants import plain_name
from reference.diagnosis.hypothesis import OtherProgram
from reference.diagnosis.near import near
from reference.diagnosis.scene import Scene, Stage
from reference.mutate.edits import walk
from reference.verifier.problem import Values
from reference.verifier.replay import Change, Replay

MOST = 400  # Edges beyond which the program is not made.


@jax.custom_vjp
def weighed(v, weight):
    """v; its cotangent is multiplied by the weight."""
    return v


def _weighed_forward(v, weight):
    return v, weight


def _weighed_backward(weight, dv):
    return dv * weight.astype(dv.dtype), jnp.zeros_like(weight)


weighed.defvjp(_weighed_forward, _weighed_backward)


@jax.custom_vjp
def bridge(v, share):
    """Zero; v is given the share of the cotangent."""
    return jnp.zeros_like(v)


def _bridge_forward(v, share):
    return jnp.zeros_like(v), share


def _bridge_backward(share, dv):
    return dv * share.astype(dv.dtype), jnp.zeros_like(share)


bridge.defvjp(_bridge_forward, _bridge_backward)


@dataclass(frozen=True)
class Edge:
    """One operand of one equation.

    Attributes:
        place: The path of calls to the equation, and the operand's number.
        primitive: Of the equation.
        source: "file.py:line".
        code: That line.
        variable: Which value it is, as a number; equal for all uses of one value.
        shapes: Of all operands of the equation.
        partners: The other operands, as `variable`.
    """

    place: tuple
    primitive: str
    source: str
    code: str
    variable: int
    shapes: tuple
    partners: tuple

    @property
    def is_whole(self) -> bool:
        """Whether the operand has the shape of what the equation gives."""
        return self.shapes[self.place[1]] == np.broadcast_shapes(*self.shapes)


class Paths:
    """The edges of a stage's forward and the program V of (1)."""

    def __init__(self, stage: Stage):
        """Trace the forward and find its edges; compile nothing yet.

        Raises:
            Exception: whatever tracing raises.
        """
        self.stage = stage
        home = stage.home
        primal = stage.reading(stage.problem.functions.primal)
        self.closed = jax.make_jaxpr(primal)(home.live, home.rest)
        self.edges: list[Edge] = []
        self.index: dict[tuple, int] = {}
        first: dict[tuple, int] = {}  # x * x uses x once: both operands are one edge.
        for edge in edges_of(self.closed):
            key = edge.place[0], edge.variable
            if key not in first:
                first[key] = len(self.edges)
                self.edges.append(edge)
            self.index[edge.place] = first[key]
        able = [e for e in self.edges if e.primitive in SKIPPED and e.is_whole]
        self.skips = list({e.place[0]: e for e in reversed(able)}.values())
        self.skip_index = {e.place[0]: k for k, e in enumerate(self.skips)}

    def argument_beside(self, edge: Edge) -> str:
        """The argument that a product multiplies by, "" for anything else."""
        jaxpr, names = self.closed.jaxpr, map(plain_name, self.stage.names)
        known = dict(zip(map(id, jaxpr.invars), names))
        for eqn in jaxpr.eqns:
            if eqn.primitive.name in SPREAD and id(eqn.invars[0]) in known:
                known[id(eqn.outvars[0])] = known[id(eqn.invars[0])]
        partners = edge.partners if edge.primitive == "mul" else ()
        return next((known[v] for v in partners if v in known), "")

    @property
    def usable(self) -> bool:
        """Whether the program is worth its compilation."""
        by_columns = self.stage.problem.by_columns
        return 0 < len(self.edges) <= MOST and not by_columns

    def weighted(self, scene: Scene, off: dict[int, float], skip: tuple = ()) -> list:
        """V with these edges' weights and these derivatives left out."""
        m, s = np.ones(len(self.edges)), np.zeros(len(self.skips) + 1)
        for e, w in off.items():
            m[e] = w
        s[list(skip)] = 1
        at = scene.live, scene.rest, scene.dys
        return [np.asarray(v) for v in self._one(*at, m, s)]

    def each(self, scene: Scene, rows: np.ndarray, shares: np.ndarray) -> list:
        """V for every row of weights and of shares, with a leading axis."""
        at = scene.live, scene.rest, scene.dys
        return [np.asarray(v) for v in self._many(*at, rows, shares)]

    @cached_property
    def _one(self) -> Callable:
        return self.stage.oracle.jit(self._truth)

    @cached_property
    def _many(self) -> Callable:
        def many(live, rest, dys, rows, shares):
            return jax.lax.map(
                lambda w: self._truth(live, rest, dys, *w), (rows, shares)
            )

        return self.stage.oracle.jit(many)

    def _truth(self, live, rest, dys, m, s) -> list:
        def primal(vs):
            walk = _Weighed(self, m, s)
            return walk.run(
                self.closed.jaxpr, self.closed.consts, jax.tree.leaves((vs, rest))
            )

        y, pullback = jax.vjp(primal, live)
        return pullback([jnp.asarray(d, v.dtype) for d, v in zip(dys, y)])[0]


class _Weighed(Replay):
    """The walk that puts the weights in."""

    def __init__(self, paths: Paths, m: Any, s: Any):
        super().__init__(Change(inline=True))
        self.paths, self.m, self.s, self.path = paths, m, s, ()

    def equation(self, eqn, values: list) -> list:
        """The equation with weighed operands."""
        outer, self.path = self.path, (*self.path, id(eqn))
        values = [self.operand(k, v) for k, v in enumerate(values)]
        outputs = super().equation(eqn, values)
        skip = self.paths.skip_index.get(self.path)
        if skip is not None and len(outputs) == 1:
            share = self.s[skip]
            operand = values[self.paths.skips[skip].place[1]]
            outputs = [weighed(outputs[0], 1 - share) + bridge(operand, share)]
        self.path = outer
        return outputs

    def operand(self, k: int, v: Any) -> Any:
        """The operand, weighed if it is an edge."""
        e = self.paths.index.get((self.path, k))
        return v if e is None else weighed(v, self.m[e])


SKIPPED = {
    "tanh", "logistic", "exp", "log", "sin", "cos", "sqrt", "rsqrt", "square",
    "integer_pow", "erf", "log1p", "expm1", "abs", "max", "min", "select_n", "clamp",
    "mul", "div",
}  # fmt: skip
SPREAD = {"broadcast_in_dim", "reshape", "squeeze", "convert_element_type"}
CONTAINERS = {"jit", "pjit", "closed_call", "custom_jvp_call", "custom_vjp_call",
              "scan", "while", "cond", "remat2", "checkpoint"}  # fmt: skip


def edges_of(closed) -> Iterator[Edge]:
    """Every float operand of every equation, bodies included; no literals."""
    for place, eqn, frame in walk(closed.jaxpr):
        if eqn.primitive.name in CONTAINERS or eqn.primitive.name == "stop_gradient":
            continue
        source, code = "", ""
        if frame:
            source = f"{os.path.basename(frame[0])}:{frame[1]}"
            code = linecache.getline(*frame).strip()
        for k, v in enumerate(eqn.invars):
            is_literal = hasattr(v, "val")
            if not is_literal and jnp.issubdtype(v.aval.dtype, jnp.inexact):
                name, shapes = eqn.primitive.name, [w.aval.shape for w in eqn.invars]
                others = tuple(id(w) for w in eqn.invars if w is not v)
                at = (place, k), name, source, code, id(v)
                yield Edge(*at, tuple(shapes), others)


def paths_of(stage: Stage) -> Paths | None:
    """The stage's paths, made once."""

    def make() -> Paths | None:
        try:
            paths = Paths(stage)
            if not paths.usable:
                return None
            plain = paths.weighted(stage.home, {})
            ok = all(near(a, b) for a, b in zip(plain, stage.home.truth))
            return paths if ok else None
        except Exception:  # A forward that this walk cannot follow has no paths.
            return None

    return stage.home.once("paths", make)


def same_paths(paths: Paths, scene: Scene) -> Paths:
    """The paths of a scene's stage, if its forward is the same program."""
    there = paths_of(scene.stage)
    if there is None or len(there.edges) != len(paths.edges):
        raise OtherProgram
    return there


def every_cut(stage: Stage, paths: Paths) -> list[np.ndarray]:
    """For each leaf V without one edge, for every edge."""
    n = len(paths.edges)

    def make() -> list:
        return paths.each(
            stage.home, 1 - np.eye(n), np.zeros((n, len(paths.skips) + 1))
        )

    return stage.home.once("cuts", make)


def top(v: Values) -> float:
    """The largest absolute entry."""
    return float(np.abs(v).max(initial=0))


@dataclass(frozen=True)
class Path:
    """Edges with one P, and P in one leaf."""

    edges: tuple[int, ...]
    p: np.ndarray


def named(edge: Edge) -> str:
    """An edge for a person: the line of the forward and what is on it."""
    code = edge.code.split("#")[0].strip()
    if not code:
        return f"`{edge.primitive}` in the forward {edge.source}".rstrip()
    return f"`{code}` ({edge.source}, {edge.primitive})"


def lines(paths: Paths, edges: tuple[int, ...]) -> str:
    """The source lines of a path, each once."""
    return " ".join(dict.fromkeys(paths.edges[e].source for e in edges))
