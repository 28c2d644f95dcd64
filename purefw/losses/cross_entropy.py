"""Cross-entropy on probabilities: the second step after a softmax.

b counts the N rows (any number of leading axes), i the n classes; y_b is the label of
row b, p the prediction, r is 1 for the sum and 1/N for the mean.

    (1)  loss           = -r Σ_b log p_{b,y_b}
    (2)  dprediction_bi = -r dloss / p_{b,y_b} if i = y_b else 0

(2): (1) holds one entry of each row, and (log p)' = 1/p.
Limits: this form breaks down where a probability underflows: at p_{b,y_b} = 0 the loss
is +inf and the gradient -inf at the label, and a softmax before it turns that into NaN
(0 · inf). softmax_cross_entropy does both steps at once and does not.
The rows of p are not normalised here and need not sum to 1: only the label's entry
counts. Below 0 that makes the loss NaN; above 1 it is not refused, as data alone tell
it.
A label outside [0, n) gives NaN, in the loss and in its row of the gradient.
"""

from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Integer, Shaped

from purefw.losses.labels import at_label, check_labels, scattered
from purefw.losses.reduction import Reduction, check_reduction, divisor
from purefw.rule import Loss
from purefw.shared.structure import Static


class CrossEntropyResiduals(NamedTuple):
    """What `backward` needs: the label's probability in each row, and the target."""

    own: Float[Array, "*b"]
    target: Integer[Array, "*b"]
    classes: Static


def cross_entropy(reduction: Reduction = "mean") -> Loss[CrossEntropyResiduals]:
    """-log of the probability that the prediction gives to the label.

    Args:
        reduction: "mean" or "sum" over the rows.

    Returns:
        A loss on probabilities of shape (..., n) and integer labels of shape (...), in
        [0, n), at least one. It keeps a float a row and the labels.

    Raises:
        ValueError: another reduction; in `forward`, no row, labels not integers
            or not one a row.

    Example:
        >>> forward = cross_entropy().forward
        >>> forward(jnp.array([[0.5, 0.5], [0.0, 1.0]]), jnp.array([0, 1]))[0]
        Array(0.3465736, dtype=float32)
    """
    check_reduction("cross_entropy", reduction)
    return Loss(
        name="cross_entropy",
        forward=partial(forward, reduction=reduction),
        backward=partial(backward, reduction=reduction),
        divisor=partial(divisor, reduction=reduction),
    )


def forward(
    prediction: Float[Array, "*b n"],
    target: Shaped[Array, "..."],
    *,
    reduction: Reduction,
) -> tuple[Float[Array, ""], CrossEntropyResiduals]:
    """Equation (1)."""
    check_labels("cross_entropy", "prediction", prediction, target)
    reduce = jnp.mean if reduction == "mean" else jnp.sum
    own, classes = at_label(prediction, target), Static(prediction.shape[-1])
    return -reduce(jnp.log(own)), CrossEntropyResiduals(own, target, classes)  # (1)


def backward(
    residuals: CrossEntropyResiduals, dloss: Float[Array, ""], *, reduction: Reduction
) -> Float[Array, "*b n"]:
    """Equation (2)."""
    own, target, classes = residuals
    r = 1 / target.size if reduction == "mean" else 1
    return scattered(-r / own * dloss, target, classes.value)  # (2)
