"""Scenes: everything that is known at one point under one cotangent.

A stage is a problem at one set of shapes with one compiled program,

    (live, rest, dys) -> y, residuals, the hand's cotangents, the truth's, the terms

and gives scenes: arrays in float64 with their noise (reference.verifier.oracle (1) to
(3)). The diagnosis finds a cause at the first scene of a stage, its home, and proves it
at others: other cotangents, other points, another size.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import keystr

from reference.compare import compare, steady
from reference.verifier.cotangents import generator, normal
from reference.verifier.oracle import oracle_for
from reference.verifier.points import Point, nearby_points
from reference.verifier.probe import Probe, inside_domain, lift
from reference.verifier.problem import Problem, Values, live_cotangents
from reference.verifier.replay import UNIT, Change, changed
from reference.verifier.shapes import cuts, shortened

REPEATS = 4
FRESH = 3  # Other probes of the same size at which a cause must hold.
LIMIT = 64.0


@dataclass(frozen=True)
class Run:
    """What the program gives, on the host."""

    y: list[np.ndarray]
    residuals: list[np.ndarray]
    hand: list[np.ndarray]
    truth: list[np.ndarray]
    terms: dict[str, dict[str, np.ndarray]]


@dataclass
class Scene:
    """One point and cotangent of a stage."""

    stage: "Stage"
    live: list[np.ndarray]
    rest: list
    dys: list[np.ndarray]
    run: Run
    noise: list[np.ndarray]
    kept: dict[str, Any] = field(default_factory=dict)

    @property
    def hand(self) -> list[np.ndarray]:
        """The hand-written cotangents."""
        return self.run.hand

    @property
    def truth(self) -> list[np.ndarray]:
        """The true ones."""
        return self.run.truth

    def error(self, i: int) -> np.ndarray:
        """Hand minus truth in leaf `i`."""
        return np.asarray(self.hand[i] - self.truth[i])

    def units(self, i: int, one: Values, other: Values) -> float:
        """How far two values of leaf `i` are apart, in noise units; inf if too far."""
        if one.shape != other.shape:
            return np.inf
        found = compare(np.asarray(one), np.asarray(other), self.noise[i])
        return found.units if found.passes and not found.blind else np.inf

    def is_wrong(self, i: int) -> bool:
        """Whether hand and truth differ in leaf `i`."""
        return not self.units(i, self.hand[i], self.truth[i]) <= LIMIT

    def under(self, dys: list) -> Run:
        """The same point under another cotangent."""
        return self.stage.program(self.live, self.rest, list(map(np.asarray, dys)))

    def once(self, name: str, make: Callable[[], Any]) -> Any:
        """`make()`, kept for the next that asks under this name."""
        if name not in self.kept:
            self.kept[name] = make()
        return self.kept[name]


class Stage:
    """A problem at one set of shapes; wants `exact_arithmetic`."""

    def __init__(self, problem: Problem, seed: int, kind: str = "given"):
        """Trace nothing yet.

        Args:
            problem: With a differentiable, traceable forward.
            seed: Of the probes.
            kind: The situation (reference.verifier.points) in which the error shows.
        """
        self.problem, self.seed, self.kind = problem, seed, kind
        self.oracle = oracle_for(problem.functions)
        self.probe = Probe(problem, self.oracle, seed)
        self.eager = self.oracle.eager
        self.structure: Any = None
        self.static: list = []
        self.residual_names: list[str] = []

    @property
    def names(self) -> list[str]:
        """Of the live leaves."""
        return self.problem.names

    def reading(self, f: Callable) -> Callable:
        """f without its casts to narrower floats, where it has any."""
        return changed(f, Change(widen=True)) if self.oracle.leaks else f

    def program(self, live: list, rest: list, dys: list) -> Run:
        """Everything at one point under one cotangent."""
        if self.eager:
            y, residuals, hand, terms = self._parts(live, rest, dys)
            truth = self.oracle.truth(live, rest, dys).value[: len(live)]
        else:
            y, residuals, hand, terms, truth = self._compiled(live, rest, dys)
        host = jax.tree.map(np.asarray, (y, residuals, hand, truth, terms))
        return Run(*host)

    def backward(self, residuals: list, dys: list, like: list) -> list[np.ndarray]:
        """The hand's cotangents from residual leaves of any origin."""
        backward = self.backward_program if self.eager else self._compiled_backward
        return [np.asarray(v) for v in backward(residuals, dys, like)]

    @cached_property
    def home(self) -> Scene:
        """The first scene in which some leaf is wrong, or the given one."""
        given = self._given()
        if self.kind == "given" or any(map(given.is_wrong, range(len(given.hand)))):
            return given
        found = next((s for s in self._moved(2, given.live) if self._shows(s)), None)
        return found or given

    @cached_property
    def fresh(self) -> list[Scene]:
        """Scenes for proofs: another cotangent at home, other points like it."""
        home = self.home
        dys = self.draw(generator(self.seed, 21))
        found = [self.scene(home.live, home.rest, dys)]
        kind, self.kind = self.kind, self.kind
        if kind == "given":
            self.kind = "generic values"
        for salt in range(22, 22 + FRESH - 1):
            found += list(self._moved(salt, home.live))[:1]
        self.kind = kind
        return found

    @cached_property
    def resized(self) -> "Stage | None":
        """The same at other shapes, if the forward and the backward take any."""
        options = [shortened(self.problem)]
        options += [c.problem for c in cuts(self.problem)]
        for problem in filter(None, options):
            try:
                other = Stage(problem, self.seed, self.kind)
                if all(np.isfinite(v).all() for v in other.home.truth):
                    return other
            except Exception:  # A backward that holds its sizes raises.
                continue
        return None

    def scenes(self) -> list[Scene]:
        """Home, and where there is one, home at the other size."""
        return [self.home] + ([self.resized.home] if self.resized else [])

    def draw(self, rng: np.random.Generator) -> list[np.ndarray]:
        """A normal cotangent leaf by leaf, complex where y is."""
        shape = self.problem.shape
        real, imag = (
            lift(shape.split(normal(self.probe.size, rng).value)) for _ in range(2)
        )
        return [
            np.asarray(a + 1j * b) if np.iscomplexobj(a) else a
            for a, b in zip(real, imag)
        ]

    def scene(self, live: list, rest: list, dys: list) -> Scene:
        """The scene with its noise."""
        run = self.program(live, rest, dys)
        rng = generator(self.seed, 23)
        spread = [np.zeros(v.shape) for v in run.truth]
        for _ in range(REPEATS):
            moved = self.program(jiggled(live, rng), rest, jiggled(dys, rng))
            for new, old in ((moved.truth, run.truth), (moved.hand, run.hand)):
                with np.errstate(all="ignore"):
                    gaps = [np.abs(a - b) for a, b in zip(new, old)]
                spread = [np.fmax(s, np.nan_to_num(g)) for s, g in zip(spread, gaps)]
        noise = [steady(s, v) for s, v in zip(spread, run.truth)]
        return Scene(self, live, rest, dys, run, noise)

    def _given(self) -> Scene:
        dys = self.draw(generator(self.seed, 20))
        return self.scene(lift(self.problem.live), self.problem.rest, dys)

    def _moved(self, salt: int, home: list):
        """Scenes at points of this stage's kind, drawn anew."""
        rng = generator(self.seed, salt)
        points = nearby_points(
            self.problem,
            rng,
            self.oracle.special,
            repeats=not self.oracle.overwrites,
            symmetric=self.oracle.wants_symmetry,
        )
        for point in points:
            exact = point.kind == self.kind
            if not exact and not self.kind.startswith(f"{point.kind},"):
                continue
            inside: Point | None = inside_domain(self.probe, point)
            if inside is not None:
                yield self.scene(lift(inside.live), inside.rest, self.draw(rng))

    def _shows(self, scene: Scene) -> bool:
        return any(map(scene.is_wrong, range(len(scene.hand))))

    def _parts(self, live: list, rest: list, dys: list) -> tuple:
        subject, shape = self.problem.subject, self.problem.shape
        args = shape.merge(live, rest)
        y, residuals = subject.forward(*args)
        floats = [v for v in map(jnp.asarray, jax.tree.leaves(y)) if is_float(v)]
        dys = [jnp.asarray(d, v.dtype) for d, v in zip(dys, floats)]
        dy = shape.cotangent(dys)
        hand = live_cotangents(args, subject.backward(residuals, dy), shape)
        terms = subject.terms(residuals, dy) if subject.terms else {}
        named, self.structure = jax.tree.flatten_with_path(residuals)
        leaves = [v for _, v in named]
        self.static = [None if is_array(v) else v for v in leaves]
        self.residual_names = [
            "residuals" + keystr(path) for path, v in named if is_array(v)
        ]
        return floats, [v for v in leaves if is_array(v)], hand, terms

    def backward_program(self, residuals: list, dys: list, like: list) -> list:
        """The hand's cotangents of the leaves `like`, to be traced or run."""
        arrays, shape = iter(residuals), self.problem.shape
        leaves = [next(arrays) if v is None else v for v in self.static]
        tree = jax.tree.unflatten(self.structure, leaves)
        args = shape.merge(like, self.problem.rest)
        dy = shape.cotangent([jnp.asarray(d) for d in dys])
        return live_cotangents(args, self.problem.subject.backward(tree, dy), shape)

    @cached_property
    def _compiled(self) -> Callable:
        truth = self.oracle.pullback(self.reading(self.problem.functions.primal))
        parts = self.reading(self._parts)
        count = len(self.problem.live)

        def everything(live, rest, dys):
            return *parts(live, rest, dys), truth(live, rest, dys)[:count]

        return self.oracle.jit(everything)

    @cached_property
    def _compiled_backward(self) -> Callable:
        return self.oracle.jit(self.reading(self.backward_program))


def jiggled(values: list, rng: np.random.Generator) -> list:
    """Each entry times 1 ± 2u."""
    return [v * (1 + 2 * UNIT * rng.choice([-1.0, 1.0], v.shape)) for v in values]


def is_float(v: Any) -> bool:
    """Whether a leaf has a cotangent."""
    return jnp.issubdtype(v.dtype, jnp.inexact)


def is_array(v: Any) -> bool:
    """Whether a leaf is an array, not a Python number."""
    return isinstance(v, (jax.Array, np.ndarray, np.generic))
