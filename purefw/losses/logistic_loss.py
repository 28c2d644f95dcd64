"""Logistic loss on probabilities: two classes, each entry the probability of class 1.

e counts the n entries; f is the prediction, t the target, r is 1 for the sum and 1/n
for the mean.

    (1)  loss          = -r Σ_e [t_e log f_e + (1 - t_e) log(1 - f_e)]
    (2)  dprediction_e = r [(1 - t_e) / (1 - f_e) - t_e / f_e] dloss

(2): only summand e of (1) holds f_e; (log f)' = 1/f and (log(1 - f))' = -1/(1 - f).
Limits: 0 log 0 = 0 and 0/0 = 0, so a certain and right prediction costs nothing, and
its gradient is that of its own summand: -r dloss at t = f = 1. A certain and wrong one
costs +inf, and its gradient is infinite; the logits' form does not break down there.
A prediction or a target outside [0, 1] gives NaN, in the loss and in that entry of the
gradient.
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
    reduce,
    spread,
    weighted,
)
from purefw.rule import Loss
from purefw.shared.recomputation import again


class LogisticLossResiduals(NamedTuple):
    """What `backward` needs: both arguments, no copies."""

    prediction: Float[Array, "*e"]
    target: Shaped[Array, "*e"]


def logistic_loss(reduction: Reduction = "mean") -> Loss[LogisticLossResiduals]:
    """-t log f - (1 - t) log(1 - f), for two classes.

    Args:
        reduction: "mean" or "sum" over all entries.

    Returns:
        A loss on a prediction in [0, 1] and a target of its shape, not empty: 0 or 1 as
        bool, integer or float, or a probability between them.

    Raises:
        ValueError: another reduction; in `forward`, shapes that differ or are empty.

    Example:
        >>> forward = logistic_loss("sum").forward
        >>> forward(jnp.array([0.5, 1.0]), jnp.array([0, 1]))[0]
        Array(0.6931472, dtype=float32)
    """
    check_reduction("logistic_loss", reduction)
    return Loss(
        name="logistic_loss",
        forward=partial(forward, reduction=reduction),
        backward=partial(backward, reduction=reduction),
        divisor=partial(divisor, reduction=reduction),
    )


def forward(
    prediction: Float[Array, "*e"],
    target: Shaped[Array, "..."],
    *,
    reduction: Reduction,
) -> tuple[Float[Array, ""], LogisticLossResiduals]:
    """Equation (1); log1p keeps the digits of a small f, sqrt is NaN outside [0, 1]."""
    check_same_shape("logistic_loss", prediction, target)
    f, t = prediction, target.astype(prediction.dtype)
    likely = weighted(t, jnp.log(f)) + weighted(1 - t, jnp.log1p(-f))
    loss = -reduce(likely + 0 * jnp.sqrt(t * (1 - t)), reduction)  # (1)
    return loss, LogisticLossResiduals(prediction, target)


def backward(
    residuals: LogisticLossResiduals, dloss: Float[Array, ""], *, reduction: Reduction
) -> Float[Array, "*e"]:
    """Equation (2)."""
    (f, target), dloss, zero, one = again(residuals, dloss, 0.0, 1.0)
    t = target.astype(f.dtype)
    t = jnp.where((t >= zero) & (t <= one), t, jnp.nan)
    likely = jnp.where(t == zero, one, f)
    unlikely = jnp.where(t == one, one, one - f)
    slope = (one - t) / unlikely - t / likely  # (2)
    return spread(dloss, t.size, reduction) * slope  # (2)
