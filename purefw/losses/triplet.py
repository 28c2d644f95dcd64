"""Triplet loss: the anchor must be nearer to the positive than to the negative.

b counts the B rows (any number of leading axes), k the features; a, p and n are anchor,
positive and negative; r is 1 for the sum and 1/B for the mean.

    (1)  e_bk  = (a_bk - p_bk) / |a_b - p_b|       f_bk = (a_bk - n_bk) / |a_b - n_b|
    (2)  u_b   = |a_b - p_b| - |a_b - n_b| + margin
    (3)  loss  = r Σ_b max(0, u_b)
    (4)  c_b   = r [u_b > 0] dloss
    (5)  da_bk = c_b (e_bk - f_bk)
    (6)  dp_bk = -c_b e_bk                             dn_bk = c_b f_bk

(5), (6): ∂|v|/∂v_k = v_k/|v|, which is e for v = a - p and f for v = a - n; the anchor
stands in both distances, positive and negative in one each, negated.
Kinks: at u_b = 0 the row gets slope 0, and where two points coincide their direction is
0; both are subgradients of max and of the distance.
Invariants: moving the three points of a row together changes nothing, so da + dp + dn =
0; neither does rotating them.
Convention: distances, not their squares. torch.nn.TripletMarginLoss and
optax.triplet_margin_loss are the same function at eps = 0.

Reference: Schroff, Kalenichenko and Philbin, "FaceNet", 2015, arXiv:1503.03832 (which
squares the distances).
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
    inverse,
    norm,
    reduce,
    spread,
)
from purefw.rule import Loss


class Triplet(NamedTuple):
    """The prediction, and its cotangent: three arrays of one shape."""

    anchor: Float[Array, "*b k"]
    positive: Float[Array, "*b k"]
    negative: Float[Array, "*b k"]


class TripletResiduals(NamedTuple):
    """What `backward` needs: the prediction, and three numbers a row.

    Attributes:
        points: The prediction.
        near_inverse: 1 / |a - p|, 0 where that is 0.
        far_inverse: 1 / |a - n|, 0 where that is 0.
        broken: [u > 0].
    """

    points: Triplet
    near_inverse: Float[Array, "*b 1"]
    far_inverse: Float[Array, "*b 1"]
    broken: Float[Array, "*b 1"]


def triplet(
    reduction: Reduction = "mean", *, margin: float = 1.0
) -> Loss[TripletResiduals]:
    """max(0, |anchor - positive| - |anchor - negative| + margin) of each row.

    Args:
        reduction: "mean" or "sum" over the rows.
        margin: By how much the positive must be nearer. Above 0.

    Returns:
        A loss on a `Triplet` of arrays of one shape (..., k); the target is not read:
        pass ().

    Raises:
        ValueError: another reduction, margin ≤ 0; in `forward`, shapes that differ, are
            empty or have no axis.

    Example:
        >>> prediction = Triplet(*jnp.array([[[0.0]], [[2.0]], [[1.5]]]))
        >>> triplet().forward(prediction, ())[0]
        Array(1.5, dtype=float32)
    """
    check_reduction("triplet", reduction)
    check_positive("triplet", "margin", margin)
    return Loss(
        name="triplet",
        forward=partial(forward, reduction=reduction, margin=margin),
        backward=partial(backward, reduction=reduction),
    )


def forward(
    prediction: Triplet, target: None | tuple, *, reduction: Reduction, margin: float
) -> tuple[Float[Array, ""], TripletResiduals]:
    """Equations (1) to (3)."""
    del target
    anchor, positive, negative = prediction
    check_rows("triplet", anchor)
    for name, other in (("positive", positive), ("negative", negative)):
        if other.shape != anchor.shape:
            raise ValueError(
                f"triplet: {name} must have the anchor's shape {anchor.shape}, "
                f"got {other.shape}"
            )
    near = norm(lambda: anchor - positive)  # (1)
    far = norm(lambda: anchor - negative)  # (1)
    u = near - far + margin  # (2)
    loss = reduce(jnp.where(u <= 0, 0, u), reduction)  # (3)
    broken = jnp.where(u <= 0, 0, jnp.ones_like(u))
    return loss, TripletResiduals(prediction, inverse(near), inverse(far), broken)


def backward(
    residuals: TripletResiduals, dloss: Float[Array, ""], *, reduction: Reduction
) -> Triplet:
    """Equations (4) to (6)."""
    (anchor, positive, negative), near, far, broken = residuals
    c = spread(dloss, broken.size, reduction) * broken  # (4)
    e, f = near * (anchor - positive), far * (anchor - negative)  # (1)
    return Triplet(c * (e - f), -c * e, c * f)  # (5) (6)
