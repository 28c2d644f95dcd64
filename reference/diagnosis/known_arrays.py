"""Every array at hand by name, and how each fits into the shape of a leaf."""

from collections.abc import Callable, Iterator

import numpy as np

from reference.diagnosis.constants import (
    named_leaves,
    outputs,
)
from reference.diagnosis.scene import Scene

FUNCTIONS: dict[str, Callable] = {
    "{}": lambda v: v,
    "{}^2": lambda v: v**2,
    "sqrt({})": np.sqrt,
    "1 - {}": lambda v: 1 - v,
    "1 - {}^2": lambda v: 1 - v**2,
    "{} (1 - {})": lambda v: v * (1 - v),
    "exp({})": np.exp,
    "exp(-{})": lambda v: np.exp(-v),
    "1 + {}^2": lambda v: 1 + v**2,
    "|{}|": np.abs,
    "cos({})": np.cos,
    "sigmoid({})": lambda v: 1 / (1 + np.exp(-v)),
}


def values(scene: Scene) -> dict[str, np.ndarray]:
    """Every array at hand by name, numbers only."""

    def make() -> dict[str, np.ndarray]:
        found = dict(named_leaves(scene))
        found |= dict(zip(scene.stage.residual_names, scene.run.residuals))
        found |= {f"y{k}": v for k, v in outputs(scene)}
        lifted = {
            k: v.astype(float) if v.dtype == bool else v for k, v in found.items()
        }
        return {k: v for k, v in lifted.items() if v.dtype.kind in "fiuc"}

    return scene.once("values", make)


def broadcasts(v: np.ndarray, shape: tuple[int, ...]) -> Iterator[Callable]:
    """Ways to give an array a leaf's shape, axes in order."""
    if v.ndim > len(shape) or v.ndim == 0:
        return
    for start in range(len(shape) - v.ndim + 1):
        target = shape[start : start + v.ndim]
        if all(n in (1, m) for n, m in zip(v.shape, target)) and v.size > 1:
            after = len(shape) - v.ndim - start

            def fitted(w, start=start, after=after):
                return w.reshape((1,) * start + w.shape + (1,) * after)

            yield fitted


def fitting(known: dict, shape: tuple[int, ...]) -> Iterator[tuple[str, Callable]]:
    """Each way in which each of the arrays broadcasts into a shape."""
    for name, v in known.items():
        for fitted in broadcasts(v, shape):
            yield name, fitted
