"""Multi-class hinge loss: the label's score must lead every other by a margin of 1.

b counts the B rows (any number of leading axes), k the classes, y_b the label of a row;
r is 1 for the sum and 1/B for the mean.

    (1)  u_bk   = 1 + z_bk - z_by                      k ≠ y_b; u_by = 0
    (2)  loss   = r Σ_bk max(0, u_bk)
    (3)  hit_bk = [u_bk > 0]
    (4)  dz_bk  = r (hit_bk - [k = y_b] Σ_j hit_bj) dloss

(4): z_bk stands in u_bk with slope 1, and z_by with slope -1 in each u_bj, j ≠ y: as
often as the margin is broken. hit_by is 0, so its own column gets the sum alone.
Kink: at u_bk = 0, k ≠ y, this rule takes slope 0, a subgradient.
Invariants: adding a constant to a row changes nothing, so rows of dz sum to 0.
A label that is not a class makes the loss NaN, and its own row of dz.
Convention: the sum of Weston and Watkins. torch.nn.MultiMarginLoss divides it by the
number of classes; optax.multiclass_hinge_loss keeps the largest u_bk of a row instead
(Crammer and Singer).

Reference: Weston and Watkins, "Support Vector Machines for Multi-Class Pattern
Recognition", ESANN 1999.
"""

from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Integer

from purefw.losses.labels import at_label, check_labels, onehot
from purefw.losses.reduction import (
    Reduction,
    check_reduction,
    divisor,
    reduce,
    spread,
)
from purefw.rule import Loss


class MulticlassHingeResiduals(NamedTuple):
    """What `backward` needs: one array the size of the scores."""

    slope: Float[Array, "*b k"]


def multiclass_hinge(reduction: Reduction = "mean") -> Loss[MulticlassHingeResiduals]:
    """Σ_{k≠y} max(0, 1 + z_k - z_y) of each row, for several classes.

    Args:
        reduction: "mean" or "sum" over the rows.

    Returns:
        A loss on scores of shape (..., k) and labels 0 to k - 1 of shape (...).

    Raises:
        ValueError: another reduction; in `forward`, labels of another shape or not
            integers, or no scores.

    Example:
        >>> forward = multiclass_hinge().forward
        >>> forward(jnp.array([[2.0, 1.5, 0.0]]), jnp.array([0]))[0]
        Array(0.5, dtype=float32)
    """
    check_reduction("multiclass_hinge", reduction)
    return Loss(
        name="multiclass_hinge",
        forward=partial(forward, reduction=reduction),
        backward=partial(backward, reduction=reduction),
        divisor=partial(divisor, reduction=reduction),
    )


def forward(
    prediction: Float[Array, "*b k"],
    target: Integer[Array, "*b"],
    *,
    reduction: Reduction,
) -> tuple[Float[Array, ""], MulticlassHingeResiduals]:
    """Equations (1) to (3), and the slope of (4)."""
    check_labels("multiclass_hinge", "prediction", prediction, target)
    label = onehot(target, prediction)
    own = at_label(prediction, target)[..., None]
    u = jnp.where(label == 1, 0, 1 + prediction - own)  # (1)
    v = jnp.sum(jnp.where(u <= 0, 0, u), axis=-1)  # (2)
    hit = jnp.where(u <= 0, 0, jnp.ones_like(u))  # (3)
    slope = hit - label * jnp.sum(hit, axis=-1, keepdims=True)  # (4)
    return reduce(v, reduction), MulticlassHingeResiduals(slope)  # (2)


def backward(
    residuals: MulticlassHingeResiduals,
    dloss: Float[Array, ""],
    *,
    reduction: Reduction,
) -> Float[Array, "*b k"]:
    """Equation (4)."""
    (slope,) = residuals
    rows = slope.size // slope.shape[-1]
    return spread(dloss, rows, reduction) * slope  # (4)
