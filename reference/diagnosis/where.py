"""Where hand and truth differ, in words, when why is not proved."""

import numpy as np

from reference.diagnosis.arrangements import described
from reference.diagnosis.masks import mask_arrays
from reference.diagnosis.near import near
from reference.diagnosis.scene import Scene


def where(scene: Scene, i: int) -> str:
    """One sentence on the support and the structure of the error of leaf `i`."""
    error, truth = scene.error(i), scene.truth[i]
    bad = ~np.isfinite(scene.hand[i])
    if bad.any():
        first = [int(k) for k in np.argwhere(bad)[0]]
        return f"cause not proved; not finite in {bad.sum()} entries, first at {first}"
    off = np.abs(error) > 64 * np.maximum(scene.noise[i], 1e-13 * np.abs(truth).max())
    parts = [support(scene, i, off), *structure(error, off)]
    at = np.unravel_index(int(np.argmax(np.abs(error))), error.shape)
    parts.append(f"largest at {[int(k) for k in at]}")
    return "cause not proved; differs " + "; ".join(filter(None, parts))


def support(scene: Scene, i: int, off: np.ndarray) -> str:
    """Which entries."""
    if off.all() or not off.any():
        return "in every entry"
    for axis in range(off.ndim):
        others = tuple(k for k in range(off.ndim) if k != axis)
        rows = np.flatnonzero(off.any(others))
        if len(rows) < off.shape[axis]:
            at = described(list(map(int, rows)), off.shape[axis])
            return f"only at {at} of axis {axis}"
    for name, mask in mask_arrays(scene).items():
        if mask.shape == off.shape and (off & ~mask.astype(bool)).sum() == 0:
            return f"only where {name}"
    return f"in {off.mean():.0%} of its entries"


def structure(error: np.ndarray, off: np.ndarray) -> list[str]:
    """Constant along an axis, rank one."""
    found = []
    for axis in range(error.ndim):
        if error.shape[axis] > 1 and off.all():
            level = np.broadcast_to(error.mean(axis, keepdims=True), error.shape)
            if near(error, level):
                found.append(f"constant along axis {axis}")
    if error.ndim >= 2 and min(error.shape[-2:]) > 2:
        flat = error.reshape(-1, error.shape[-1])
        sizes = np.linalg.svd(flat, compute_uv=False)
        if sizes[0] > 0 and sizes[1] < 1e-9 * sizes[0]:
            found.append("of rank one")
    return found
