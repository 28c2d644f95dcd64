"""Dice loss: one minus the overlap of a predicted and a target mask.

b counts the B rows (the first axis), e all entries of a row; p is the prediction, t the
target, both within [0, 1]; r is 1 for the sum and 1/B for the mean.

    (1)  top_b  = 2 Σ_e p_be t_be + smooth
    (2)  size_b = Σ_e (p_be + t_be) + smooth
    (3)  loss   = r Σ_b (1 - top_b / size_b)
    (4)  dp_be  = r (top_b / size_b - 2 t_be) / size_b dloss

(4): d(top/size) = dtop/size - top dsize/size², with ∂top/∂p_be = 2 t_be and ∂size/∂p_be
= 1.
Limits: an empty mask, predicted empty, has loss 0; smooth > 0 keeps 0/0 away.
Invariants: the order of the entries does not matter; the loss is 0 where p = t is a
mask of zeros and ones.
Numbers outside [0, 1] are not refused, as data alone tell them: (1) to (3) stand as
they are.
Convention: plain sums in (2), not sums of squares; one overlap a row, whatever its
axes.
optax.dice_loss without softmax has one overlap a class, with half this smooth.

Reference: Milletari, Navab and Ahmadi, "V-Net", 2016, arXiv:1606.04797 (with squares).
"""

from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from purefw.losses.reduction import (
    Reduction,
    check_positive,
    check_reduction,
    check_rows,
    check_same_shape,
    divisor,
    reduce,
    spread,
)
from purefw.rule import Loss
from purefw.shared.recomputation import once


class DiceResiduals(NamedTuple):
    """What `backward` needs: the target, no copy, and two numbers a row."""

    target: Float[Array, "b *e"]
    overlap: Float[Array, " b"]
    size: Float[Array, " b"]


def dice(reduction: Reduction = "mean", *, smooth: float = 1.0) -> Loss[DiceResiduals]:
    """1 - 2|p ∩ t| / (|p| + |t|) of each row, on probabilities, for segmentation.

    Args:
        reduction: "mean" or "sum" over the rows.
        smooth: Added above and below, in units of entries. Above 0.

    Returns:
        A loss on prediction and target of one shape (b, ...).

    Raises:
        ValueError: another reduction, smooth ≤ 0; in `forward`, shapes that differ, are
            empty or have no axis.

    Example:
        >>> p = jnp.array([[1.0, 1.0, 0.0]])
        >>> dice().forward(p, jnp.array([[1.0, 0.0, 0.0]]))[0]
        Array(0.25, dtype=float32)
    """
    check_reduction("dice", reduction)
    check_positive("dice", "smooth", smooth)
    return Loss(
        name="dice",
        forward=partial(forward, reduction=reduction, smooth=smooth),
        backward=partial(backward, reduction=reduction),
        divisor=partial(divisor, reduction=reduction),
    )


def forward(
    prediction: Float[Array, "b *e"],
    target: Float[Array, "b *e"],
    *,
    reduction: Reduction,
    smooth: float,
) -> tuple[Float[Array, ""], DiceResiduals]:
    """Equations (1) to (3)."""
    check_rows("dice", prediction)
    check_same_shape("dice", prediction, target)
    entries = tuple(range(1, prediction.ndim))
    top = 2 * jnp.sum(prediction * target, axis=entries) + smooth  # (1)
    sizes = [jnp.sum(v, axis=entries) for v in (prediction, target)]
    size = sizes[0] + sizes[1] + smooth  # (2)
    overlap = top / size
    return reduce(1 - overlap, reduction), DiceResiduals(target, overlap, size)  # (3)


def backward(
    residuals: DiceResiduals, dloss: Float[Array, ""], *, reduction: Reduction
) -> Float[Array, "b *e"]:
    """Equation (4)."""
    target, overlap, size = residuals
    row = (-1, *(1,) * (target.ndim - 1))
    scale = once(spread(dloss, size.size, reduction) / size)
    return scale.reshape(row) * (overlap.reshape(row) - 2 * target)  # (4)
