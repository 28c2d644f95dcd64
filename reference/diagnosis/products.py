"""hand - truth as one product of what is at hand: a summand too few or too many.

    (1)  hand - truth = α a ∘ R(dy ∘ b)

a and b are arguments, residuals, y, or absent, and a may be a mask; R leaves its
operand alone or takes sums or means over some axes of it. α must be a named constant
at two sizes, or one number of few digits.
"""

from collections.abc import Iterator
from itertools import chain, combinations

import numpy as np

from reference.diagnosis.constants import name_factor
from reference.diagnosis.hypothesis import Hypothesis
from reference.diagnosis.known_arrays import broadcasts, values
from reference.diagnosis.masks import mask_arrays
from reference.diagnosis.paths import weight
from reference.diagnosis.scene import Scene, Stage


def products(stage: Stage, i: int) -> Iterator[Hypothesis]:
    """(1) for the leaf's error."""
    error = stage.home.error(i)
    if not np.isfinite(error).all() or not error.any():
        return
    scenes = stage.scenes()
    for name, value in summands(stage.home, error.shape):
        if not np.isfinite(value).all() or not value.any():
            continue
        alpha = weight(error, value)
        if alpha is None:
            continue
        found = [alpha - 1]  # `weight` is 1 + alpha.
        for scene in scenes[1:]:
            there = dict(summands(scene, scene.truth[i].shape)).get(name)
            w = None if there is None else weight(scene.error(i), there)
            found.append(np.nan if w is None else w - 1)
        constant = name_factor(found, scenes, unnamed=is_short(found[0]))
        if constant is None:
            continue

        def sides(s: Scene, name=name, constant=constant) -> tuple:
            there = dict(summands(s, s.truth[i].shape))[name]
            return s.hand[i] - constant.at(s) * there, s.truth[i]

        yield Hypothesis(
            f"product: {constant.names} {name}",
            "C2",
            f"is the truth {signed(constant.name)} {name}",
            sides,
        )


def is_short(value: float) -> bool:
    """Whether a number was written with at most three digits."""
    return bool(np.isclose(value, float(f"{value:.3g}"), rtol=1e-7, atol=0))


def signed(constant: str) -> str:
    """ "plus", "minus", "plus 1/2 times"."""
    sign = "minus" if constant.startswith("-") else "plus"
    size = constant.removeprefix("-")
    return sign if size == "1" else f"{sign} {size} times"


def summands(scene: Scene, shape: tuple[int, ...]) -> Iterator[tuple[str, np.ndarray]]:
    """Every a ∘ R(dy ∘ b) of a leaf's shape."""
    known = {"1": np.ones(()), **values(scene)}
    masks = {f"({k})": v.astype(float) for k, v in mask_arrays(scene).items()}
    for k, dy in enumerate(scene.dys):
        name = "dy" if len(scene.dys) == 1 else f"dy[{k}]"
        for b, v in known.items():
            for fitted in ways(v, dy.shape):
                text = name if b == "1" else f"{name} {b}"
                for inner, value in reduced(text, np.asarray(dy * fitted(v)), shape):
                    for a, w in {**known, **masks}.items():
                        for outer in ways(w, shape):
                            label = inner if a == "1" else f"{a} {inner}"
                            yield label, np.broadcast_to(outer(w) * value, shape)


def ways(v: np.ndarray, shape: tuple[int, ...]) -> Iterator:
    """Ways to broadcast into a shape; numbers fit anywhere."""
    return iter([lambda w: w]) if v.ndim == 0 else broadcasts(v, shape)


def reduced(
    text: str, value: np.ndarray, shape: tuple[int, ...]
) -> Iterator[tuple[str, np.ndarray]]:
    """R: nothing, or sums over axes, kept where the shape needs them."""
    n = value.ndim
    if value.shape == shape or n == 0:
        yield text, value
    for axes in chain.from_iterable(combinations(range(n), k) for k in range(1, n + 1)):
        total = np.asarray(value.sum(axes, keepdims=True))
        name = f"sum({text}, axis {', '.join(map(str, axes))})"
        if value.shape == shape or len(axes) == n:
            yield name, total if value.shape == shape else total.reshape(())
        elif (small := np.asarray(value.sum(axes))).shape == shape:
            yield name, small
