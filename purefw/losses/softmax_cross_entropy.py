"""Softmax and cross-entropy on logits in one rule, with what is usually added to it.

b counts the B rows (any number of leading axes), k the K classes; z are the logits. The
target is a class y_b, or a soft target of one weight a class.

    (1)  counts_b = [y_b is not ignore_index]          1 for soft targets
    (2)  t_bk     = [k = y_b], or the soft target
    (3)  mass_bk  = counts_b w_k ((1 - smoothing) t_bk + smoothing/K)
    (4)  n        = Σ_bk counts_b w_k t_bk (classes), B (soft)      1 for the sum
    (5)  m        = Σ_b counts_b                                    1 for the sum
    (6)  logp_bk  = z_bk - lse_b                       lse_b = log Σ_k exp z_bk
    (7)  loss     = -1/n Σ_bk mass_bk logp_bk + z_loss/m Σ_b counts_b lse_b²

    (8)  push_b   = 2 z_loss/m counts_b lse_b
    (9)  dz_bk    = (p_bk Σ_{j≠k} mass_bj - mass_bk (1 - p_bk)) / n dloss
                    + push_b p_bk dloss                p_bk = exp logp_bk

(9): ∂lse/∂z_k = p_k by (6), so that ∂logp_j/∂z_k = [j = k] - p_k and the first summand
of
(7) gives (p_k Σ_j mass_j - mass_k)/n; summand j = k of the sum is joined to the last
term. Both differ from the short form only in rounding: 1 - p_k is taken as
-expm1(logp_k), whose digits survive as p nears 1. The second summand of (7) gives
2 z_loss/m lse p_k.
Neither n nor m holds a logit.

What the mean is over: rows that count, weighted by the class weight of their label (n),
as in torch.nn.CrossEntropyLoss; a soft target has no label, so there n is the number of
rows, as in torch. The smoothing's share is weighted by w_k too, as in torch. The z-loss
is a mean over the rows that count, without class weights: it holds no class.
Ignored rows: no loss and no gradient, whatever their logits, NaN included.
Limits: where nothing counts (all rows ignored, or all labels of weight 0) numerator and
denominator are 0: loss and gradient are 0 (torch: NaN). A class with mass 0 and logit
-inf adds nothing. A label that is neither a class nor ignored makes the loss NaN, and
its own row of dz. A soft target outside [0, 1] is not refused, as data alone tell it:
(7) stands as it is.
Invariants, without z-loss: adding a constant to a row of z changes nothing, so rows of
dz sum to 0. With it a row of dz sums to push_b dloss.
Memory: two arrays the size of the logits, logp and mass.

References: Szegedy et al., "Rethinking the Inception Architecture", 2015,
arXiv:1512.00567 (smoothing); Chowdhery et al., "PaLM", 2022, arXiv:2204.02311 (z-loss).
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Integer, Shaped

from purefw.losses import reduction as reduced
from purefw.losses.labels import check_labels, onehot
from purefw.losses.reduction import Reduction, check_reduction, log_softmax
from purefw.rule import Loss

WHO = "softmax_cross_entropy"


class SoftmaxCrossEntropyResiduals(NamedTuple):
    """What `backward` needs: two arrays the size of the logits, one of their rows."""

    logp: Float[Array, "*b k"]
    mass: Float[Array, "*b k"]
    n: Float[Array, ""]
    push: Float[Array, "*b 1"]


def softmax_cross_entropy(
    reduction: Reduction = "mean",
    *,
    label_smoothing: float = 0.0,
    class_weights: Sequence[float] | None = None,
    ignore_index: int | None = None,
    z_loss: float = 0.0,
) -> Loss[SoftmaxCrossEntropyResiduals]:
    """-log softmax(logits) of the target, for several classes.

    Args:
        reduction: "mean" over the rows that count, weighted (see the module), or "sum".
        label_smoothing: The part of the target spread over all classes, within [0, 1].
        class_weights: A weight for each class, none negative. None: all 1.
        ignore_index: The label of rows that do not count. None: every row counts.
        z_loss: Factor of lse², which keeps the logits near normalised. At least 0.

    Returns:
        A loss on logits of shape (..., k) and a target of integers 0 to k - 1, shape
        (...), or of floats, shape (..., k).

    Raises:
        ValueError: an argument out of its range; in `forward`, a target of another
            shape, no logits, class weights of another number, or a soft target together
            with ignore_index.

    Example:
        >>> logits = jnp.array([[2.0, 0.0, 0.0], [9.0, 9.0, 9.0]])
        >>> loss = softmax_cross_entropy(ignore_index=-1)
        >>> loss.forward(logits, jnp.array([0, -1]))[0].round(4)
        Array(0.2395, dtype=float32)
    """
    check_reduction(WHO, reduction)
    if not 0 <= label_smoothing <= 1:
        raise ValueError(
            f"{WHO}: label_smoothing must lie within [0, 1], got {label_smoothing}"
        )
    if not z_loss >= 0:
        raise ValueError(f"{WHO}: z_loss must be at least 0, got {z_loss}")
    weights = None if class_weights is None else tuple(map(float, class_weights))
    if weights is not None and not all(w >= 0 for w in weights):
        raise ValueError(f"{WHO}: class_weights must not be negative, got {weights}")
    return Loss(
        name=WHO,
        forward=partial(
            forward,
            reduction=reduction,
            label_smoothing=label_smoothing,
            class_weights=weights,
            ignore_index=ignore_index,
            z_loss=z_loss,
        ),
        backward=backward,
        divisor=None
        if z_loss and weights
        else partial(
            divisor,
            reduction=reduction,
            class_weights=weights,
            ignore_index=ignore_index,
        ),
    )


def forward(
    logits: Float[Array, "*b k"],
    target: Integer[Array, "*b"] | Float[Array, "*b k"],
    *,
    reduction: Reduction,
    label_smoothing: float,
    class_weights: tuple[float, ...] | None,
    ignore_index: int | None,
    z_loss: float,
) -> tuple[Float[Array, ""], SoftmaxCrossEntropyResiduals]:
    """Equations (1) to (8)."""
    soft = jnp.issubdtype(target.dtype, jnp.floating)
    _check(logits, target, soft, class_weights, ignore_index)
    counts, t = _rows_that_count(logits, target, soft, ignore_index)
    weighted = t * _weights(logits, class_weights)
    even = label_smoothing / logits.shape[-1] * _weights(logits, class_weights)
    mass = jnp.where(counts, (1 - label_smoothing) * weighted + even, 0)  # (3)
    m = jnp.sum(counts.astype(logits.dtype))  # (5)
    n = m if soft else jnp.nansum(jnp.where(counts, weighted, 0))  # (4)
    n, m = (_divisor(v, reduction) for v in (n, m))
    logp, lse = log_softmax(jnp.where(counts, logits, 0))  # (6)
    terms = mass * jnp.where(mass == 0, 0, logp)
    lse = jnp.where(counts, lse[..., None], 0)
    loss = z_loss * jnp.sum(lse * (lse / m)) - jnp.sum(terms / n)  # (7)
    push = 2 * z_loss * lse / m  # (8)
    return loss, SoftmaxCrossEntropyResiduals(logp, mass, n, push)


def backward(
    residuals: SoftmaxCrossEntropyResiduals, dloss: Float[Array, ""]
) -> Float[Array, "*b k"]:
    """Equation (9)."""
    logp, mass, n, push = residuals
    others = jnp.sum(mass, axis=-1, keepdims=True) - mass
    pull = jnp.exp(logp) * others + mass * jnp.expm1(logp)  # (9)
    return dloss / n * pull + dloss * push * jnp.exp(logp)  # (9)


def divisor(
    target: Shaped[Array, "..."],
    *,
    reduction: Reduction,
    class_weights: tuple[float, ...] | None,
    ignore_index: int | None,
) -> Float[Array, ""]:
    """Equation (4) from the target alone; for soft targets n times the classes.

    With a z-loss and class weights the two summands of (7) have divisors of their own,
    and the loss none.
    """
    if reduction == "sum" or jnp.issubdtype(target.dtype, jnp.floating):
        return reduced.divisor(target, reduction=reduction)
    labels = target.astype(int)
    counts = (
        jnp.ones(labels.shape, bool)
        if ignore_index is None
        else (labels != ignore_index)
    )
    weights = 1.0
    if class_weights is not None:
        known = (labels >= 0) & (labels < len(class_weights))
        table = jnp.array(class_weights, float)
        weights = jnp.where(known, table[jnp.where(known, labels, 0)], 0)
    return _divisor(jnp.sum(jnp.where(counts, weights, 0.0)), reduction)  # (4)


def _check(logits, target, soft, class_weights, ignore_index) -> None:
    if not soft:
        check_labels(WHO, "logits", logits, target)
    elif logits.ndim < 1 or logits.size == 0:
        raise ValueError(
            f"{WHO}: logits must have shape (..., k) and not be empty, "
            f"got shape {logits.shape}"
        )
    elif target.shape != logits.shape:
        raise ValueError(
            f"{WHO}: target must be integer labels, got {target.dtype}, or have the "
            f"logits' shape {logits.shape}, got {target.shape}"
        )
    elif ignore_index is not None:
        raise ValueError(
            f"{WHO}: ignore_index must be None for soft targets, got {ignore_index}"
        )
    if class_weights is not None and len(class_weights) != logits.shape[-1]:
        raise ValueError(
            f"{WHO}: class_weights must be {logits.shape[-1]} numbers, one a class, "
            f"got {len(class_weights)}"
        )


def _rows_that_count(
    logits, target, soft, ignore_index
) -> tuple[Bool[Array, "*b 1"], Float[Array, "*b k"]]:
    """Equations (1) and (2)."""
    if soft:
        return jnp.ones((*logits.shape[:-1], 1), bool), target  # (1) (2)
    counts = jnp.ones(target.shape, bool)
    if ignore_index is not None:
        counts = target.astype(int) != ignore_index  # (1)
    return counts[..., None], onehot(target, logits)  # (2)


def _weights(logits, class_weights) -> Float[Array, "*b k"]:
    """The class weights in each row."""
    if class_weights is None:
        return jnp.ones_like(logits)
    return jnp.broadcast_to(jnp.array(class_weights, logits.dtype), logits.shape)


def _divisor(total, reduction) -> Float[Array, ""]:
    """What the mean divides by; 1 for the sum, and where nothing counts."""
    return jnp.where((reduction == "sum") | (total == 0), 1, total)
