"""Poisson negative log-likelihood of counts, on the logarithm of the rate.

e counts the n entries of the prediction z; t is the count; r is 1 for the sum and 1/n
for the mean.

    (1)  loss  = r Σ_e exp(z_e) - t_e z_e
    (2)  dz_e  = r (exp(z_e) - t_e) dloss

(1): -log of exp(-λ) λ^t / t! at λ = exp z, without log t!, which no prediction moves.
(2): entry by entry.
Limits: exp z is inf beyond z = 88 in float32 and 11 in float16, and so are loss and
gradient, as they are. A target need not be whole; one below 0, where no rate fits, is
not refused: (1) stands as it is.
Invariants: the gradient is 0 where exp z = t; the loss is convex in z.
torch.nn.PoissonNLLLoss (log_input, not full) is the same function.
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


class PoissonResiduals(NamedTuple):
    """What `backward` needs: rate less count, one array the size of the prediction."""

    excess: Float[Array, "*e"]


def poisson(reduction: Reduction = "mean") -> Loss[PoissonResiduals]:
    """exp(prediction) - target prediction, for counts.

    Args:
        reduction: "mean" or "sum" over all entries.

    Returns:
        A loss on log-rates and counts of one shape, not empty.

    Raises:
        ValueError: another reduction; in `forward`, shapes that differ or are empty.

    Example:
        >>> forward = poisson("sum").forward
        >>> forward(jnp.array([0.0, 1.0]), jnp.array([3.0, 2.0]))[0].round(4)
        Array(1.7183, dtype=float32)
    """
    check_reduction("poisson", reduction)
    return Loss(
        name="poisson",
        forward=partial(forward, reduction=reduction),
        backward=partial(backward, reduction=reduction),
        divisor=partial(divisor, reduction=reduction),
    )


def forward(
    prediction: Float[Array, "*e"], target: Float[Array, "*e"], *, reduction: Reduction
) -> tuple[Float[Array, ""], PoissonResiduals]:
    """Equation (1)."""
    check_same_shape("poisson", prediction, target)
    rate = jnp.exp(prediction)
    loss = reduce(rate - target * prediction, reduction)  # (1)
    return loss, PoissonResiduals(rate - target)


def backward(
    residuals: PoissonResiduals, dloss: Float[Array, ""], *, reduction: Reduction
) -> Float[Array, "*e"]:
    """Equation (2)."""
    (excess,) = residuals
    return spread(dloss, excess.size, reduction) * excess  # (2)
