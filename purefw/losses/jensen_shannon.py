"""Jensen-Shannon divergence: the symmetric, bounded relative of Kullback-Leibler's.

b counts the B rows (any number of leading axes), k the classes; the prediction logp
holds log-probabilities, the target q probabilities; r is 1 for the sum and 1/B for the
mean. With m = (p + q)/2 it is the mean of KL(p ‖ m) and KL(q ‖ m).

    (1)  p_bk     = exp logp_bk
    (2)  d_bk     = (p_bk - q_bk) / (p_bk + q_bk)      0 where both are 0
    (3)  loss     = r/2 Σ_bk p_bk log(1 + d_bk) + q_bk log(1 - d_bk)
    (4)  dlogp_bk = r/2 p_bk log(1 + d_bk) dloss

(3): p/m = 2p/(p + q) = 1 + d and q/m = 1 - d. A summand is 0 where its p or q is.
(4): ∂m/∂p = 1/2, so that ∂/∂p of p log(p/m) + q log(q/m) is log(p/m) + 1 - p/2m - q/2m
= log(p/m), as p + q = 2m. Then dlogp = p dp, by (1).
Limits: dp tends to -inf as p → 0 beside q > 0, but p dp to 0: on log-probabilities the
gradient is finite everywhere, and 0 at logp = -inf. Where d nears -1 its digits are
gone, so below -1/2 the logarithm is taken of 2p and p + q apart.
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


class JensenShannonResiduals(NamedTuple):
    """What `backward` needs: p log(1 + d), one array the size of the prediction."""

    excess: Float[Array, "*b k"]


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
    total = jnp.where((p == 0) & (q == 0), 1, p + q)
    d = (p - q) / total  # (2)
    excess = _excess(p, d, total)
    rows = jnp.sum(excess + _excess(q, -d, total), axis=-1) / 2  # (3)
    return reduce(rows, reduction), JensenShannonResiduals(excess)  # (3)


def backward(
    residuals: JensenShannonResiduals, dloss: Float[Array, ""], *, reduction: Reduction
) -> Float[Array, "*b k"]:
    """Equation (4)."""
    (excess,) = residuals
    return spread(dloss, excess.size // excess.shape[-1], reduction) / 2 * excess  # (4)


def _excess(
    x: Float[Array, "*b k"], d: Float[Array, "*b k"], total: Float[Array, "*b k"]
) -> Float[Array, "*b k"]:
    """x log(1 + d), where 1 + d = 2x / total; 0 where x is."""
    apart = jnp.log(2 * jnp.where(x == 0, 1, x)) - jnp.log(total)
    near = jnp.log1p(jnp.where(d < -0.5, 0, d))
    return x * jnp.where(d < -0.5, apart, near)
