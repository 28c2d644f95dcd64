"""Absolute error, entry by entry, summed or averaged over all entries.

e counts the n entries of the prediction; r is 1 for the sum and 1/n for the mean.

    (1)  loss          = r Σ_e |prediction_e - target_e|
    (2)  dprediction_e = r sign(prediction_e - target_e) dloss

(2): only summand e of (1) holds prediction_e, and |u| has the slope sign u on each side
of 0.
Kink: where the prediction meets its target every value in [-r, r] dloss is a
subgradient; the loss takes sign 0 = 0, the middle. Measured: autodiff of jnp.abs gives
1 at 0.
Invariant: an error's size does not matter to (2), so outliers pull no harder than
others. NaN stays NaN.
"""

from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from purefw.losses.reduction import (
    Reduction,
    check_reduction,
    check_same_shape,
    divisor,
)
from purefw.rule import Loss


class AbsoluteErrorResiduals(NamedTuple):
    """What `backward` needs: the sign of each error, an array like the prediction."""

    sign: Float[Array, "*e"]


def absolute_error(reduction: Reduction = "mean") -> Loss[AbsoluteErrorResiduals]:
    """|prediction - target|, for regression with outliers.

    Args:
        reduction: "mean" or "sum" over all entries.

    Returns:
        A loss on prediction and target of one shape, not empty.

    Raises:
        ValueError: another reduction; in `forward`, shapes that differ or are empty.

    Example:
        >>> forward = absolute_error("sum").forward
        >>> forward(jnp.array([1.0, 3.0]), jnp.array([0.0, 5.0]))[0]
        Array(3., dtype=float32)
    """
    check_reduction("absolute_error", reduction)
    return Loss(
        name="absolute_error",
        forward=partial(forward, reduction=reduction),
        backward=partial(backward, reduction=reduction),
        divisor=partial(divisor, reduction=reduction),
    )


def forward(
    prediction: Float[Array, "*e"],
    target: Shaped[Array, "..."],
    *,
    reduction: Reduction,
) -> tuple[Float[Array, ""], AbsoluteErrorResiduals]:
    """Equation (1)."""
    check_same_shape("absolute_error", prediction, target)
    error = prediction - target
    reduce = jnp.mean if reduction == "mean" else jnp.sum
    return reduce(jnp.abs(error)), AbsoluteErrorResiduals(jnp.sign(error))  # (1)


def backward(
    residuals: AbsoluteErrorResiduals, dloss: Float[Array, ""], *, reduction: Reduction
) -> Float[Array, "*e"]:
    """Equation (2)."""
    (sign,) = residuals
    r = 1 / sign.size if reduction == "mean" else 1
    return r * sign * dloss  # (2)
