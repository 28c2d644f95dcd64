"""What a data set is: two splits of labelled rows, checked when it is made."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped


class Split(NamedTuple):
    """Rows and their labels, on the device.

    Attributes:
        x: One example a row.
        labels: One integer in [0, classes) a row.
    """

    x: Float[Array, "n *features"]
    labels: Shaped[Array, " m"]


@dataclass(frozen=True)
class Dataset:
    """Labelled examples to learn from, and others to judge by.

    Attributes:
        name: What messages call it.
        train: What the gradient sees.
        validation: What it never sees.
        classes: How many there are.

    Raises:
        ValueError: a split is empty, holds NaN or infinities, or has labels that are
            not integers in [0, classes), one a row; the splits' widths differ.

    Example:
        >>> rows = Split(jnp.array([[0.5], [1.5]]), jnp.array([0, 2]))
        >>> Dataset("mine", rows, rows, classes=2)
        Traceback (most recent call last):
            ...
        ValueError: mine: train.labels must lie in [0, 2), got 2 in row 1
    """

    name: str
    train: Split
    validation: Split
    classes: int

    def __post_init__(self) -> None:
        """Refuse bad data before anything is trained on it."""
        if self.classes < 1:
            raise ValueError(
                f"{self.name}: classes must be at least 1, got {self.classes}"
            )
        for which in ("train", "validation"):
            split = getattr(self, which)
            check_rows(f"{self.name}: {which}.x", split.x)
            check_labels(f"{self.name}: {which}.labels", split, self.classes)
        width, got = self.train.x.shape[1:], self.validation.x.shape[1:]
        if got != width:
            raise ValueError(
                f"{self.name}: validation.x must have rows shaped like those of "
                f"train.x, {width}, got {got}"
            )


def check_rows(who: str, x: Shaped[Array, "..."]) -> None:
    """Raise ValueError unless there is a row, every entry a finite float."""
    if x.ndim < 2 or x.size == 0:
        raise ValueError(
            f"{who} must have shape (rows, features) and not be empty, "
            f"got shape {x.shape}"
        )
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise ValueError(f"{who} must be floats, got {x.dtype}")
    nan, infinite = int(jnp.isnan(x).sum()), int(jnp.isinf(x).sum())
    if nan or infinite:
        raise ValueError(
            f"{who} must be finite, got {nan} NaN and {infinite} infinite entries"
        )


def check_labels(who: str, split: Split, classes: int) -> None:
    """Raise ValueError unless there is one integer in [0, classes) a row."""
    labels, n = split.labels, len(split.x)
    if labels.shape != (n,):
        raise ValueError(
            f"{who} must have shape ({n},), one a row of x, got {labels.shape}"
        )
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise ValueError(f"{who} must be integers, got {labels.dtype}")
    values = np.asarray(labels)
    outside = np.flatnonzero((values < 0) | (values >= classes))
    if outside.size:
        row = outside[0]
        raise ValueError(
            f"{who} must lie in [0, {classes}), got {values[row]} in row {row}"
        )


def on_device(x: Any, labels: Any) -> Split:
    """A split from NumPy arrays: x in JAX's default float dtype, labels as they are."""
    return Split(jnp.asarray(x, dtype=float), jnp.asarray(labels))


def held_out_fifth(
    name: str, x: Any, labels: Any, *, classes: int, seed: int
) -> Dataset:
    """Shuffle the rows and hold out a fifth of them, rounded down."""
    order = np.random.default_rng(seed).permutation(len(x))
    held = len(x) // 5
    validation, train = order[:held], order[held:]
    return Dataset(
        name,
        on_device(x[train], labels[train]),
        on_device(x[validation], labels[validation]),
        classes,
    )
