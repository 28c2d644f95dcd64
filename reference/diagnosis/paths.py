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
from itertools import combinations
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from reference.diagnosis.constants import Constant, name_factor
from reference.diagnosis.hypothesis import Hypothesis, OtherProgram
from reference.diagnosis.relation import near
from reference.diagnosis.scene import Scene, Stage
from reference.mutate.edits import walk
from reference.problem import Values
from reference.replay import Change, Replay

MOST = 400  # Edges beyond which the program is not made.
PAIRS = 24  # Paths that are tried in pairs.


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
    """

    place: tuple
    primitive: str
    source: str
    code: str
    variable: int
    shapes: tuple


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
        self.skips = [
            e for e in self.edges if e.primitive in SKIPPED and e.place[1] == 0
        ]
        self.skip_index = {e.place[0]: k for k, e in enumerate(self.skips)}

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
            outputs = [weighed(outputs[0], 1 - share) + bridge(values[0], share)]
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
                yield Edge((place, k), name, source, code, id(v), tuple(shapes))


@dataclass(frozen=True)
class Path:
    """Edges with one P, and P in one leaf."""

    edges: tuple[int, ...]
    p: np.ndarray


def named_terms(stage: Stage, i: int) -> Iterator[Hypothesis]:
    """(3) on the summands that the rule itself names, several at once."""
    name = stage.names[i]
    terms = stage.home.run.terms.get(name)
    scenes = stage.scenes()
    fits = [fit(s, name, i) for s in scenes] if terms else [None]
    if any(f is None for f in fits):
        return
    columns = zip(*[f for f in fits if f is not None])
    counts = [counted([1 + a for a in column], scenes) for column in columns]
    wrong = [(t, c) for t, c in zip(terms, counts) if c.what != "right"]
    if not wrong:
        return

    def sides(scene: Scene) -> tuple:
        values = scene.run.terms[name].values()
        planted = [c.weight.at(scene) * v for c, v in zip(counts, values)]
        return scene.hand[i], sum(planted[1:], planted[0])

    yield Hypothesis(
        "term: " + " ".join(f"{term} {c.what}" for term, c in wrong),
        wrong[0][1].mistake,
        " and ".join(f"the {term} term {c.sentence}" for term, c in wrong),
        sides,
        "hand - truth = "
        + " ".join(f"{f:+.4g} {t}" for f, t in zip(fits[0], terms) if abs(f) > 1e-9),
    )


def fit(scene: Scene, name: str, i: int) -> np.ndarray | None:
    """Coefficients of the error on the terms; None where it is no combination."""
    terms = list(scene.run.terms.get(name, {}).values())
    matrix = np.stack([t.ravel() for t in terms], 1)
    error = scene.error(i).ravel()
    alpha, *_ = np.linalg.lstsq(matrix, error, rcond=1e-12)
    if not near(matrix @ alpha, error):
        return None
    return np.where(np.abs(alpha) < 1e-9, 0.0, alpha)


@dataclass(frozen=True)
class Count:
    """How often a summand counts, in words; `named` where the number has a reason."""

    what: str
    sentence: str
    mistake: str
    weight: Constant
    named: bool = True


def counted(weights: list[float], scenes: list[Scene]) -> Count:
    """What is done to a summand that counts w times at each scene."""
    if all(abs(w) < 1e-9 for w in weights):
        return Count("missing", "is missing", "C2", Constant("0", 0.0))
    constant = name_factor(weights, scenes)
    if constant is None:
        name, value = f"{weights[0]:.6g}", weights[0]
        text = f"is multiplied by {name}"
        return Count(f"scaled {name}", text, "C4", Constant(name, value), False)
    simple = {
        "1": ("right", "is right", ""),
        "2": ("doubled", "is counted twice", "C4"),
        "-1": ("negated", "has the wrong sign", "C3"),
    }
    name = constant.name
    scaled = (f"scaled {name}", f"is multiplied by {name}", "C4")
    return Count(*simple.get(name, scaled), constant)


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


def every_cut(stage: Stage, paths: Paths) -> list[np.ndarray]:
    """For each leaf V without one edge, for every edge."""
    n = len(paths.edges)

    def make() -> list:
        return paths.each(
            stage.home, 1 - np.eye(n), np.zeros((n, len(paths.skips) + 1))
        )

    return stage.home.once("cuts", make)


def distinct(stage: Stage, paths: Paths, i: int) -> list[Path]:
    """The paths of leaf `i`, neither empty nor the whole."""
    cut, truth = every_cut(stage, paths)[i], stage.home.truth[i]
    found: list[Path] = []
    for e in range(len(paths.edges)):
        p = truth - cut[e]
        if not np.isfinite(p).all() or np.abs(p).max(initial=0) <= 1e-12 * top(truth):
            continue
        twin = next((k for k, q in enumerate(found) if near(q.p, p)), None)
        if twin is None:
            found.append(Path((e,), p))
        else:
            found[twin] = Path((*found[twin].edges, e), p)
    return found


def top(v: Values) -> float:
    """The largest absolute entry."""
    return float(np.abs(v).max(initial=0))


def forward_paths(stage: Stage, i: int) -> Iterator[Hypothesis]:
    """(3) and (4) on the paths of the forward."""
    paths = paths_of(stage)
    if paths is None:
        return
    found = distinct(stage, paths, i)
    error = stage.home.error(i)
    for path in found:
        if weight(error, path.p) is not None:
            yield from one_path(stage, paths, path, i)
    yield from left_out(stage, paths, i)
    yield from several(stage, paths, found, i)


def weight(error: Values, p: Values) -> float | None:
    """w of (3), None where the error is no multiple of P."""
    w = float(np.real(np.vdot(p, error) / np.vdot(p, p)))
    return 1 + w if near(error, w * p) else None


def one_path(stage: Stage, paths: Paths, path: Path, i: int) -> Iterator[Hypothesis]:
    """The hypothesis that one path counts w times, if w has a name."""
    edge, scenes, weights = path.edges[0], stage.scenes(), []
    for scene in scenes:
        try:
            there = same_paths(paths, scene)
        except OtherProgram:
            scenes = scenes[:1]
            break
        p = scene.truth[i] - there.weighted(scene, {edge: 0.0})[i]
        w = weight(scene.error(i), p)
        if w is None:
            return
        weights.append(w)
    count = counted(weights, scenes)
    if not count.named and len(scenes) > 1:
        return

    def sides(scene: Scene) -> tuple:
        weights = {edge: count.weight.at(scene)}
        return scene.hand[i], same_paths(paths, scene).weighted(scene, weights)[i]

    yield Hypothesis(
        f"path: {lines(paths, path.edges)} {count.what}",
        count.mistake,
        f"the path through {named(paths.edges[edge])} {count.sentence}",
        sides,
        f"hand - truth = {weights[0] - 1:+.4g} times what goes through it",
        paths.edges[edge].source,
    )


def same_paths(paths: Paths, scene: Scene) -> Paths:
    """The paths of a scene's stage, if its forward is the same program."""
    there = paths_of(scene.stage)
    if there is None or len(there.edges) != len(paths.edges):
        raise OtherProgram
    return there


