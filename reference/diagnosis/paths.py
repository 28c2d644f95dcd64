"""Which path of the forward the hand counts wrongly: (3) of path_program.py.

A path is all edges with one P. A derivative that is left out, as if its equation were
the identity, is a path with a share.
"""

from collections.abc import Iterator

import numpy as np

from reference.diagnosis.hypothesis import Hypothesis, OtherProgram
from reference.diagnosis.near import near
from reference.diagnosis.path_groups import several
from reference.diagnosis.path_program import (
    Path,
    Paths,
    every_cut,
    lines,
    named,
    paths_of,
    same_paths,
    top,
)
from reference.diagnosis.scene import Scene, Stage
from reference.diagnosis.terms import counted
from reference.verifier.problem import Values


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


def left_out(stage: Stage, paths: Paths, i: int) -> Iterator[Hypothesis]:
    """(4) with one derivative left out."""
    groups = skipped_together(paths)
    if not groups:
        return

    def make() -> list:
        shares = np.zeros((len(groups), len(paths.skips) + 1))
        for row, group in zip(shares, groups):
            row[list(group)] = 1
        return paths.each(stage.home, np.ones((len(groups), len(paths.edges))), shares)

    planted = stage.home.once("skips", make)[i]
    for group, value in zip(groups, planted):
        edge = paths.skips[group[0]]
        if near(stage.home.hand[i], value):

            def sides(scene: Scene, group=group) -> tuple:
                there = same_paths(paths, scene)
                return scene.hand[i], there.weighted(scene, {}, group)[i]

            factor = paths.argument_beside(edge) if len(group) == 1 else ""
            what = factor or f"derivative of {edge.primitive}"
            text = f"derivative of {named(edge)}, as if it were the identity"
            yield Hypothesis(
                f"factor: missing {what} {edge.source}".rstrip(),
                "C2",
                f"lacks the {f'factor {factor} of {named(edge)}' if factor else text}",
                sides,
                source=edge.source,
            )


def skipped_together(paths: Paths) -> list[tuple[int, ...]]:
    """Each derivative that may be left out, and all those of one line."""
    by_line: dict[str, list[int]] = {}
    for k, edge in enumerate(paths.skips):
        by_line.setdefault(edge.source, []).append(k)
    several = [tuple(v) for line, v in by_line.items() if line and len(v) > 1]
    return [(k,) for k in range(len(paths.skips))] + several
