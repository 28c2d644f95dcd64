"""Jensen-Shannon divergence: the symmetric, bounded relative of Kullback-Leibler's.

b counts the B rows (any number of leading axes), k the classes; the prediction logp
holds log-probabilities, the target q probabilities; r is 1 for the sum and 1/B for the
mean. With m = (p + q)/2 it is the mean of KL(p ‖ m) and KL(q ‖ m).

    (1)  p_bk     = exp logp_bk
    (2)  a_bk     = log(2 p_bk / (p_bk + q_bk))       b_bk = log(2 q_bk / (p_bk + q_bk))
    (3)  loss     = r/2 Σ_bk p_bk a_bk + q_bk b_bk
    (4)  dlogp_bk = r/2 p_bk a_bk dloss

(3): m = (p + q)/2 is what p and q are divided by. A summand is 0 where its p or q is.
(4): ∂m/∂p = 1/2, so that ∂/∂p of p log(p/m) + q log(q/m) is log(p/m) + 1 - p/2m - q/2m
= log(p/m), as p + q = 2m. Then dlogp = p dp, by (1).
Limits: dp tends to -inf as p → 0 beside q > 0, but p dp to 0: on log-probabilities the
gradient is finite everywhere, and 0 at logp = -inf. The quotients are formed before the
logarithm, so that it is exactly 0 where p = q.
Memory: the two arguments; backward computes p and a again, in the loop that writes
dlogp. Forward sums as it forms: a, b and p + q are bounded below by a number of each
row, for the logarithms of 0, instead of by a choice.
Invariants: 0 where p = q, with gradient 0; each row at most log 2; symmetric in p and
q.
A negative q_bk makes the loss NaN; a q_bk above 1 is not refused: (3) stands as it is.

Reference: Lin, "Divergence Measures Based on the Shannon Entropy", 1991,
doi:10.1109/18.61115.
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
)
from purefw.rule import Loss
from purefw.shared.recomputation import again, once

LOWEST = -1e4  # Below the logarithm of every positive float.


class JensenShannonResiduals(NamedTuple):
    """What `backward` needs: the two arguments, no copies."""

    logp: Float[Array, "*b k"]
    q: Float[Array, "*b k"]


def jensen_shannon(reduction: Reduction = "mean") -> Loss[JensenShannonResiduals]:
    """Jensen-Shannon divergence of exp prediction and target, in nats.

    Args:
        reduction: "mean" or "sum" over the rows.

    Returns:
        A loss on log-probabilities and target probabilities of one shape (..., k).

    Raises:
        ValueError: another reduction; in `forward`, shapes that differ, are empty or
            have no axis.

    Example:
        >>> logp = jnp.log(jnp.array([[1.0, 0.0]]))
        >>> jensen_shannon().forward(logp, jnp.array([[0.0, 1.0]]))[0].round(4)
        Array(0.6931, dtype=float32)
    """
    check_reduction("jensen_shannon", reduction)
    return Loss(
        name="jensen_shannon",
        forward=partial(forward, reduction=reduction),
        backward=partial(backward, reduction=reduction),
        divisor=partial(divisor, reduction=reduction),
    )


def forward(
    prediction: Float[Array, "*b k"],
    target: Float[Array, "*b k"],
    *,
    reduction: Reduction,
) -> tuple[Float[Array, ""], JensenShannonResiduals]:
    """Equations (1) to (3)."""
    check_rows("jensen_shannon", prediction)
    check_same_shape("jensen_shannon", prediction, target)
    p, q = jnp.exp(prediction), target  # (1)
    lowest, least = (
        once(jnp.full((*p.shape[:-1], 1), v, p.dtype))
        for v in (LOWEST, jnp.finfo(p.dtype).tiny)
    )
    both = jnp.maximum(p + q, least)
    a = jnp.maximum(jnp.log((p + p) / both), lowest)  # (2)
    b = jnp.maximum(jnp.log((q + q) / both), lowest)  # (2)
    rows = jnp.sum(p * a + q * b, axis=-1) / 2  # (3)
    return reduce(rows, reduction), JensenShannonResiduals(prediction, target)  # (3)


def backward(
    residuals: JensenShannonResiduals, dloss: Float[Array, ""], *, reduction: Reduction
) -> Float[Array, "*b k"]:
    """Equations (1), (2) and (4)."""
    (logp, q), dloss = again(residuals, dloss)
    p = jnp.exp(logp)  # (1)
    a = jnp.log((p + p) / (p + q))  # (2)
    scale = spread(dloss, q.size // q.shape[-1], reduction) / 2
    return jnp.where(p == 0, 0, scale * p * a)  # (4)