def in_loops(
    scene: Scene, paths: Paths, off: tuple[int, ...]
) -> tuple[Paths, tuple[int, ...]]:
    """The edges of a loop at another size, where it has another number of turns."""
    there = paths_of(scene.stage)
    here = [edges for _, _, edges in loops(paths)]
    found = [edges for _, _, edges in (loops(there) if there else [])]
    if there is None or off not in here or len(found) != len(here):
        raise OtherProgram
    return there, found[here.index(off)]


def named(edge: Edge) -> str:
    """An edge for a person: the line of the forward and what is on it."""
    code = edge.code.split("#")[0].strip()
    if not code:
        return f"`{edge.primitive}` in the forward {edge.source}".rstrip()
    return f"`{code}` ({edge.source}, {edge.primitive})"


def lines(paths: Paths, edges: tuple[int, ...]) -> str:
    """The source lines of a path, each once."""
    return " ".join(dict.fromkeys(paths.edges[e].source for e in edges))


def left_out(stage: Stage, paths: Paths, i: int) -> Iterator[Hypothesis]:
    """(4) with one derivative left out."""
    n = len(paths.skips)
    if not n:
        return

    def make() -> list:
        shares = np.eye(n, n + 1)
        return paths.each(stage.home, np.ones((n, len(paths.edges))), shares)

    planted = stage.home.once("skips", make)[i]
    for k, edge in enumerate(paths.skips):
        if near(stage.home.hand[i], planted[k]):

            def sides(scene: Scene, k=k) -> tuple:
                there = same_paths(paths, scene)
                return scene.hand[i], there.weighted(scene, {}, (k,))[i]

            yield Hypothesis(
                f"factor: missing derivative of {edge.primitive} {edge.source}",
                "C2",
                f"lacks the derivative of {named(edge)}, as if it were the identity",
                sides,
                source=edge.source,
            )


