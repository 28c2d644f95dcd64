"""One minus the cosine of the angle between prediction and target.

b counts the B rows (any number of leading axes), k the features; x is the prediction, t
the target; r is 1 for the sum and 1/B for the mean.

    (1)  xhat_bk = x_bk / |x_b|                        that_bk = t_bk / |t_b|
    (2)  cos_b   = Σ_k xhat_bk that_bk
    (3)  loss    = r Σ_b (1 - cos_b)
    (4)  dx_bk   = -r (that_bk - cos_b xhat_bk) / |x_b| dloss

(4): ∂xhat_j/∂x_k = (δ_jk - xhat_j xhat_k) / |x|, because ∂|x|/∂x_k = xhat_k; it is
symmetric, and applied to that it gives that less its part along xhat.
Singular: a row of zeros has no direction. Here xhat is 0 there: cos 0 and gradient 0,
without an eps, which would spoil the invariants. torch clamps |x| at eps, and its
gradient there is that / eps.
Invariants: the loss does not change with the length of a row, so Σ_k x_bk dx_bk = 0; dx
goes as 1/|x|. Lengths are taken as in reduction.py: no overflow, no underflow.
optax.cosine_distance gives the rows; torch.nn.CosineEmbeddingLoss is the same function
for targets that it calls 1.
"""

from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from purefw.losses.reduction import (
    Reduction,
    check_reduction,
    check_rows,
    check_same_shape,
    divisor,
    inverse,
    reduce,
    safe,
    scaled_norm,
    spread,
)
from purefw.rule import Loss
from purefw.shared.recomputation import once


class CosineSimilarityResiduals(NamedTuple):
    """What `backward` needs: the two arguments, and three numbers a row.

    Attributes:
        x: The prediction.
        t: The target.
        cos: Equation (2).
        x_inverse: 1 / |x|, 0 for a row of zeros.
        t_inverse: 1 / |t|, 0 for a row of zeros.
    """

    x: Float[Array, "*b k"]
    t: Float[Array, "*b k"]
    cos: Float[Array, "*b 1"]
    x_inverse: Float[Array, "*b 1"]
    t_inverse: Float[Array, "*b 1"]


def cosine_similarity(reduction: Reduction = "mean") -> Loss[CosineSimilarityResiduals]:
    """1 - cos(prediction, target) of each row, for directions.

    Args:
        reduction: "mean" or "sum" over the rows.

    Returns:
        A loss on prediction and target of one shape (..., k).

    Raises:
        ValueError: another reduction; in `forward`, shapes that differ, are empty or
            have no axis.

    Example:
        >>> x = jnp.array([[3.0, 4.0]])
        >>> cosine_similarity().forward(x, jnp.array([[0.0, 2.0]]))[0]
        Array(0.19999..., dtype=float32)
    """
    check_reduction("cosine_similarity", reduction)
    return Loss(
        name="cosine_similarity",
        forward=partial(forward, reduction=reduction),
        backward=partial(backward, reduction=reduction),
        divisor=partial(divisor, reduction=reduction),
    )


def forward(
    prediction: Float[Array, "*b k"],
    target: Float[Array, "*b k"],
    *,
    reduction: Reduction,
) -> tuple[Float[Array, ""], CosineSimilarityResiduals]:
    """Equations (1) to (3)."""
    check_rows("cosine_similarity", prediction)
    check_same_shape("cosine_similarity", prediction, target)
    x, t = prediction, target
    squares = [jnp.sum(v * v, axis=-1, keepdims=True) for v in (x, t)]
    product = jnp.sum(x * t, axis=-1, keepdims=True)

    def short():
        inverses = [1 / jnp.sqrt(square) for square in squares]  # (1)
        return *inverses, product * inverses[0] * inverses[1]  # (2)

    def scaled():
        a, b = (inverse(scaled_norm(v)) for v in (x, t))  # (1)
        return a, b, jnp.sum((x * a) * (t * b), axis=-1, keepdims=True)  # (2)

    a, b, cos = lax.cond(safe(jnp.concatenate(squares)), short, scaled)
    loss = reduce(1 - cos, reduction)  # (3)
    return loss, CosineSimilarityResiduals(x, t, cos, a, b)


def backward(
    residuals: CosineSimilarityResiduals,
    dloss: Float[Array, ""],
    *,
    reduction: Reduction,
) -> Float[Array, "*b k"]:
    """Equation (4)."""
    x, t, cos, a, b = residuals
    scale = -spread(dloss, cos.size, reduction) * a
    scale, b, along = once((scale, b, cos * a))
    return scale * (t * b - x * along)  # (4)
