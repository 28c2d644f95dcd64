"""Several paths at once, (4) of path_program.py: two missing, all turns of a loop, and
all uses of a value but one.
"""

from collections.abc import Iterator
from itertools import combinations
from typing import NamedTuple

import numpy as np

from reference.diagnosis.hypothesis import Hypothesis, OtherProgram
from reference.diagnosis.near import near
from reference.diagnosis.path_program import Path, Paths, lines, named, paths_of
from reference.diagnosis.scene import Scene, Stage
from reference.diagnosis.zero_terms import cancelling

PAIRS = 24  # Paths that are tried in pairs.


class Group(NamedTuple):
    """Edges that may be left out together, with their label and what is said."""

    label: str
    text: str
    edges: tuple[int, ...]


def several(
    stage: Stage, paths: Paths, found: list[Path], i: int
) -> Iterator[Hypothesis]:
    """(4) with two paths missing, or all uses of a value but one."""
    groups = [
        *two_missing(paths, found[:PAIRS]),
        *with_a_zero(paths, found[:PAIRS], cancelling(stage, paths)[:PAIRS]),
        *loops(paths),
        *uses(stage, paths),
    ]
    if not groups:
        return
    rows = np.ones((len(groups), len(paths.edges)))
    for row, group in zip(rows, groups):
        row[list(group.edges)] = 0
    shares = np.zeros((len(rows), len(paths.skips) + 1))
    planted = paths.each(stage.home, rows, shares)[i]
    for group, value in zip(groups, planted):
        if near(stage.home.hand[i], value):
            yield left_out_together(paths, group, i)


def left_out_together(paths: Paths, group: Group, i: int) -> Hypothesis:
    """That the hand lacks a group of edges."""

    def sides(scene: Scene) -> tuple:
        there, edges = paths_of(scene.stage), group.edges
        if there is None or len(there.edges) != len(paths.edges):
            there, edges = in_loops(scene, paths, edges)
        weights = dict.fromkeys(edges, 0.0)
        return scene.hand[i], there.weighted(scene, weights)[i]

    mistake = "C7" if group.label.startswith("uses") else "C2"
    return Hypothesis(group.label, mistake, group.text, sides)


def two_missing(paths: Paths, found: list[Path]) -> Iterator[Group]:
    """Every pair of paths."""
    for one, two in combinations(found, 2):
        a, b = one.edges[0], two.edges[0]
        yield Group(
            f"path: {lines(paths, one.edges)} missing {lines(paths, two.edges)} "
            "missing",
            f"the paths through {named(paths.edges[a])} and {named(paths.edges[b])} "
            "are missing",
            (a, b),
        )


def with_a_zero(
    paths: Paths, found: list[Path], zeros: list[tuple[int, float]]
) -> Iterator[Group]:
    """A path, and with it one that is zero only beside it."""
    for path in found:
        for zero, _ in zeros:
            edge = paths.edges[path.edges[0]]
            yield Group(
                f"path: {lines(paths, path.edges)} missing",
                f"the path through {named(edge)} is missing, and with it the one "
                f"through {named(paths.edges[zero])}, which is zero only beside it",
                (path.edges[0], zero),
            )


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


def loops(paths: Paths) -> list[Group]:
    """The same operand of the same line at every turn of a Python loop."""
    turns: dict[tuple, list[int]] = {}
    for k, edge in enumerate(paths.edges):
        place = edge.source, edge.primitive, edge.place[1], edge.shapes
        turns.setdefault(place, []).append(k)
    return [
        Group(
            f"path: {source} missing",
            f"the path through {named(paths.edges[edges[0]])} is missing at every turn "
            "of its loop",
            tuple(edges),
        )
        for (source, *_), edges in turns.items()
        if len(edges) > 1 and source
    ]


def uses(stage: Stage, paths: Paths) -> list[Group]:
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
            found.append(Group(f"uses: {name} {text}", sentence, tuple(off)))
    return found