def several(
    stage: Stage, paths: Paths, found: list[Path], i: int
) -> Iterator[Hypothesis]:
    """(4) with two paths missing, or all uses of a value but one."""
    options: list[tuple[str, str, tuple[int, ...]]] = []
    for one, two in combinations(found[:PAIRS], 2):
        a, b = one.edges[0], two.edges[0]
        label = (
            f"path: {lines(paths, one.edges)} missing {lines(paths, two.edges)} missing"
        )
        text = (
            f"the paths through {named(paths.edges[a])} and {named(paths.edges[b])} "
            "are missing"
        )
        options.append((label, text, (a, b)))
    for path in found[:PAIRS]:
        for zero, _ in cancelling(stage, paths)[:PAIRS]:
            edge = paths.edges[path.edges[0]]
            text = (
                f"the path through {named(edge)} is missing, and with it the one "
                f"through {named(paths.edges[zero])}, which is zero only beside it"
            )
            label = f"path: {lines(paths, path.edges)} missing"
            options.append((label, text, (path.edges[0], zero)))
    options += loops(paths)
    options += uses(stage, paths)
    if not options:
        return
    n = len(paths.edges)

    def make() -> list:
        rows = np.ones((len(options), n))
        for row, (_, _, off) in zip(rows, options):
            row[list(off)] = 0
        return paths.each(stage.home, rows, np.zeros((len(rows), len(paths.skips) + 1)))

    planted = make()[i]
    for k, (label, text, off) in enumerate(options):
        if near(stage.home.hand[i], planted[k]):

            def sides(scene: Scene, off=off) -> tuple:
                there, found = paths_of(scene.stage), off
                if there is None or len(there.edges) != len(paths.edges):
                    there, found = in_loops(scene, paths, off)
                weights = dict.fromkeys(found, 0.0)
                return scene.hand[i], there.weighted(scene, weights)[i]

            mistake = "C7" if label.startswith("uses") else "C2"
            yield Hypothesis(label, mistake, text, sides)


def loops(paths: Paths) -> list[tuple[str, str, tuple[int, ...]]]:
    """The same operand of the same line at every turn of a Python loop."""
    turns: dict[tuple, list[int]] = {}
    for k, edge in enumerate(paths.edges):
        place = edge.source, edge.primitive, edge.place[1], edge.shapes
        turns.setdefault(place, []).append(k)
    return [
        (
            f"path: {source} missing",
            f"the path through {named(paths.edges[edges[0]])} is missing at every turn "
            "of its loop",
            tuple(edges),
        )
        for (source, *_), edges in turns.items()
        if len(edges) > 1 and source
    ]


def uses(stage: Stage, paths: Paths) -> list[tuple[str, str, tuple[int, ...]]]:
    """For each value used three times or more: one use alone, or all but one."""
    by_variable: dict[int, list[int]] = {}
    for k, edge in enumerate(paths.edges):
        by_variable.setdefault(edge.variable, []).append(k)
    inputs = {id(v): k for k, v in enumerate(paths.closed.jaxpr.invars)}
    found = []
    for variable, edges in by_variable.items():
        if len(edges) < 3:
            continue
        name = (
            stage.names[inputs[variable]]
            if inputs.get(variable, len(stage.names)) < len(stage.names)
            else f"the value that {named(paths.edges[edges[0]])} reads"
        )
        for text, off in (
            ("last alone", edges[:-1]),
            ("first alone", edges[1:]),
            ("last dropped", edges[-1:]),
            ("first dropped", edges[:1]),
        ):
            sentence = f"of the {len(edges)} uses of {name} counts the {text}"
            found.append((f"uses: {name} {text}", sentence, tuple(off)))
    return found


def zero_terms(stage: Stage) -> tuple[str, ...]:
    """Summands that are zero for every leaf, by cancellation and not by structure.

    What does not depend on the arguments has P = 0 bit by bit; a sum that cancels
    leaves its rounding.
    """
    home, found = stage.home, {}
    for i, name in enumerate(stage.names):
        for term, value in home.run.terms.get(name, {}).items():
            if top(value) <= 1e-12 * top(home.truth[i]):
                found[f"the {term} term of {name}"] = top(value)
    paths = paths_of(stage)
    lines_named = set()
    for k, norm in cancelling(stage, paths) if paths else ():
        line = paths.edges[k].source
        if line not in lines_named:
            found[f"the path through {named(paths.edges[k])}"] = norm
        lines_named.add(line)
    return tuple(
        f"{name} is identically zero here (norm {norm:.1e}): not a mistake, whether it "
        "is kept or left out"
        for name, norm in found.items()
    )


def cancelling(stage: Stage, paths: Paths) -> list[tuple[int, float]]:
    """The edges whose P is nothing but rounding in every leaf, with its size."""
    sizes = [max(v) for v in zip(*norms(stage, paths))]
    return [(k, v) for k, v in enumerate(sizes) if 0 < v <= 1e-12]


def norms(stage: Stage, paths: Paths) -> list[list[float]]:
    """For each leaf the size of every edge's P, relative to the truth's."""
    return [
        [top(truth - v) / top(truth) for v in cut]
        for truth, cut in zip(stage.home.truth, every_cut(stage, paths))
        if truth.size and top(truth) > 0
    ]
