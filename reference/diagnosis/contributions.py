"""What each output contributes to each input entry, and what the hand made of it.

    (1)  C_kj = the truth's entry j under dy e_k          V_j = Σ_k C_kj

    overwrite   hand_j is the last, or the first, of the C_kj that are not 0
    mean        hand_j is their mean
    tie         at a tie autodiff chooses one winner or shares; the hand gives each of
                the tied entries the whole: hand_j = Σ_k of what C_kj is for some way
                of breaking the ties

(1) is one run a live output entry, up to 512 of them.
"""

from collections.abc import Iterator
from itertools import combinations

import jax
import jax.numpy as jnp
import numpy as np

from reference.diagnosis.hypothesis import Hypothesis
from reference.diagnosis.near import near
from reference.diagnosis.scene import Scene, Stage
from reference.verifier.cotangents import generator

OUTPUTS = 512
NUMBERS = 4_000_000
BREAKS = 12  # Random ways to break ties; a tie of k misses a winner 12 times in k^-12.
NUDGE = 1e-7


def contributions(stage: Stage, i: int) -> Iterator[Hypothesis]:
    """The table of the module on leaf `i`."""
    size = stage.probe.size
    if not 1 < size <= OUTPUTS or size * stage.home.truth[i].size > NUMBERS:
        return
    for what, mistake, sentence, plant in (
        (
            "overwrite: last written, last output",
            "C7",
            OVERWRITTEN.format("last"),
            last,
        ),
        (
            "overwrite: last written, first output",
            "C7",
            OVERWRITTEN.format("first"),
            first,
        ),
        ("overwrite: mean", "C4", AVERAGED, mean),
    ):
        for axes in summed_axes(stage.home):

            def sides(s: Scene, plant=plant, axes=axes) -> tuple:
                return s.hand[i], plant(grouped(table(s)[i], s, axes))

            if near(*sides(stage.home)):
                yield Hypothesis(what, mistake, sentence, sides)
    yield from ties(stage, i)


OVERWRITTEN = (
    "keeps one contribution alone, that of the {} output, where several outputs use "
    "one entry: `=` for `+=`"
)
AVERAGED = "is the mean of its contributions where their sum belongs"


def table(scene: Scene, live: list | None = None) -> list[np.ndarray]:
    """(1), for each leaf an array (outputs, *leaf)."""

    def make() -> list[np.ndarray]:
        program = scene.stage.home.once("contributions", lambda: compiled(scene.stage))
        where = scene.live if live is None else live
        return [np.asarray(v) for v in program(where, scene.rest, scene.dys)]

    return make() if live is not None else scene.once("table", make)


def compiled(stage: Stage):
    """The program of (1)."""
    truth = stage.oracle.pullback(stage.reading(stage.problem.functions.primal))
    count = len(stage.names)

    def program(live, rest, dys):
        flat = jnp.concatenate([d.ravel() for d in dys])
        ends = np.cumsum([d.size for d in dys])[:-1]

        def one(k):
            row = jnp.where(jnp.arange(flat.size) == k, flat, 0)
            parts = [p.reshape(d.shape) for p, d in zip(jnp.split(row, ends), dys)]
            return truth(live, rest, parts)[:count]

        return jax.lax.map(one, jnp.arange(flat.size))

    return stage.oracle.jit(program)


def summed_axes(scene: Scene) -> list[tuple[int, ...]]:
    """Axes of y whose entries may count as one contribution: some, not all."""
    if len(scene.dys) > 1:
        return [()]
    n = scene.dys[0].ndim
    return [c for k in range(n) for c in combinations(range(n), k)] or [()]


def grouped(c: np.ndarray, scene: Scene, axes: tuple[int, ...]) -> np.ndarray:
    """(1) summed over some axes of y."""
    if not axes:
        return c
    shape = scene.dys[0].shape
    total = c.reshape(*shape, *c.shape[1:]).sum(axes)
    return total.reshape(-1, *c.shape[1:])


def last(c: np.ndarray) -> np.ndarray:
    """The last contribution that is not 0."""
    return first(c[::-1])


def first(c: np.ndarray) -> np.ndarray:
    """The first."""
    at = np.argmax(c != 0, axis=0)
    return np.take_along_axis(c, at[None], 0)[0]


def mean(c: np.ndarray) -> np.ndarray:
    """The mean of those that are not 0."""
    return c.sum(0) / np.maximum((c != 0).sum(0), 1)


def ties(stage: Stage, i: int) -> Iterator[Hypothesis]:
    """Every entry of a tie gets the whole."""

    def sides(scene: Scene) -> tuple:
        return scene.hand[i], scene.once("ties", lambda: all_of_ties(scene))[i]

    if near(*sides(stage.home)):
        yield Hypothesis(
            "tie: all",
            "C11",
            "gives every entry of a tie the whole cotangent, where the winner, or the "
            "tied entries together, get it once",
            sides,
        )


def all_of_ties(scene: Scene) -> list[np.ndarray]:
    """For each leaf Σ_k of the largest C_kj over random ways to break the ties."""
    rng = generator(scene.stage.seed, 24)
    most = [np.zeros_like(c) for c in table(scene)]
    for _ in range(BREAKS):
        live = [
            v + NUDGE * (1 + np.abs(v)) * rng.standard_normal(v.shape)
            for v in scene.live
        ]
        for k, c in enumerate(table(scene, live)):
            most[k] = np.where(np.abs(c) > np.abs(most[k]), c, most[k])
    return [c.sum(0) for c in most]
