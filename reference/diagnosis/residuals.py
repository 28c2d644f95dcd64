"""The backward run with one of its residuals replaced: a repair by substitution.

    (1)  hand(residuals with a → b, dy) = truth          b what should have been kept

b is another residual, an argument or y of a's shape, a simple function of them, a
itself with its axes exchanged, reversed, shifted by one, another step's. The backward
is run as a black box, so no source is needed. All leaves that it repairs are explained
at once.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

import numpy as np

from reference.diagnosis.hypothesis import Hypothesis
from reference.diagnosis.known_arrays import FUNCTIONS, broadcasts, values
from reference.diagnosis.near import near
from reference.diagnosis.scene import Scene, Stage
from reference.diagnosis.tape import same_place, tape
from reference.verifier.problem import Values

Make = Callable[[Scene], np.ndarray]
MOST = 600  # Substitutions that are tried.


def residuals(stage: Stage, i: int) -> Iterator[Hypothesis]:
    """One array for another, or itself otherwise arranged."""
    yield from substitutions(stage, i, plain(stage.home))


def other_values(stage: Stage, i: int) -> Iterator[Hypothesis]:
    """Values of the forward, functions and products of what is at hand."""
    yield from substitutions(stage, i, islice(computed(stage.home), MOST))


def substitutions(stage: Stage, i: int, options: Iterable) -> Iterator[Hypothesis]:
    """Every substitution that repairs leaf `i` at home."""
    home = stage.home
    for k, b, mistake, make in options:
        try:
            key = f"substituted {k} {b}"
            fixed = home.once(key, lambda k=k, make=make: substituted(home, k, make))
        except Exception:  # A backward may refuse what it was never meant to get.
            continue
        if not near(fixed[i], home.truth[i]) or not kept_right(home, fixed, i):
            continue

        def sides(s: Scene, k=k, make=make) -> tuple:
            return substituted(s, k, make)[i], s.truth[i]

        name = stage.residual_names[k]
        a, b = with_aliases(home, name), with_aliases(home, b)
        yield Hypothesis(
            f"residual: {a} should be {b}",
            mistake,
            f"uses {a} where {b} belongs",
            sides,
        )


def with_aliases(home: Scene, name: str) -> str:
    """A value's name and those of the arguments, residuals and outputs it equals."""
    known = values(home)
    if name not in known:
        return name
    v = known[name]
    others = [n for n, w in known.items() if n != name and w.shape == v.shape]
    equal = [n for n in others if np.array_equal(known[n], v)]
    return f"{name} ({', '.join(equal)})" if equal else name


def kept_right(home: Scene, fixed: list[np.ndarray], i: int) -> bool:
    """Whether no leaf that was right is spoiled."""
    return all(
        near(fixed[j], home.truth[j])
        for j in range(len(fixed))
        if j != i and not home.is_wrong(j)
    )


def substituted(scene: Scene, k: int, make: Make) -> list[np.ndarray]:
    """(1): the hand's cotangents with residual k replaced."""
    arrays = list(scene.run.residuals)
    with np.errstate(all="ignore"):
        new = make(scene)
    arrays[k] = np.asarray(new, arrays[k].dtype).reshape(arrays[k].shape)
    return scene.stage.backward(arrays, scene.dys, scene.live)


def plain(home: Scene) -> Iterator[tuple[int, str, str, Make]]:
    """(a, name of b, class, b), the plainest first."""
    for k, v in enumerate(home.run.residuals):
        yield from others(home, k, v, plain=True)
    for k, v in enumerate(home.run.residuals):
        yield from moved(home, k, v)


def computed(home: Scene) -> Iterator[tuple[int, str, str, Make]]:
    """The same with a b that is computed."""
    for k, v in enumerate(home.run.residuals):
        yield from of_tape(home, k, v)
    for k, v in enumerate(home.run.residuals):
        yield from combined(home, k, v)
    for k, v in enumerate(home.run.residuals):
        yield from others(home, k, v, plain=False)


