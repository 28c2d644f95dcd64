"""Focal loss: the logistic loss of a logit, damped where it is good already.

e counts the n entries of the logits z; r is 1 for the sum and 1/n for the mean. The
sign s_e is +1 for label 1 and -1 for label 0; w_e is alpha for label 1 and 1 - alpha
for label 0, or 1 for both without alpha.

    (1)  u_e   = s_e z_e
    (2)  v_e   = softplus(-u_e)                        -log p_e, p_e = σ(u_e)
    (3)  m_e   = exp(-gamma softplus(u_e))             (1 - p_e)^gamma
    (4)  loss  = r Σ_e w_e m_e v_e
    (5)  dz_e  = -r s_e w_e m_e (gamma σ(u_e) v_e + σ(-u_e)) dloss

(3): log(1 - σ(u)) = -softplus(u).
(5): dm = -gamma m σ(u) du by (3) and softplus' = σ, dv = -σ(-u) du by (2); the product
rule on m v, and du = s dz. No power of a small 1 - p is divided, so nothing is lost as
p reaches 1, also for gamma < 1, where (1 - p)^(gamma - 1) is infinite.
Limits: gamma = 0 is the logistic loss on hard labels.
Invariants: dz has the sign of -s; a label flipped together with its logit leaves the
loss alone where alpha is 1/2 or None. A label other than 0 and 1 makes the loss NaN,
and its own entry of dz. optax.sigmoid_focal_loss is the same function on such labels.

Reference: Lin et al., "Focal Loss for Dense Object Detection", 2017, arXiv:1708.02002.
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
    spread,
    total,
)
from purefw.rule import Loss
from purefw.shared.logistic import both_logistic, log1p_exp
from purefw.shared.recomputation import again


class FocalResiduals(NamedTuple):
    """What `backward` needs: two arrays the size of the logits."""

    u: Float[Array, "*e"]
    signed_weight: Float[Array, "*e"]


def focal(
    reduction: Reduction = "mean", *, gamma: float = 2.0, alpha: float | None = None
) -> Loss[FocalResiduals]:
    """Binary focal loss on logits, for two classes of very unequal size.

    Args:
        reduction: "mean" or "sum" over all entries.
        gamma: How strongly good predictions are damped. At least 0.
        alpha: Weight of label 1, within (0, 1); label 0 weighs 1 - alpha. None: both 1.

    Returns:
        A loss on logits and labels 0 and 1 of one shape, not empty.

    Raises:
        ValueError: another reduction, gamma < 0, alpha outside (0, 1); in `forward`,
            shapes that differ or are empty.

    Example:
        >>> forward = focal("sum").forward
        >>> forward(jnp.array([0.0, 9.0]), jnp.array([1, 1]))[0].round(4)
        Array(0.1733, dtype=float32)
    """
    check_reduction("focal", reduction)
    if not gamma >= 0:
        raise ValueError(f"focal: gamma must be at least 0, got {gamma}")
    if alpha is not None and not 0 < alpha < 1:
        raise ValueError(f"focal: alpha must lie strictly within 0 and 1, got {alpha}")
    return Loss(
        name="focal",
        forward=partial(forward, reduction=reduction, gamma=gamma, alpha=alpha),
        backward=partial(backward, reduction=reduction, gamma=gamma),
        divisor=partial(divisor, reduction=reduction),
    )


def forward(
    prediction: Float[Array, "*e"],
    target: Num[Array, "*e"],
    *,
    reduction: Reduction,
    gamma: float,
    alpha: float | None,
) -> tuple[Float[Array, ""], FocalResiduals]:
    """Equations (1) to (4)."""
    check_same_shape("focal", prediction, target)
    positive, negative = (1, 1) if alpha is None else (alpha, 1 - alpha)
    signed = jnp.where(
        target == 1, positive, jnp.where(target == 0, -negative, jnp.nan)
    )
    signed = signed.astype(prediction.dtype)
    u = jnp.where(target == 1, prediction, -prediction)  # (1)
    v = log1p_exp(-u)  # (2)
    m = jnp.exp(-gamma * log1p_exp(u))  # (3)
    loss = spread(total(jnp.abs(signed) * m * v), u.size, reduction)  # (4)
    return loss, FocalResiduals(u, signed)


def backward(
    residuals: FocalResiduals,
    dloss: Float[Array, ""],
    *,
    reduction: Reduction,
    gamma: float,
) -> Float[Array, "*e"]:
    """Equations (2), (3) and (5)."""
    u, signed = residuals
    u, signed, dloss = again(u, signed, dloss)
    v = log1p_exp(-u)  # (2)
    m = jnp.exp(-gamma * log1p_exp(u))  # (3)
    p, rest = both_logistic(u)
    slope = m * (gamma * p * v + rest)  # (5)
    return -spread(dloss, u.size, reduction) * signed * slope  # (5)
