"""What a data set is: two splits of labelled rows, checked when it is made."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Shaped


class Split(NamedTuple):
    """Rows and their labels, on the device.

    Attributes:
        x: One example a row: floats, or integers that are ids.
        labels: One integer in [0, classes) a row, or an id; floats, an array a row,
            where there are no classes.
    """

    x: Shaped[Array, "n *features"]
    labels: Shaped[Array, "m *steps"]


@dataclass(frozen=True)
class Dataset:
    """Labelled examples to learn from, and others to judge by.

    Attributes:
        name: What messages call it.
        train: What the gradient sees.
        validation: What it never sees.
        classes: How many there are; None where the labels are floats.

    Raises:
        ValueError: a split is empty, holds NaN, infinities or negative ids, or has
            labels that do not fit its rows and the classes; the splits' widths differ.

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
    classes: int | None

    def __post_init__(self) -> None:
        """Refuse bad data before anything is trained on it."""
        if self.classes is not None and self.classes < 1:
            raise ValueError(
                f"{self.name}: classes must be at least 1, got {self.classes}"
            )
        for which in ("train", "validation"):
            split = getattr(self, which)
            check_rows(f"{self.name}: {which}.x", split.x)
            if self.classes is None:
                check_values(f"{self.name}: {which}.labels", split)
            else:
                check_labels(f"{self.name}: {which}.labels", split, self.classes)
        width, got = self.train.x.shape[1:], self.validation.x.shape[1:]
        if got != width:
            raise ValueError(
                f"{self.name}: validation.x must have rows shaped like those of "
                f"train.x, {width}, got {got}"
            )


def check_rows(who: str, x: Shaped[Array, "..."]) -> None:
    """Raise ValueError unless there is a row, every entry a finite float or an id."""
    if x.ndim < 2 or x.size == 0:
        raise ValueError(
            f"{who} must have shape (rows, features) and not be empty, "
            f"got shape {x.shape}"
        )
    if jnp.issubdtype(x.dtype, jnp.integer):
        if int(x.min()) < 0:
            raise ValueError(f"{who} must hold ids from 0, got {int(x.min())}")
        return
    check_finite(who, x)


def check_finite(who: str, v: Shaped[Array, "..."]) -> None:
    """Raise ValueError unless every entry is a finite float."""
    if not jnp.issubdtype(v.dtype, jnp.floating):
        raise ValueError(f"{who} must be floats, got {v.dtype}")
    nan, infinite = int(jnp.isnan(v).sum()), int(jnp.isinf(v).sum())
    if nan or infinite:
        raise ValueError(
            f"{who} must be finite, got {nan} NaN and {infinite} infinite entries"
        )


def check_values(who: str, split: Split) -> None:
    """Raise ValueError unless there is an array of finite floats a row."""
    if split.labels.shape[:1] != split.x.shape[:1]:
        raise ValueError(
            f"{who} must have {len(split.x)} rows, as x has, "
            f"got shape {split.labels.shape}"
        )
    check_finite(who, split.labels)


def check_labels(who: str, split: Split, classes: int) -> None:
    """Raise ValueError unless there is one integer in [0, classes) a row, or an id."""
    x, labels = split
    each_id = jnp.issubdtype(x.dtype, jnp.integer) and labels.shape == x.shape
    if labels.shape != x.shape[:1] and not each_id:
        raise ValueError(
            f"{who} must have shape ({len(x)},), one a row of x, got {labels.shape}"
        )
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise ValueError(f"{who} must be integers, got {labels.dtype}")
    values = np.asarray(labels)
    outside = np.argwhere((values < 0) | (values >= classes))
    if outside.size:
        first = tuple(outside[0])
        raise ValueError(
            f"{who} must lie in [0, {classes}), got {values[first]} in row {first[0]}"
        )


def to_itself(data: Dataset) -> Dataset:
    """The same rows, each its own label: what an autoencoder learns.

    Example:
        >>> rows = Split(jnp.array([[0.5], [1.5]]), jnp.array([0, 1]))
        >>> to_itself(Dataset("mine", rows, rows, classes=2)).train.labels.shape
        (2, 1)
    """
    splits = (Split(split.x, split.x) for split in (data.train, data.validation))
    return Dataset(data.name, *splits, classes=None)


def on_device(x: Any, labels: Any) -> Split:
    """A split from NumPy arrays: floats in JAX's default dtype, integers unchanged."""
    labels = np.asarray(labels)
    kind = float if labels.dtype.kind == "f" else None
    return Split(jnp.asarray(x, dtype=float), jnp.asarray(labels, dtype=kind))


def standardised(data: Dataset) -> Dataset:
    """Features, and labels that are numbers, of mean 0 and standard deviation 1.

    Both are those of the rows to learn from. A column that is constant there becomes 0.

    Example:
        >>> rows = Split(jnp.array([[1.0], [3.0]]), jnp.array([[5.0], [9.0]]))
        >>> standardised(Dataset("mine", rows, rows, classes=None)).train.labels
        Array([[-1.],
               [ 1.]], dtype=float32)
    """
    splits = data.train, data.validation
    x, labels = _scaled([s.x for s in splits]), [s.labels for s in splits]
    if data.classes is None:
        labels = _scaled(labels)
    return Dataset(data.name, *map(Split, x, labels), classes=data.classes)


def _scaled(parts: list[Array]) -> list[Array]:
    """The parts in units of the first one's standard deviation, from its mean."""
    mean, deviation = parts[0].mean(axis=0), parts[0].std(axis=0)
    scale = jnp.where(deviation > 0, deviation, 1)
    return [(part - mean[None]) / scale[None] for part in parts]


def held_out_fifth(
    name: str, x: Any, labels: Any, *, classes: int | None, seed: int
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
