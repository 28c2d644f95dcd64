"""Squared error, entry by entry, summed or averaged over all entries.

e counts the n entries of the prediction; r is 1 for the sum and 1/n for the mean.

    (1)  loss           = r Σ_e (prediction_e - target_e)²
    (2)  dprediction_e  = 2 r (prediction_e - target_e) dloss

(2): only summand e of (1) holds prediction_e, and d(u²) = 2u du.
Convention: the mean is over entries, as in torch.nn.MSELoss, not over rows; there is no
factor 1/2, unlike optax.l2_loss.
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
)
from purefw.rule import Loss


class SquaredErrorResiduals(NamedTuple):
    """What `backward` needs: the signed error, one array the size of the prediction."""

    error: Float[Array, "*e"]


def squared_error(reduction: Reduction = "mean") -> Loss[SquaredErrorResiduals]:
    """(prediction - target)², for regression.

    Args:
        reduction: "mean" or "sum" over all entries.

    Returns:
        A loss on prediction and target of one shape, not empty.

    Raises:
        ValueError: another reduction; in `forward`, shapes that differ or are empty.

    Example:
        >>> forward = squared_error("sum").forward
        >>> forward(jnp.array([1.0, 3.0]), jnp.array([0.0, 1.0]))[0]
        Array(5., dtype=float32)
    """
    check_reduction("squared_error", reduction)
    return Loss(
        name="squared_error",
        forward=partial(forward, reduction=reduction),
        backward=partial(backward, reduction=reduction),
        divisor=partial(divisor, reduction=reduction),
    )


def forward(
    prediction: Float[Array, "*e"], target: Float[Array, "*e"], *, reduction: Reduction
) -> tuple[Float[Array, ""], SquaredErrorResiduals]:
    """Equation (1)."""
    check_same_shape("squared_error", prediction, target)
    error = prediction - target
    reduce = jnp.mean if reduction == "mean" else jnp.sum
    return reduce(error * error), SquaredErrorResiduals(error)  # (1)


def backward(
    residuals: SquaredErrorResiduals, dloss: Float[Array, ""], *, reduction: Reduction
) -> Float[Array, "*e"]:
    """Equation (2)."""
    (error,) = residuals
    r = 1 / error.size if reduction == "mean" else 1
    return 2 * r * error * dloss  # (2)
