"""Log-cosh loss: a smooth blend of squared and absolute error.

e counts the n entries of the prediction; r is 1 for the sum and 1/n for the mean.

    (1)  u_e            = prediction_e - target_e
    (2)  loss           = r Σ_e |u_e| + log(1 + exp(-2|u_e|)) - log 2
    (3)  dprediction_e  = r tanh(u_e) dloss

(2): cosh u = exp|u| (1 + exp(-2|u|)) / 2; its logarithm in this form cannot overflow.
(3): d log cosh u = (sinh u / cosh u) du.
Limits: u²/2 near 0, |u| - log 2 far away; smooth everywhere. Near 0 the loss, not its
gradient, is exact to an absolute rounding of log 2 only.
Invariants: |dprediction_e| ≤ r |dloss|; even in u. optax.log_cosh is the same function.
"""

from functools import partial
from math import log
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
from purefw.shared.logistic import log1p_of_small


class LogCoshResiduals(NamedTuple):
    """What `backward` needs: the signed error, one array the size of the prediction."""

    u: Float[Array, "*e"]


def log_cosh(reduction: Reduction = "mean") -> Loss[LogCoshResiduals]:
    """log cosh(prediction - target), for regression.

    Args:
        reduction: "mean" or "sum" over all entries.

    Returns:
        A loss on prediction and target of one shape, not empty.

    Raises:
        ValueError: another reduction; in `forward`, shapes that differ or are empty.

    Example:
        >>> loss, _ = log_cosh().forward(jnp.array([1.0, 3.0]), jnp.array([0.0, 3.0]))
        >>> loss
        Array(0.216..., dtype=float32)
    """
    check_reduction("log_cosh", reduction)
    return Loss(
        name="log_cosh",
        forward=partial(forward, reduction=reduction),
        backward=partial(backward, reduction=reduction),
        divisor=partial(divisor, reduction=reduction),
    )


def forward(
    prediction: Float[Array, "*e"], target: Float[Array, "*e"], *, reduction: Reduction
) -> tuple[Float[Array, ""], LogCoshResiduals]:
    """Equations (1) and (2)."""
    check_same_shape("log_cosh", prediction, target)
    u = prediction - target  # (1)
    size = jnp.abs(u)
    v = size + (log1p_of_small(jnp.exp(-2 * size)) - log(2))  # (2)
    return reduce(v, reduction), LogCoshResiduals(u)  # (2)


def backward(
    residuals: LogCoshResiduals, dloss: Float[Array, ""], *, reduction: Reduction
) -> Float[Array, "*e"]:
    """Equation (3)."""
    (u,) = residuals
    return spread(dloss, u.size, reduction) * jnp.tanh(u)  # (3)