def others(home: Scene, k: int, v: np.ndarray, plain: bool) -> Iterator:
    """Another array of this shape, or a function of one, itself included."""
    for name, w in values(home).items():
        if w.shape != v.shape or (v.dtype == bool) != (w.dtype == bool):
            continue
        if plain:
            if not (name == home.stage.residual_names[k] or near(w, v)):
                yield k, name, "C9", lambda s, n=name: values(s)[n]
            continue
        if v.dtype.kind not in "fc":
            continue
        for text, f in {**FUNCTIONS, **MORE}.items():
            if text != "{}":
                yield (
                    k,
                    text.replace("{}", name),
                    "C9",
                    lambda s, n=name, f=f: f(values(s)[n]),
                )


def of_tape(home: Scene, k: int, v: np.ndarray) -> Iterator[tuple[int, str, str, Make]]:
    """Another value that the forward computes."""
    if v.dtype.kind != "f":
        return
    for place, entry in enumerate(tape(home)):
        if entry.value.shape != v.shape or near(entry.value, v):
            continue

        def make(s: Scene, place=place) -> np.ndarray:
            return same_place(home, place, s)

        text = f"`{entry.code}` ({entry.source})" if entry.source else "the forward"
        yield k, f"the value of {text}", "C9", make


OPERATIONS: dict[str, Callable] = {
    "*": np.multiply,
    "/": np.divide,
    "-": np.subtract,
    "+": np.add,
}


def combined(
    home: Scene, k: int, v: np.ndarray
) -> Iterator[tuple[int, str, str, Make]]:
    """The residual times, over, minus or plus another value."""
    if v.dtype.kind not in "fc":
        return
    a = home.stage.residual_names[k]
    for name, w in values(home).items():
        is_own = w.shape == v.shape and np.array_equal(w, v)
        if w.dtype.kind not in "fc" or name == a or is_own:
            continue
        for fitted in broadcasts(w, v.shape):
            for sign, f in OPERATIONS.items():

                def make(s: Scene, n=name, g=fitted, f=f) -> np.ndarray:
                    return f(s.run.residuals[k], g(values(s)[n]))

                yield k, f"{a} {sign} {name}", "C9", make


MORE: dict[str, Callable] = {
    "-{}": lambda v: -v,
    "1/{}": lambda v: 1 / v,
    "1/{}^2": lambda v: 1 / v**2,
    "1": np.ones_like,
    "log({})": np.log,
    "tanh({})": np.tanh,
    "max({}, 0)": lambda v: np.maximum(v, 0),
}


def moved(home: Scene, k: int, v: np.ndarray) -> Iterator[tuple[int, str, str, Make]]:
    """The residual itself, otherwise arranged."""
    name = home.stage.residual_names[k]

    def own(f: Callable) -> Make:
        return lambda s: f(s.run.residuals[k])

    if v.dtype == bool:
        yield k, f"not {name}", "C8", own(np.logical_not)
    if np.iscomplexobj(v):
        yield k, f"the conjugate of {name}", "C15", own(np.conj)
    if v.dtype.kind in "iu":
        for by in (1, -1):
            yield k, f"{name} {by:+d} (shifted)", "C6", own(lambda w, b=by: w + b)
    if v.ndim >= 2 and v.shape[-1] == v.shape[-2] and v.shape[-1] > 1:
        yield k, f"{name} transposed", "C6", own(lambda w: np.swapaxes(w, -1, -2))
        yield (
            k,
            f"the symmetric part of {name}",
            "C15",
            own(lambda w: (w + np.swapaxes(w, -1, -2)) / 2),
        )
    for axis in range(v.ndim):
        if v.shape[axis] < 2:
            continue
        yield (
            k,
            f"{name} flipped along axis {axis}",
            "C6",
            own(lambda w, a=axis: np.flip(w, a)),
        )
        for by, text in ((1, "the step before"), (-1, "the step after")):
            yield (
                k,
                f"{name} of {text} along axis {axis} (shifted, 0 outside)",
                "C9",
                own(lambda w, a=axis, b=by: shifted(w, a, b)),
            )
            yield (
                k,
                f"{name} rolled by {by} along axis {axis} (shifted)",
                "C9",
                own(lambda w, a=axis, b=by: np.roll(w, b, a)),
            )


def shifted(v: Values, axis: int, by: int) -> np.ndarray:
    """v shifted along an axis, zeros coming in."""
    found = np.roll(v, by, axis)
    at = slice(0, by) if by > 0 else slice(by, None)
    found[tuple(at if k == axis else slice(None) for k in range(v.ndim))] = 0
    return found
