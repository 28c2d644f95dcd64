"""Huber loss: squared error near the target, absolute error far from it.

e counts the n entries of the prediction; r is 1 for the sum and 1/n for the mean.

    (1)  u_e            = prediction_e - target_e      a_e = min(|u_e|, delta)
    (2)  loss           = r Σ_e a_e (|u_e| - a_e/2)
    (3)  dprediction_e  = r clip(u_e, -delta, delta) dloss

(2): up to delta it is u²/2, beyond it delta (|u| - delta/2), the tangent at delta.
(3): d(u²/2) = u du inside; outside d(delta |u|) = delta sign(u) du. At |u| = delta both
are ±delta, so the loss has a continuous derivative and no kink: its second derivative
jumps there.
Invariants: |dprediction_e| ≤ r delta |dloss|; as delta grows the loss becomes half the
squared error. torch.nn.HuberLoss and optax.huber_loss are the same function.

Reference: Huber, "Robust Estimation of a Location Parameter", 1964,
doi:10.1214/aoms/1177703732.
"""

from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from purefw.losses.reduction import (
    Reduction,
    check_positive,
    check_reduction,
    check_same_shape,
    divisor,
    reduce,
    spread,
)
from purefw.rule import Loss
from purefw.shared.recomputation import again


class HuberResiduals(NamedTuple):
    """What `backward` needs: both arguments, no copies."""

    prediction: Float[Array, "*e"]
    target: Float[Array, "*e"]


def huber(reduction: Reduction = "mean", *, delta: float = 1.0) -> Loss[HuberResiduals]:
    """Squared error up to delta, absolute error beyond, for regression with outliers.

    Args:
        reduction: "mean" or "sum" over all entries.
        delta: Where the two meet, in units of the prediction. Above 0.

    Returns:
        A loss on prediction and target of one shape, not empty.

    Raises:
        ValueError: another reduction, delta ≤ 0; in `forward`, shapes that differ or
            are empty.

    Example:
        >>> forward = huber("sum").forward
        >>> forward(jnp.array([0.5, 3.0]), jnp.array([0.0, 0.0]))[0]
        Array(2.625, dtype=float32)
    """
    check_reduction("huber", reduction)
    check_positive("huber", "delta", delta)
    return Loss(
        name="huber",
        forward=partial(forward, reduction=reduction, delta=delta),
        backward=partial(backward, reduction=reduction, delta=delta),
        divisor=partial(divisor, reduction=reduction),
    )


def forward(
    prediction: Float[Array, "*e"],
    target: Float[Array, "*e"],
    *,
    reduction: Reduction,
    delta: float,
) -> tuple[Float[Array, ""], HuberResiduals]:
    """Equations (1) and (2)."""
    check_same_shape("huber", prediction, target)
    u = prediction - target  # (1)
    a = jnp.minimum(jnp.abs(u), delta)  # (1)
    loss = reduce(a * (jnp.abs(u) - a / 2), reduction)  # (2)
    return loss, HuberResiduals(prediction, target)


def backward(
    residuals: HuberResiduals,
    dloss: Float[Array, ""],
    *,
    reduction: Reduction,
    delta: float,
) -> Float[Array, "*e"]:
    """Equation (3)."""
    (prediction, target), dloss, delta = again(residuals, dloss, delta)
    u = prediction - target  # (1)
    return spread(dloss, u.size, reduction) * jnp.clip(u, -delta, delta)  # (3)
