"""Kullback-Leibler divergence of the target's distribution from the predicted one.

b counts the B rows (any number of leading axes), k the classes; the prediction logq
holds log-probabilities, the target p probabilities; r is 1 for the sum and 1/B for the
mean.

    (1)  loss     = r Σ_bk p_bk (log p_bk - logq_bk)   a summand is 0 where p_bk = 0
    (2)  dlogq_bk = -r p_bk dloss

(1): p log p → 0 as p → 0. (2): (1) is affine in logq.
Limits: p_bk = 0 with logq_bk = -inf counts 0; p_bk > 0 with logq_bk = -inf makes the
loss inf, as it is, and leaves the gradient finite. A negative p_bk makes the loss NaN;
a p_bk above 1, or rows that do not sum to 1, are not refused: (1) stands as it is.
Invariants: the loss is 0 where q = p, and never negative for distributions; dlogq does
not depend on logq.
Convention: the mean is over rows, torch's "batchmean" ("mean" in torch.nn.KLDivLoss is
over entries); optax.kl_divergence gives the rows.

Reference: Kullback and Leibler, "On Information and Sufficiency", 1951,
doi:10.1214/aoms/1177729694.
"""

from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from purefw.losses.reduction import (
    Reduction,
    check_reduction,
    check_rows,
    check_same_shape,
    divisor,
    reduce,
    spread,
    weighted_sum,
)
from purefw.rule import Loss


class KLDivergenceResiduals(NamedTuple):
    """What `backward` needs: the target, no copy."""

    p: Float[Array, "*b k"]


def kl_divergence(reduction: Reduction = "mean") -> Loss[KLDivergenceResiduals]:
    """KL(target ‖ exp prediction) of each row.

    Args:
        reduction: "mean" or "sum" over the rows.

    Returns:
        A loss on log-probabilities and target probabilities of one shape (..., k).

    Raises:
        ValueError: another reduction; in `forward`, shapes that differ, are empty or
            have no axis.

    Example:
        >>> logq = jnp.log(jnp.array([[0.5, 0.5]]))
        >>> kl_divergence().forward(logq, jnp.array([[1.0, 0.0]]))[0].round(4)
        Array(0.6931, dtype=float32)
    """
    check_reduction("kl_divergence", reduction)
    return Loss(
        name="kl_divergence",
        forward=partial(forward, reduction=reduction),
        backward=partial(backward, reduction=reduction),
        divisor=partial(divisor, reduction=reduction),
    )


def forward(
    prediction: Float[Array, "*b k"],
    target: Float[Array, "*b k"],
    *,
    reduction: Reduction,
) -> tuple[Float[Array, ""], KLDivergenceResiduals]:
    """Equation (1)."""
    check_rows("kl_divergence", prediction)
    check_same_shape("kl_divergence", prediction, target)
    p = target
    rows = weighted_sum(p, lambda: jnp.log(p), lambda: -prediction)  # (1)
    loss = reduce(rows, reduction).astype(prediction.dtype)  # (1)
    return loss, KLDivergenceResiduals(p)


def backward(
    residuals: KLDivergenceResiduals, dloss: Float[Array, ""], *, reduction: Reduction
) -> Float[Array, "*b k"]:
    """Equation (2)."""
    (p,) = residuals
    return -spread(dloss, p.size // p.shape[-1], reduction) * p  # (2)
