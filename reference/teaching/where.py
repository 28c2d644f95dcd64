"""The first two hints: the worst entry, and which entries along which axes."""

import numpy as np

from reference.compare import Comparison
from reference.diagnosis.arrangements import described
from reference.diagnosis.where import structure


def place(name: str, wrong: Comparison) -> str:
    """The worst entry."""
    at = f"[{', '.join(map(str, wrong.index))}]" if wrong.index else ""
    return f"{name}{at} is {wrong.hand:.5g}, and {wrong.truth:.5g} is right"


def axes(hand: np.ndarray, truth: np.ndarray, noise: np.ndarray) -> str:
    """Which entries are wrong, and what the error is along the axes."""
    bad = ~np.isfinite(hand)
    if bad.any():
        return f"{bad.mean():.0%} of the entries are not finite"
    error = hand - truth
    scale = np.abs(truth).max(initial=0)
    off = np.abs(error) > 64 * np.maximum(noise, 1e-13 * scale)
    found = [support(off), *structure(error, off)]
    return "wrong " + "; the error is ".join(found)


def support(off: np.ndarray) -> str:
    """Which entries."""
    if off.all() or not off.any():
        return "in every entry"
    for axis in range(off.ndim):
        others = tuple(k for k in range(off.ndim) if k != axis)
        rows = [int(k) for k in np.flatnonzero(off.any(others))]
        if len(rows) < off.shape[axis]:
            return f"only at {described(rows, off.shape[axis])} of axis {axis}"
    return f"in {off.mean():.0%} of the entries"
