"""Summands that look as if one could forget them and are identically zero."""

from reference.diagnosis.path_program import Paths, every_cut, named, paths_of, top
from reference.diagnosis.scene import Stage


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
