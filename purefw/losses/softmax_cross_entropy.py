"""Cross-entropy of the softmax, on logits: both steps as one.

b counts the N rows (any number of leading axes), i, j the n classes; y_b is the label
of row b, z the logits, r is 1 for the sum and 1/N for the mean.

    (1)  s_bi    = z_bi - max_j z_bj
    (2)  loss    = r Σ_b [log Σ_j exp s_bj - s_{b,y_b}]

    (3)  p_bi    = exp s_bi / Σ_j exp s_bj
    (4)  dz_bi   = r (p_bi - [i = y_b]) dloss

(2): -log p_{b,y_b} with (3) put in; the largest exponent is 0, so nothing overflows,
and no probability is ever divided by or put into a log.
(4): ∂(log Σ_j exp s_bj)/∂s_bi = p_bi and ∂s_{b,y_b}/∂s_bi = [i = y_b]. The shift in (1)
cancels in (2) and has no part in (4).
Invariants: adding a constant to a row of z leaves the loss alone, so every row of dz
sums to 0; |dz_bi| ≤ r |dloss| however wrong the prediction.
Limit: as p_{b,y_b} nears 1, p - 1 loses digits that no longer matter to training.
Autodiff of (2) does the same.
A label outside [0, n) gives NaN, in the loss and in its row of the gradient.
"""

from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Integer, Shaped

from purefw.losses.labels import at_label, check_labels, onehot
from purefw.losses.reduction import Reduction, check_reduction
from purefw.rule import Loss


class SoftmaxCrossEntropyResiduals(NamedTuple):
    """What `backward` needs: the probabilities, one array the size of the logits."""

    p: Float[Array, "*b n"]
    target: Integer[Array, "*b"]


def softmax_cross_entropy(
    reduction: Reduction = "mean",
) -> Loss[SoftmaxCrossEntropyResiduals]:
    """-log of the probability that the softmax of the logits gives to the label.

    Args:
        reduction: "mean" or "sum" over the rows.

    Returns:
        A loss on logits of shape (..., n) and integer labels of shape (...), in [0, n),
        at least one.

    Raises:
        ValueError: another reduction; in `forward`, no row, labels not integers
            or not one a row.

    Example:
        >>> forward = softmax_cross_entropy().forward
        >>> forward(jnp.array([[0.0, 1e4], [0.0, 0.0]]), jnp.array([1, 0]))[0]
        Array(0.3465736, dtype=float32)
    """
    check_reduction("softmax_cross_entropy", reduction)
    return Loss(
        name="softmax_cross_entropy",
        forward=partial(forward, reduction=reduction),
        backward=partial(backward, reduction=reduction),
    )


def forward(
    logits: Float[Array, "*b n"], target: Shaped[Array, "..."], *, reduction: Reduction
) -> tuple[Float[Array, ""], SoftmaxCrossEntropyResiduals]:
    """Equations (1) to (3)."""
    check_labels("softmax_cross_entropy", "logits", logits, target)
    s = logits - jnp.max(logits, axis=-1, keepdims=True)  # (1)
    e = jnp.exp(s)
    total = jnp.sum(e, axis=-1, keepdims=True)
    reduce = jnp.mean if reduction == "mean" else jnp.sum
    loss = reduce(jnp.log(total[..., 0]) - at_label(s, target))  # (2)
    return loss, SoftmaxCrossEntropyResiduals(e / total, target)  # (3)


def backward(
    residuals: SoftmaxCrossEntropyResiduals,
    dloss: Float[Array, ""],
    *,
    reduction: Reduction,
) -> Float[Array, "*b n"]:
    """Equation (4)."""
    p, target = residuals
    r = 1 / target.size if reduction == "mean" else 1
    return r * (p - onehot(target, p)) * dloss  # (4)
