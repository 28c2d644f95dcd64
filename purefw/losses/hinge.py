"""Binary hinge loss: a score must pass its label's side of zero by a margin of 1.

e counts the n entries of the score z; t is the label, -1 or 1; r is 1 for the sum and
1/n for the mean.

    (1)  u_e   = 1 - t_e z_e
    (2)  loss  = r Σ_e max(0, u_e)
    (3)  dz_e  = -r t_e (sign(u_e) + 1)/2 dloss

(3): where u_e > 0 the summand is u_e and ∂u_e/∂z_e = -t_e; where u_e < 0 it is 0.
Kink: at u_e = 0 every value between 0 and -r t_e dloss is a subgradient; this rule
takes the middle, as autodiff of (2) does. Invariant: dz_e is 0 wherever the margin is
more than kept.
A label other than -1 and 1 (a 0, say) makes the loss NaN, and its own entry of dz.
optax.hinge_loss is the same function on such labels; sklearn.metrics.hinge_loss is its
mean.
"""

from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from purefw.losses.reduction import (
    Reduction,
    check_reduction,
    check_same_shape,
    divisor,
    nan_unless_units,
    reduce,
    spread,
)
from purefw.rule import Loss
from purefw.shared.recomputation import again


class HingeResiduals(NamedTuple):
    """What `backward` needs: both arguments, no copies."""

    prediction: Float[Array, "*e"]
    target: Num[Array, "*e"]


def hinge(reduction: Reduction = "mean") -> Loss[HingeResiduals]:
    """max(0, 1 - target prediction), for two classes.

    Args:
        reduction: "mean" or "sum" over all entries.

    Returns:
        A loss on scores and labels -1 and 1 of one shape, not empty.

    Raises:
        ValueError: another reduction; in `forward`, shapes that differ or are empty.

    Example:
        >>> forward = hinge("sum").forward
        >>> forward(jnp.array([0.25, 0.25, 3.0]), jnp.array([1, -1, 1]))[0]
        Array(2., dtype=float32)
    """
    check_reduction("hinge", reduction)
    return Loss(
        name="hinge",
        forward=partial(forward, reduction=reduction),
        backward=partial(backward, reduction=reduction),
        divisor=partial(divisor, reduction=reduction),
    )


def forward(
    prediction: Float[Array, "*e"], target: Num[Array, "*e"], *, reduction: Reduction
) -> tuple[Float[Array, ""], HingeResiduals]:
    """Equations (1) and (2)."""
    check_same_shape("hinge", prediction, target)
    t = target.astype(prediction.dtype)
    u = 1 - t * prediction  # (1)
    loss = reduce(jnp.maximum(u, 0), reduction)  # (2)
    return loss + nan_unless_units(t), HingeResiduals(prediction, target)


def backward(
    residuals: HingeResiduals, dloss: Float[Array, ""], *, reduction: Reduction
) -> Float[Array, "*e"]:
    """Equations (1) and (3)."""
    (prediction, target), dloss, one = again(residuals, dloss, 1.0)
    t = target.astype(prediction.dtype)
    slope = -t * (jnp.sign(one - t * prediction) + one) / 2  # (1) (3)
    slope = jnp.where(jnp.abs(t) == one, slope, jnp.nan)
    return spread(dloss, t.size, reduction) * slope  # (3)
