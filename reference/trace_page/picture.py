"""An array of any shape as a small heat map.

All axes but the last are laid one below the other. A matrix that is larger than SIDE
either way is cut into equal blocks, and a block shows its entry that is largest in
size, so that a single wrong entry is seen whatever the shape.
"""

import base64
from typing import Any

import numpy as np

SIDE = 32  # Cells, at most, each way.
WRITTEN = 64  # Entries up to which the numbers are there to read.
NOT_FINITE = -128


def picture(v: np.ndarray) -> dict[str, Any]:
    """What page.js draws.

    Args:
        v: Real numbers, of any shape.

    Returns:
        `shape`; `rms`, `least` and `most` of the finite entries; `rows` and `columns`
        of cells, each `block` entries high and wide; `cells` as base64 of int8, a
        cell's value being `scale` / 127 times it, or not finite where it is -128;
        `values`, row by row, where there are at most 64.

    Example:
        >>> drawn = picture(np.array([[0.0, 2.0], [-1.0, np.nan]]))
        >>> drawn["rows"], drawn["columns"], drawn["scale"], drawn["values"][1]
        (2, 2, 2.0, 2.0)
        >>> np.frombuffer(base64.b64decode(drawn["cells"]), np.int8)
        array([   0,  127,  -64, -128], dtype=int8)
    """
    numbers = np.asarray(v, np.float64)
    matrix = numbers.reshape(-1, numbers.shape[-1] if numbers.ndim else 1)
    block = tuple(max(1, -(-n // SIDE)) for n in matrix.shape)
    cells = largest(matrix, block)
    finite, shown = numbers[np.isfinite(numbers)], np.isfinite(cells)
    scale = float(np.abs(cells[shown]).max(initial=0.0))
    steps = np.full(cells.shape, NOT_FINITE, np.int8)
    steps[shown] = np.round(127 * (cells[shown] / (scale or 1.0)))
    return {
        "shape": numbers.shape,
        "rms": float(np.sqrt(np.mean(finite**2))) if finite.size else 0.0,
        "least": float(finite.min(initial=np.inf)) if finite.size else 0.0,
        "most": float(finite.max(initial=-np.inf)) if finite.size else 0.0,
        "rows": cells.shape[0],
        "columns": cells.shape[1],
        "block": block,
        "scale": scale,
        "cells": base64.b64encode(steps.tobytes()).decode(),
        "values": numbers.ravel().tolist() if numbers.size <= WRITTEN else None,
    }


def largest(matrix: np.ndarray, block: tuple[int, int]) -> np.ndarray:
    """The entry of each block that is largest in size; one that is not finite wins."""
    high, wide = block
    rows, columns = (-(-n // b) for n, b in zip(matrix.shape, block))
    padding = [(0, k * b - n) for k, b, n in zip((rows, columns), block, matrix.shape)]
    blocks = (
        np.pad(matrix, padding)
        .reshape(rows, high, columns, wide)
        .transpose(0, 2, 1, 3)
        .reshape(rows, columns, high * wide)
    )
    sizes = np.where(np.isfinite(blocks), np.abs(blocks), np.inf)
    where = np.argmax(sizes, axis=-1, keepdims=True)
    return np.take_along_axis(blocks, where, axis=-1)[..., 0]
