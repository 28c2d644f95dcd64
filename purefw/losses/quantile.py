"""Quantile (pinball) loss: its best constant prediction is a quantile of the target.

e counts the n entries of the prediction; r is 1 for the sum and 1/n for the mean.

    (1)  u_e            = target_e - prediction_e
    (2)  slope_e        = q where u_e > 0, 1 - q elsewhere
    (3)  loss           = r Σ_e slope_e |u_e|
    (4)  dprediction_e  = -r slope_e sign(u_e) dloss

(4): slope is constant on each side of u = 0, d|u| = sign(u) du and du = -dprediction.
Kink: at u_e = 0 every value of r [-q, 1 - q] dloss is a subgradient; with sign 0 = 0
this rule takes 0, as absolute_error does.
Invariants: with q = 1/2 the loss is half the absolute error; each entry of dprediction
is one of -r q dloss, 0 and r (1 - q) dloss.

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
    magnitude,
    reduce,
    spread,
)
from purefw.rule import Loss


class QuantileResiduals(NamedTuple):
    """What `backward` needs: the signed error, one array the size of the prediction."""

    u: Float[Array, "*e"]


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
    """Equations (1) to (3)."""
    check_same_shape("quantile", prediction, target)
    u = target - prediction  # (1)
    slope = jnp.where(u > 0, q, 1 - q)  # (2)
    return reduce(slope * magnitude(u), reduction), QuantileResiduals(u)  # (3)


def backward(
    residuals: QuantileResiduals,
    dloss: Float[Array, ""],
    *,
    reduction: Reduction,
    q: float,
) -> Float[Array, "*e"]:
    """Equations (2) and (4)."""
    (u,) = residuals
    slope = jnp.where(u > 0, q, 1 - q)  # (2)
    return -spread(dloss, u.size, reduction) * slope * jnp.sign(u)  # (4)
