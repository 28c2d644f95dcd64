"""Logistic loss of a logit: sigmoid and binary cross-entropy in one rule.

e counts the n entries of the prediction z; t is the target's probability of class 1; r
is 1 for the sum and 1/n for the mean. σ(z) = 1/(1 + exp(-z)), softplus(z) = log(1 + exp
z).

    (1)  loss  = r Σ_e t_e softplus(-z_e) + (1 - t_e) softplus(z_e)
    (2)  dz_e  = r ((1 - t_e) σ(z_e) - t_e σ(-z_e)) dloss

(1): -log σ(z) = softplus(-z) and -log(1 - σ(z)) = softplus(z). With softplus(±z) =
max(±z, 0) + log(1 + exp(-|z|)) a summand is (|z| + z - 2 t z)/2 + log(1 + exp(-|z|)),
which is summed as it is formed: it holds no choice and no number.
(2): softplus' = σ. It equals r (σ(z_e) - t_e) dloss, because σ(-z) = 1 - σ(z); kept in
two summands it does not cancel where σ(z) nears t = 1.
Limits: at z = ±1e4 loss and gradient are finite, where sigmoid, then log, gives inf.
Invariants: (z, t) and (-z, 1 - t) have the same loss and opposite gradients.
A target outside [0, 1] is not refused, as data alone tell it: (1) stands as it is, and
may then be negative. optax.sigmoid_binary_cross_entropy and
torch.nn.BCEWithLogitsLoss are the same function.
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
from purefw.shared.logistic import both_logistic
from purefw.shared.precision import wide
from purefw.shared.recomputation import again


class LogisticLossOnLogitsResiduals(NamedTuple):
    """What `backward` needs: the two arguments, no copies."""

    z: Float[Array, "*e"]
    target: Float[Array, "*e"]


def logistic_loss_on_logits(
    reduction: Reduction = "mean",
) -> Loss[LogisticLossOnLogitsResiduals]:
    """Binary cross-entropy of sigmoid(prediction), for two classes.

    Args:
        reduction: "mean" or "sum" over all entries.

    Returns:
        A loss on logits and target probabilities in [0, 1] of one shape, not empty.

    Raises:
        ValueError: another reduction; in `forward`, shapes that differ or are empty.

    Example:
        >>> import jax.numpy as jnp
        >>> forward = logistic_loss_on_logits("sum").forward
        >>> forward(jnp.array([0.0, 1e4]), jnp.array([1.0, 1.0]))[0].round(4)
        Array(0.6931, dtype=float32)
    """
    check_reduction("logistic_loss_on_logits", reduction)
    return Loss(
        name="logistic_loss_on_logits",
        forward=partial(forward, reduction=reduction),
        backward=partial(backward, reduction=reduction),
        divisor=partial(divisor, reduction=reduction),
    )


def forward(
    prediction: Float[Array, "*e"], target: Float[Array, "*e"], *, reduction: Reduction
) -> tuple[Float[Array, ""], LogisticLossOnLogitsResiduals]:
    """Equation (1)."""
    check_same_shape("logistic_loss_on_logits", prediction, target)
    z, t = wide(prediction), wide(target)
    size = jnp.abs(z)
    tail = jnp.log1p(jnp.exp(-size))
    v = (size + z) - (t + t) * z + (tail + tail)
    loss = (reduce(v, reduction) / 2).astype(prediction.dtype)  # (1)
    return loss, LogisticLossOnLogitsResiduals(prediction, target)


def backward(
    residuals: LogisticLossOnLogitsResiduals,
    dloss: Float[Array, ""],
    *,
    reduction: Reduction,
) -> Float[Array, "*e"]:
    """Equation (2)."""
    z, t, dloss = again(*residuals, dloss)
    sigma, rest = both_logistic(z)
    slope = (1 - t) * sigma - t * rest  # (2)
    return spread(dloss, z.size, reduction) * slope  # (2)
