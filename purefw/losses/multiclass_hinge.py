"""Multi-class hinge loss: the label's score must lead every other by a margin of 1.

b counts the B rows (any number of leading axes), k the classes, y_b the label of a row;
r is 1 for the sum and 1/B for the mean.

    (1)  u_bk   = 1 + (z_bk - z_by)                                 u_by = 1
    (2)  loss   = r Σ_b (Σ_k max(0, u_bk) - 1)
    (3)  hit_bk = (sign(u_bk) + 1)/2
    (4)  dz_bk  = r hit_bk dloss                                        for k ≠ y_b
    (5)  dz_by  = -r Σ_{j≠y} hit_bj dloss

(2): the label's own summand is 1, exactly, and taken off again. (3): the slope of
max(0, u). (4), (5): z_bk stands in u_bk with slope 1, and z_by with slope -1 in each
u_bj, as often as the margin is broken; in u_by they cancel. (5) is written by a
scatter: a choice in the loop of (4) takes half as long as that loop.
Kink: at u_bk = 0 this rule takes the slope 1/2, the middle, as autodiff of (2) does.
Invariants: adding a constant to a row changes nothing, so rows of dz sum to 0.
Precision: 16-bit scores are compared in float32; in 16 bits u_bk rounds to 0 near a tie
already, and half the slope would be lost.
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

from purefw.losses.label_rows import put
from purefw.losses.labels import at_label, check_labels, columns
from purefw.losses.reduction import (
    Reduction,
    check_reduction,
    divisor,
    reduce,
    spread,
)
from purefw.rule import Loss
from purefw.shared.precision import wide
from purefw.shared.recomputation import again


class MulticlassHingeResiduals(NamedTuple):
    """What `backward` needs: both arguments, no copies."""

    prediction: Float[Array, "*b k"]
    target: Integer[Array, "*b"]


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
    """Equations (1) and (2)."""
    check_labels("multiclass_hinge", "prediction", prediction, target)
    z = wide(prediction)
    own = at_label(z, target)[..., None]
    v = jnp.sum(jnp.maximum(1 + (z - own), 0), axis=-1) - 1  # (1) (2)
    loss = reduce(v, reduction).astype(prediction.dtype)
    return loss, MulticlassHingeResiduals(prediction, target)


def backward(
    residuals: MulticlassHingeResiduals,
    dloss: Float[Array, ""],
    *,
    reduction: Reduction,
) -> Float[Array, "*b k"]:
    """Equations (1) and (3) to (5)."""
    z, target = wide(residuals.prediction), residuals.target
    own = at_label(z, target)[..., None]
    r = spread(wide(dloss), target.size, reduction)
    (z, own), r, one = again((z, own), r, 1.0)
    signs = jnp.sum(jnp.sign(one + (z - own)), axis=-1)  # (1)
    (z, own), signs, one = again((z, own), signs, one)
    dz = (r / 2) * (jnp.sign(one + (z - own)) + one)  # (1) (3) (4)
    others = (signs + z.shape[-1]) / 2 - 1  # (3)
    label, _ = columns(target.ravel(), z.shape[-1])
    rows = put(dz.reshape(-1, z.shape[-1]), label, -r * others.ravel())  # (5)
    return rows.reshape(z.shape).astype(dloss.dtype)
