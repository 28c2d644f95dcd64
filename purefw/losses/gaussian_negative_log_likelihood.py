"""Gaussian negative log-likelihood: a prediction of a mean and of its own variance.

e counts the n entries; m and v are the predicted mean and variance, t the target; r is
1 for the sum and 1/n for the mean over entries.

    (1)  h_e   = (m_e - t_e) / v_e
    (2)  loss  = r/2 Σ_e log v_e + (m_e - t_e) h_e
    (3)  dm_e  = r h_e dloss
    (4)  dv_e  = r/2 (1 - (m_e - t_e) h_e) / v_e dloss

(2): -log of the normal density, without log(2π)/2, which no prediction moves.
(3): d(u²/v) = 2 (u/v) du, halved. (4): d(log v + u²/v) = (1/v - u²/v²) dv.
Invariants: dm = 0 at m = t; dv = 0 at v = (m - t)², the variance that explains the
error; scaling m and t by c and v by c² adds log c to each summand.
A variance of 0 or below, which data alone tell, makes the loss NaN, though (3) and (4)
may stay finite below 0: predict its logarithm, or a softplus.
torch.nn.GaussianNLLLoss is the same function for v above its eps; below, it clamps v in
the loss and lets the gradient through.

Reference: Nix and Weigend, "Estimating the mean and variance of the target probability
distribution", 1994, doi:10.1109/ICNN.1994.374138.
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


class Gaussian(NamedTuple):
    """The prediction, and its cotangent: two arrays of one shape."""

    mean: Float[Array, "*e"]
    variance: Float[Array, "*e"]


class GaussianResiduals(NamedTuple):
    """What `backward` needs: three arrays the size of the mean."""

    u: Float[Array, "*e"]
    h: Float[Array, "*e"]
    variance: Float[Array, "*e"]


def gaussian_negative_log_likelihood(
    reduction: Reduction = "mean",
) -> Loss[GaussianResiduals]:
    """Half of log variance + (mean - target)² / variance, for regression with doubt.

    Args:
        reduction: "mean" or "sum" over all entries.

    Returns:
        A loss on a `Gaussian` (variance above 0) and a target of one shape, not empty.

    Raises:
        ValueError: another reduction; in `forward`, shapes that differ or are empty.

    Example:
        >>> prediction = Gaussian(jnp.array([1.0]), jnp.array([4.0]))
        >>> loss = gaussian_negative_log_likelihood()
        >>> loss.forward(prediction, jnp.array([3.0]))[0].round(4)
        Array(1.1931, dtype=float32)
    """
    check_reduction("gaussian_negative_log_likelihood", reduction)
    return Loss(
        name="gaussian_negative_log_likelihood",
        forward=partial(forward, reduction=reduction),
        backward=partial(backward, reduction=reduction),
        divisor=partial(divisor, reduction=reduction),
    )


def forward(
    prediction: Gaussian, target: Float[Array, "*e"], *, reduction: Reduction
) -> tuple[Float[Array, ""], GaussianResiduals]:
    """Equations (1) and (2)."""
    mean, variance = prediction
    check_same_shape("gaussian_negative_log_likelihood", mean, target)
    if variance.shape != mean.shape:
        raise ValueError(
            "gaussian_negative_log_likelihood: variance must have the mean's shape "
            f"{mean.shape}, got {variance.shape}"
        )
    u = mean - target
    h = u / variance  # (1)
    loss = reduce((jnp.log(variance) + u * h) / 2, reduction)  # (2)
    return loss, GaussianResiduals(u, h, variance)


def backward(
    residuals: GaussianResiduals, dloss: Float[Array, ""], *, reduction: Reduction
) -> Gaussian:
    """Equations (3) and (4)."""
    u, h, variance = residuals
    r = spread(dloss, u.size, reduction)
    return Gaussian(r * h, r / 2 * ((1 - u * h) / variance))  # (3) (4)
