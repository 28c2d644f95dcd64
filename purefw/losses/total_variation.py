"""Total variation distance of two distributions.

b counts the B rows (any number of leading axes), k the classes; prediction p and target
q hold probabilities; r is 1 for the sum and 1/B for the mean.

    (1)  loss  = r/2 Σ_bk |p_bk - q_bk|
    (2)  dp_bk = r/2 sign(p_bk - q_bk) dloss

(2): d|u| = sign(u) du.
Kink: at p_bk = q_bk all values within ±r/2 dloss are subgradients; this rule takes 0,
so that the gradient vanishes where the distributions agree.
Invariants: symmetric in p and q; between 0 and 1 for each row of two distributions.
Numbers outside [0, 1] are not refused, as data alone tell them: (1) stands as it is.
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
    magnitude,
    reduce,
    spread,
)
from purefw.rule import Loss
from purefw.shared.recomputation import again


class TotalVariationResiduals(NamedTuple):
    """What `backward` needs: both arguments, no copies."""

    prediction: Float[Array, "*b k"]
    target: Float[Array, "*b k"]


def total_variation(reduction: Reduction = "mean") -> Loss[TotalVariationResiduals]:
    """Half the sum of |prediction - target| over each row.

    Args:
        reduction: "mean" or "sum" over the rows.

    Returns:
        A loss on probabilities and target probabilities of one shape (..., k).

    Raises:
        ValueError: another reduction; in `forward`, shapes that differ, are empty or
            have no axis.

    Example:
        >>> p = jnp.array([[0.75, 0.25]])
        >>> total_variation().forward(p, jnp.array([[0.5, 0.5]]))[0]
        Array(0.25, dtype=float32)
    """
    check_reduction("total_variation", reduction)
    return Loss(
        name="total_variation",
        forward=partial(forward, reduction=reduction),
        backward=partial(backward, reduction=reduction),
        divisor=partial(divisor, reduction=reduction),
    )


def forward(
    prediction: Float[Array, "*b k"],
    target: Float[Array, "*b k"],
    *,
    reduction: Reduction,
) -> tuple[Float[Array, ""], TotalVariationResiduals]:
    """Equation (1)."""
    check_rows("total_variation", prediction)
    check_same_shape("total_variation", prediction, target)
    rows = jnp.sum(magnitude(prediction - target), axis=-1) / 2  # (1)
    loss = reduce(rows, reduction)  # (1)
    return loss, TotalVariationResiduals(prediction, target)


def backward(
    residuals: TotalVariationResiduals, dloss: Float[Array, ""], *, reduction: Reduction
) -> Float[Array, "*b k"]:
    """Equation (2)."""
    (prediction, target), dloss = again(residuals, dloss)
    rows = prediction.size // prediction.shape[-1]
    sign = jnp.sign(prediction - target)
    return spread(dloss, rows, reduction) / 2 * sign  # (2)
