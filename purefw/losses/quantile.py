"""Quantile (pinball) loss: its best constant prediction is a quantile of the target.

e counts the n entries of the prediction; r is 1 for the sum and 1/n for the mean.

    (1)  u_e            = target_e - prediction_e
    (2)  loss           = r Σ_e max(q u_e, (q - 1) u_e)
    (3)  dprediction_e  = -r q dloss where u_e > 0,  r (1 - q) dloss where u_e < 0

(2): q u above 0, (1 - q) |u| below, as q - 1 < 0 < q. (3): the slope of the larger one,
with du = -dprediction.
Kink: at u_e = 0 every value of r [-q, 1 - q] dloss is a subgradient; this rule takes
the middle, r (1/2 - q) dloss, as autodiff of (2) does.
Invariants: with q = 1/2 the loss is half the absolute error; dprediction has three
values at most.
Time: a maximum is summed as it is formed; what chooses is written to memory before.

Reference: Koenker and Bassett, "Regression Quantiles", 1978, doi:10.2307/1913643.
"""

from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from purefw.losses.reduction import (
    Reduction,
    check_reduction,
    check_same_shape,
    divisor,
    reduce,
    spread,
)
from purefw.rule import Loss
from purefw.shared.recomputation import again


class QuantileResiduals(NamedTuple):
    """What `backward` needs: both arguments, no copies."""

    prediction: Float[Array, "*e"]
    target: Float[Array, "*e"]


def quantile(
    reduction: Reduction = "mean", *, q: float = 0.5
) -> Loss[QuantileResiduals]:
    """Charge q for a unit below the target and 1 - q for a unit above it.

    Args:
        reduction: "mean" or "sum" over all entries.
        q: The quantile, strictly between 0 and 1.

    Returns:
        A loss on prediction and target of one shape, not empty.

    Raises:
        ValueError: another reduction, q outside (0, 1); in `forward`, shapes that
            differ or are empty.

    Example:
        >>> forward = quantile("sum", q=0.75).forward
        >>> forward(jnp.array([0.0, 3.0]), jnp.array([1.0, 1.0]))[0]
        Array(1.25, dtype=float32)
    """
    check_reduction("quantile", reduction)
    if not 0 < q < 1:
        raise ValueError(f"quantile: q must lie strictly between 0 and 1, got {q}")
    return Loss(
        name="quantile",
        forward=partial(forward, reduction=reduction, q=q),
        backward=partial(backward, reduction=reduction, q=q),
        divisor=partial(divisor, reduction=reduction),
    )


def forward(
    prediction: Float[Array, "*e"],
    target: Float[Array, "*e"],
    *,
    reduction: Reduction,
    q: float,
) -> tuple[Float[Array, ""], QuantileResiduals]:
    """Equations (1) and (2)."""
    check_same_shape("quantile", prediction, target)
    u = target - prediction  # (1)
    loss = reduce(jnp.maximum(q * u, (q - 1) * u), reduction)  # (2)
    return loss, QuantileResiduals(prediction, target)


def backward(
    residuals: QuantileResiduals,
    dloss: Float[Array, ""],
    *,
    reduction: Reduction,
    q: float,
) -> Float[Array, "*e"]:
    """Equations (1) and (3); NaN stays NaN."""
    (prediction, target), dloss = again(residuals, dloss)
    u = target - prediction  # (1)
    r = spread(dloss, u.size, reduction)
    elsewhere = jnp.where(u < 0, r * (1 - q), r * (0.5 - q) + u)
    return jnp.where(u > 0, -r * q, elsewhere)  # (3)
