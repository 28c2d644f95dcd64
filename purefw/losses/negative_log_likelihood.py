"""Negative log-likelihood of labels under given log-probabilities.

b counts the B rows (any number of leading axes), k the classes, y_b the label of a row;
r is 1 for the sum and 1/B for the mean.

    (1)  loss     = -r Σ_b logp_by
    (2)  dlogp_bk = -r [k = y_b] dloss

(2): (1) is linear in logp and reads one entry of each row.
Convention: the prediction holds logarithms, as in torch.nn.NLLLoss; that a row's
exponentials sum to 1 is the business of the layer before (log-softmax). -inf away from
the label does no harm; at the label the loss is inf, as it is, and the gradient finite.
Invariant: dlogp does not depend on logp.
A label that is not a class makes the loss NaN, and its own row of dlogp.
"""

from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Integer

from purefw.losses.labels import at_label, check_labels, scattered
from purefw.losses.reduction import (
    Reduction,
    check_reduction,
    divisor,
    reduce,
    spread,
)
from purefw.rule import Loss
from purefw.shared.structure import Static


class NegativeLogLikelihoodResiduals(NamedTuple):
    """What `backward` needs: the labels, and the number of classes."""

    target: Integer[Array, "*b"]
    classes: Static


def negative_log_likelihood(
    reduction: Reduction = "mean",
) -> Loss[NegativeLogLikelihoodResiduals]:
    """-logp of the label, on log-probabilities.

    Args:
        reduction: "mean" or "sum" over the rows.

    Returns:
        A loss on log-probabilities of shape (..., k) and labels 0 to k - 1 of shape
        (...).

    Raises:
        ValueError: another reduction; in `forward`, labels of another shape or not
            integers, or no rows.

    Example:
        >>> forward = negative_log_likelihood().forward
        >>> forward(jnp.log(jnp.array([[0.5, 0.25, 0.25]])), jnp.array([1]))[0].round(4)
        Array(1.3863, dtype=float32)
    """
    check_reduction("negative_log_likelihood", reduction)
    return Loss(
        name="negative_log_likelihood",
        forward=partial(forward, reduction=reduction),
        backward=partial(backward, reduction=reduction),
        divisor=partial(divisor, reduction=reduction),
    )


def forward(
    prediction: Float[Array, "*b k"],
    target: Integer[Array, "*b"],
    *,
    reduction: Reduction,
) -> tuple[Float[Array, ""], NegativeLogLikelihoodResiduals]:
    """Equation (1)."""
    check_labels("negative_log_likelihood", "prediction", prediction, target)
    loss = reduce(-at_label(prediction, target), reduction)  # (1)
    return loss, NegativeLogLikelihoodResiduals(target, Static(prediction.shape[-1]))


def backward(
    residuals: NegativeLogLikelihoodResiduals,
    dloss: Float[Array, ""],
    *,
    reduction: Reduction,
) -> Float[Array, "*b k"]:
    """Equation (2)."""
    target, classes = residuals
    own = jnp.broadcast_to(-spread(dloss, target.size, reduction), target.shape)
    return scattered(own, target, classes.value)  # (2)
