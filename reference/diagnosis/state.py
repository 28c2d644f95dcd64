"""One object that keeps its state, used in several places: whose residual is it?

An object that stores what its backward needs in itself stores the last call's alone.
As residuals, all its calls then hold one array, the value of one line of the forward
that has given as many values as there were calls. Each is given back its own:

    (1)  hand(residual of call n → the line's n-th value, dy) = truth
"""

from collections.abc import Iterator

import numpy as np

from reference.diagnosis.hypothesis import Hypothesis
from reference.diagnosis.near import near
from reference.diagnosis.scene import Scene, Stage
from reference.diagnosis.tape import same_place, tape


def other_call(stage: Stage, i: int) -> Iterator[Hypothesis]:
    """(1) for every group of residuals that hold one array."""
    home = stage.home
    for residuals in sharing(home):
        for source, places in values_of_lines(home, residuals[0]).items():
            if len(places) != len(residuals):
                continue

            def sides(s: Scene, residuals=residuals, places=places) -> tuple:
                return restored(home, s, residuals, places)[i], s.truth[i]

            if near(*sides(home)):
                code = tape(home)[places[0]].code
                names = ", ".join(stage.residual_names[k] for k in residuals[:-1])
                yield Hypothesis(
                    "state: other call",
                    "C9",
                    f"{names} {'is' if len(residuals) == 2 else 'are'} another call's: "
                    f"what `{code}` ({source}) gave at the last of its {len(places)} "
                    "calls. One object that keeps its state is used in several places, "
                    "and each call overwrites what the one before kept",
                    sides,
                    source=source,
                )


def sharing(home: Scene) -> list[tuple[int, ...]]:
    """Residuals of one name, as `y` of `residuals[1].y`, that hold one array."""
    groups: list[list[int]] = []
    names, arrays = home.stage.residual_names, home.run.residuals
    for k, v in enumerate(arrays):
        for group in groups:
            first = group[0]
            same = v.shape == arrays[first].shape and np.array_equal(v, arrays[first])
            if same and last_key(names[k]) == last_key(names[first]):
                group.append(k)
                break
        else:
            groups.append([k])
    return [tuple(g) for g in groups if len(g) > 1]


def last_key(name: str) -> str:
    """What a residual is called in its own layer."""
    return max(name.rpartition("[")[2], name.rpartition(".")[2], key=name.rfind)


def values_of_lines(home: Scene, k: int) -> dict[str, list[int]]:
    """For each line that gave residual k, the places of its values, each value once."""
    own, found = home.run.residuals[k], {}
    for place, entry in enumerate(tape(home)):
        if not entry.source or entry.value.shape != own.shape:
            continue
        places = found.setdefault(entry.source, [])
        known = (tape(home)[n].value for n in places)
        if not any(near(entry.value, v) for v in known):
            places.append(place)
    return {
        source: places
        for source, places in found.items()
        if any(near(tape(home)[n].value, own) for n in places)
    }


def restored(home: Scene, scene: Scene, residuals: tuple, places: list) -> list:
    """The cotangents with each residual given the value of its own call."""
    arrays = list(scene.run.residuals)
    for k, place in zip(residuals, places):
        arrays[k] = np.asarray(same_place(home, place, scene), arrays[k].dtype)
    return scene.stage.backward(arrays, scene.dys, scene.live)
