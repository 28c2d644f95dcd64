"""Arrays of 0 and 1 that the arguments mean, and a leaf that forgets one.

hand is the truth where the mask is 0, or only where it is 1
"""

from collections.abc import Callable, Iterator

import numpy as np

from reference.diagnosis.constants import (
    named_leaves,
)
from reference.diagnosis.hypothesis import Hypothesis
from reference.diagnosis.known_arrays import broadcasts
from reference.diagnosis.near import near
from reference.diagnosis.scene import Scene, Stage


def zero_outside(stage: Stage, i: int) -> Iterator[Hypothesis]:
    """A mask in the arguments that takes out too much."""
    home = stage.home
    for name, fitted in fitting_masks(home, i):
        if near(home.hand[i], home.truth[i] * fitted(mask_arrays(home)[name])):
            yield Hypothesis(
                f"mask: {name}",
                "C8",
                f"is zero outside of {name}",
                lambda s, f=fitted, n=name: planted_by(s, i, f(mask_arrays(s)[n])),
            )


def not_masked(stage: Stage, i: int) -> Iterator[Hypothesis]:
    """A mask in the arguments that is forgotten.

    It repairs whatever is wrong outside of the mask, so that it comes last: what says
    what stands there says more.
    """
    home = stage.home
    for name, fitted in fitting_masks(home, i):
        if near(home.hand[i] * fitted(mask_arrays(home)[name]), home.truth[i]):
            yield Hypothesis(
                f"mask: {name}",
                "C8",
                f"is not masked by {name}",
                lambda s, f=fitted, n=name: repaired_by(s, i, f(mask_arrays(s)[n])),
            )


def fitting_masks(home: Scene, i: int) -> Iterator[tuple[str, Callable]]:
    """The masks that take out some of a leaf and not all."""
    for name, mask in mask_arrays(home).items():
        if mask.any() and not mask.all():
            for fitted in broadcasts(mask, home.truth[i].shape):
                yield name, fitted


def repaired_by(scene: Scene, i: int, mask: np.ndarray) -> tuple:
    """The mask applied to the hand."""
    return scene.hand[i] * mask, scene.truth[i]


def planted_by(scene: Scene, i: int, mask: np.ndarray) -> tuple:
    """The mask applied to the truth."""
    return scene.hand[i], scene.truth[i] * mask


def mask_arrays(scene: Scene) -> dict[str, np.ndarray]:
    """Arrays of 0 and 1 that the arguments mean."""

    def make() -> dict[str, np.ndarray]:
        found = {}
        for name, v in named_leaves(scene):
            if v.dtype == bool:
                found[name] = v
                found[f"not {name}"] = ~v
            elif np.issubdtype(v.dtype, np.integer):
                for special in scene.stage.oracle.special:
                    found[f"{name} != {special}"] = v != special
            elif not np.iscomplexobj(v):
                found[f"{name} > 0"] = v > 0
                found[f"{name} < 0"] = v < 0
        return found

    return scene.once("masks", make)
