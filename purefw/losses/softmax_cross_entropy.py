"""Softmax and cross-entropy on logits in one rule, with what is usually added to it.

b counts the B rows (any number of leading axes), k the K classes; z are the logits. The
target is a class y_b, or a soft target of one weight a class.

    (1)  counts_b = [y_b is not ignore_index]          1 for soft targets
    (2)  t_bk     = [k = y_b], or the soft target
    (3)  mass_bk  = counts_b w_k ((1 - smoothing) t_bk + smoothing/K)
    (4)  n        = Σ_bk counts_b w_k t_bk (classes), B (soft)      1 for the sum
    (5)  m        = Σ_b counts_b                                    1 for the sum
    (6)  logp_bk, lse_b                      purefw.losses.reduction
    (7)  loss     = -1/n Σ_bk mass_bk logp_bk + z_loss/m Σ_b counts_b lse_b²

    (8)  push_b   = 2 z_loss/m counts_b lse_b
    (9)  dz_bk    = (p_bk Σ_{j≠k} mass_bj - mass_bk (1 - p_bk)) / n dloss
                    + push_b p_bk dloss                p_bk = exp logp_bk

Without smoothing a label is the one entry of mass in its row: purefw.losses.label_rows.
(9): ∂lse/∂z_k = p_k, so that ∂logp_j/∂z_k = [j = k] - p_k and the first summand of (7)
gives (p_k Σ_j mass_j - mass_k)/n. Summand j = k of the sum is joined to the last term,
because 1 - p_k is known with all its digits, however near to 1 p_k is. The second
summand of (7) gives 2 z_loss/m lse p_k. Neither n nor m holds a logit.

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
Memory: exp(z - m), an array the size of the logits, in whose place dz is written; the
logits may be dropped. Beside it the target, which is alive, and a few floats a row. The
masses are computed again in the loop that writes dz (purefw.shared.recomputation).

References: Szegedy et al., "Rethinking the Inception Architecture", 2015,
arXiv:1512.00567 (smoothing); Chowdhery et al., "PaLM", 2022, arXiv:2204.02311 (z-loss).
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Integer, Shaped

from purefw.losses import label_rows
from purefw.losses import reduction as reduced
from purefw.losses.labels import check_labels, columns
from purefw.losses.reduction import (
    Reduction,
    check_reduction,
    exponentials,
    softmax,
    weighted_sum,
)
from purefw.rule import Loss
from purefw.shared.precision import wide
from purefw.shared.recomputation import again, once

WHO = "softmax_cross_entropy"


class Options(NamedTuple):
    """The arguments of the constructor."""

    reduction: Reduction
    label_smoothing: float
    class_weights: tuple[float, ...] | None
    ignore_index: int | None
    z_loss: float


class MassRows(NamedTuple):
    """What `backward` needs where many classes have mass."""

    e: Float[Array, "*b k"]
    s: Float[Array, "*b 1"]


class SoftmaxCrossEntropyResiduals(NamedTuple):
    """What `backward` needs: see the module.

    Attributes:
        kept: Exponentials of the logits.
        target: As it came.
        own: The weight of each row's label; None for soft targets.
        lse: Equation (6).
        n: Equation (4).
        m: Equation (5).
    """

    kept: label_rows.LabelRows | MassRows
    target: Shaped[Array, "*t"]
    own: Float[Array, "*b 1"] | None
    lse: Float[Array, "*b 1"]
    n: Float[Array, ""]
    m: Float[Array, ""]


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
    options = Options(reduction, label_smoothing, weights, ignore_index, z_loss)
    return Loss(
        name=WHO,
        forward=partial(forward, options=options),
        backward=partial(backward, options=options),
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
    options: Options,
) -> tuple[Float[Array, ""], SoftmaxCrossEntropyResiduals]:
    """Equations (1) to (7)."""
    _check(logits, target, options)
    counts, own = _counts(target, options), _own_weight(logits, target, options)
    m = jnp.sum(counts.astype(wide(logits).dtype))  # (5)
    n = m if options.class_weights is None or own is None else jnp.nansum(own)  # (4)
    n, m = (_divisor(v, options.reduction) for v in (n, m))
    one_label = own is not None and not options.label_smoothing
    terms, lse, kept = (_at_labels if one_label else _over_classes)(
        logits, target, own, options
    )
    loss = -jnp.sum(jnp.where(counts, terms, 0) / n)  # (7)
    if options.z_loss:
        seen = jnp.where(counts, lse, 0)  # (6)
        loss = loss + options.z_loss * jnp.sum(seen * (seen / m))  # (7)
    residuals = SoftmaxCrossEntropyResiduals(kept, target, own, lse, n, m)
    return loss.astype(logits.dtype), residuals


def backward(
    residuals: SoftmaxCrossEntropyResiduals,
    dloss: Float[Array, ""],
    *,
    options: Options,
) -> Float[Array, "*b k"]:
    """Equations (8) and (9); (2) and (3) again where many classes have mass."""
    kept, target, own, lse, n, m = residuals
    counts = _counts(target, options)
    push = 2 * options.z_loss * lse / m  # (8)
    if isinstance(kept, label_rows.LabelRows):
        paths = (own / n, push) if options.z_loss else (own / n,)
        rows = [jnp.where(counts, v * dloss, 0).ravel() for v in paths]
        dz = label_rows.backward(kept, *rows).reshape(*target.shape, -1)  # (9)
    else:
        dz = _dz_over_classes(kept, target, own, dloss / n, options)  # (9)
        if options.z_loss:
            dz = dz + once(dloss * push) * softmax(*kept)[0]  # (9)
    if options.ignore_index is not None:
        dz = jnp.where(counts, dz, 0)
    return dz.astype(dloss.dtype)


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
        label, known = columns(labels, len(class_weights))
        weights = jnp.where(known, jnp.array(class_weights, float)[label], 0)
    return _divisor(jnp.sum(jnp.where(counts, weights, 0.0)), reduction)  # (4)


def _check(logits, target, options) -> None:
    classes = options.class_weights
    if not jnp.issubdtype(target.dtype, jnp.floating):
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
    elif options.ignore_index is not None:
        raise ValueError(
            f"{WHO}: ignore_index must be None for soft targets, "
            f"got {options.ignore_index}"
        )
    if classes is not None and len(classes) != logits.shape[-1]:
        raise ValueError(
            f"{WHO}: class_weights must be {logits.shape[-1]} numbers, one a class, "
            f"got {len(classes)}"
        )


def _counts(target, options) -> Bool[Array, "*b 1"]:
    """Equation (1)."""
    if jnp.issubdtype(target.dtype, jnp.floating):
        return jnp.ones((*target.shape[:-1], 1), bool)  # (1)
    if options.ignore_index is None:
        return jnp.ones((*target.shape, 1), bool)  # (1)
    return (target.astype(int) != options.ignore_index)[..., None]  # (1)


def _own_weight(logits, target, options) -> Float[Array, "*b 1"] | None:
    """The weight of each row's label; NaN for no class, 0 for an ignored one.

    None: soft targets.
    """
    if jnp.issubdtype(target.dtype, jnp.floating):
        return None
    label, known = columns(target, logits.shape[-1])
    weight = jnp.ones(label.shape, wide(logits).dtype)
    if options.class_weights is not None:
        weight = jnp.array(options.class_weights, weight.dtype)[label]
    weight = jnp.where(known, weight, jnp.nan)[..., None]
    return jnp.where(_counts(target, options), weight, 0)


def _at_labels(logits, target, own, options) -> tuple:
    """Σ_k mass_bk logp_bk of one summand, lse and what is kept."""
    del options
    k = logits.shape[-1]
    label, _ = columns(target.ravel(), k)
    v, lse, kept = label_rows.forward(logits.reshape(-1, k), label)
    v, lse = v.reshape(own.shape), lse.reshape(own.shape)
    return -own * jnp.where(own == 0, 0, v), lse, kept


def _over_classes(logits, target, own, options) -> tuple:
    """Σ_k mass_bk logp_bk, lse and what is kept."""
    e, rows = exponentials(logits)
    mass, total = _mass(logits, target, own, options)
    terms = weighted_sum(mass, lambda: wide(logits) - once(rows.m)) - total * jnp.log1p(
        rows.s
    )  # (6)
    return terms, rows.lse, MassRows(e, rows.s)


def _dz_over_classes(kept, target, own, scale, options) -> Float[Array, "*b k"]:
    """The first summand of (9)."""
    target, own, scale = again(target, own, scale)
    mass, total = _mass(kept.e, target, own, options)
    p, rest = softmax(*kept)
    return once(scale) * (p * (total - mass) - mass * rest)  # (9)


def _mass(logits, target, own, options) -> tuple[Array, Array]:
    """Equations (2) and (3) of the rows that count, and the sum of a row."""
    dtype, part = wide(logits).dtype, options.label_smoothing
    w = None
    if options.class_weights is not None:
        w = jnp.array(options.class_weights, dtype)
        w = jnp.broadcast_to(w, logits.shape)
    if own is None:
        mass = wide(target) if w is None else wide(target) * w  # (2) (3)
    else:
        hit = lax.broadcasted_iota(int, logits.shape, logits.ndim - 1)
        hit = hit == target.astype(int)[..., None]
        mass = jnp.where(hit, own, 0 * own)  # (2) (3)
    if part:
        mass = (1 - part) * mass + part / logits.shape[-1] * (1 if w is None else w)
    if own is None:
        return mass, mass @ jnp.ones((logits.shape[-1], 1), dtype)
    classes = options.class_weights or (1.0,)
    return mass, (1 - part) * own + part * sum(classes) / len(classes)


def _divisor(total, reduction) -> Float[Array, ""]:
    """What the mean divides by; 1 for the sum, and where nothing counts."""
    return jnp.where((reduction == "sum") | (total == 0), 1, total)
