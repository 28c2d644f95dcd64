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
    spread,
    total,
)
from purefw.rule import Loss


class LogisticLossResiduals(NamedTuple):
    """What `backward` needs: three arrays the size of the prediction.

    Attributes:
        target: In the dtype of the prediction, NaN where it is outside [0, 1].
        one: f, or 1 where its term has weight 0.
        zero: 1 - f, or 1 where its term has weight 0.
    """

    target: Float[Array, "*e"]
    one: Float[Array, "*e"]
    zero: Float[Array, "*e"]


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
    """Equation (1); log1p keeps the digits of a small f."""
    check_same_shape("logistic_loss", prediction, target)
    t = target.astype(prediction.dtype)
    t = jnp.where((t >= 0) & (t <= 1), t, jnp.nan)
    one = jnp.where(t == 0, 1, prediction)
    other = jnp.where(t == 1, 0, prediction)
    terms = t * jnp.log(one) + (1 - t) * jnp.log1p(-other)
    loss = -spread(total(terms), t.size, reduction)  # (1)
    return loss, LogisticLossResiduals(t, one, 1 - other)


def backward(
    residuals: LogisticLossResiduals, dloss: Float[Array, ""], *, reduction: Reduction
) -> Float[Array, "*e"]:
    """Equation (2)."""
    t, one, zero = residuals
    r = 1 / t.size if reduction == "mean" else 1
    return r * ((1 - t) / zero - t / one) * dloss  # (2)
