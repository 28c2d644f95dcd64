"""What the losses share: the two reductions and the checks of their arguments."""

from typing import Literal

from jaxtyping import Array

Reduction = Literal["mean", "sum"]


def check_reduction(who: str, reduction: str) -> None:
    """Raise ValueError unless `reduction` is one of the two."""
    if reduction not in ("mean", "sum"):
        raise ValueError(f"{who}: reduction must be 'mean' or 'sum', got {reduction!r}")


def check_same_shape(who: str, prediction: Array, target: Array) -> None:
    """Raise ValueError unless the two have one shape and at least one entry."""
    if prediction.shape != target.shape:
        raise ValueError(
            f"{who}: target must have the prediction's shape {prediction.shape}, "
            f"got {target.shape}"
        )
    if prediction.size == 0:
        raise ValueError(
            f"{who}: prediction must not be empty, got shape {prediction.shape}"
        )
