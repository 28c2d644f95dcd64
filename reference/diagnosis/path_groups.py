"""Several paths at once, (4) of path_program.py: two missing, all turns of a loop, and
all uses of a value but one.
"""

from collections.abc import Iterator
from itertools import combinations

import numpy as np

from reference.diagnosis.hypothesis import Hypothesis, OtherProgram
from reference.diagnosis.near import near
from reference.diagnosis.path_program import Path, Paths, lines, named, paths_of
from reference.diagnosis.scene import Scene, Stage
from reference.diagnosis.zero_terms import cancelling

PAIRS = 24  # Paths that are tried in pairs.


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
