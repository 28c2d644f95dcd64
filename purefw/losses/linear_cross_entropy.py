"""A linear layer and softmax cross-entropy in one, whose logits are never stored.

b counts the B rows (any number of leading axes), i the inputs, k the K classes; y_b is
the label, r is 1 for the sum and 1/B for the mean.

    (1)  z_bk    = Σ_i x_bi weight_ik + bias_k
    (2)  loss    = r Σ_b (lse_b - z_{b y_b})             lse_b = m_b + log(1 + s_b)
    (3)  m_b     = max(m'_b, m''_b),
         s_b     = s'_b + exp(m''_b - m'_b) (1 + s''_b)      where m'_b ≥ m''_b

    (4)  dz_bk   = r (p_bk - [k = y_b]) dloss            p: the softmax of z
    (5)  dx_bi   = Σ_k dz_bk weight_ik
    (6)  dweight_ik = Σ_b x_bi dz_bk,  dbias_k = Σ_b dz_bk

m and s are the statistics of purefw.losses.reduction. (3) joins those of two sets of
classes: 1 + s = Σ_k exp(z_k - m), and the larger of the two maxima stays. (4): ∂lse_b/
∂z_bk = p_bk; at a row's largest z, where p may near 1, 1 - p keeps its digits. (5),
(6): (1) is bilinear.
Memory: with 16 thousand classes and a thousand rows z takes 67 MB, and autodiff holds
it twice. Here classes are taken in chunks of at most ENTRIES logits, or of CLASSES, in
forward for (2), in backward again for (4) to (6); between them live two floats a row.
(1) is so computed twice, four products of this size instead of three; measured on 2 CPU
cores, 1024 x 256 and 16384 classes, the time is 0.85 of autodiff's, the memory 0.06.
Chunks of rows would need no second (1), but add to all of dweight once a chunk: 1.05.
On other devices a chunk has up to ELSEWHERE logits: a GPU waits for the small products
of small chunks, 4.4 of autodiff's time on an H200 with the CPU's.
A label that is no class makes the loss NaN, its row of dx, dweight and dbias.
Invariant: rows of dz sum to 0, hence Σ_k dbias_k = 0.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Integer

from purefw.losses.labels import check_labels
from purefw.losses.reduction import (
    Reduction,
    RowStatistics,
    check_reduction,
    divisor,
    reduce,
    row_statistics,
    softmax,
    spread,
)
from purefw.rule import Loss
from purefw.shared.platform import on_cpu
from purefw.shared.precision import wide
from purefw.shared.recomputation import again_on_cpu, once

WHO = "linear_cross_entropy"
ENTRIES, CLASSES = 2**20, 256  # 4 MB of float32
ELSEWHERE = 2**26  # ENTRIES of other devices, 256 MB


class LinearScores(NamedTuple):
    """The prediction, and its cotangent: a linear layer that is not applied yet."""

    x: Float[Array, "*b i"]
    weight: Float[Array, "i k"]
    bias: Float[Array, " k"]


class LinearCrossEntropyResiduals(NamedTuple):
    """What `backward` needs: the arguments of forward, and two floats a row."""

    prediction: LinearScores
    target: Integer[Array, "*b"]
    rows: RowStatistics


def linear_cross_entropy(
    reduction: Reduction = "mean",
) -> Loss[LinearCrossEntropyResiduals]:
    """-log softmax(x weight + bias) of the label, without the array of all logits.

    Args:
        reduction: "mean" or "sum" over the rows.

    Returns:
        A loss on LinearScores with x of shape (..., i), weight (i, k), bias (k,), and
        integer labels of shape (...).

    Raises:
        ValueError: another reduction; in `forward`, shapes that do not fit, no row, or
            labels that are not integers.

    Example:
        >>> scores = LinearScores(jnp.ones((2, 3)), jnp.zeros((3, 4)), jnp.zeros(4))
        >>> linear_cross_entropy().forward(scores, jnp.array([0, 3]))[0].round(4)
        Array(1.3863, dtype=float32)
    """
    check_reduction(WHO, reduction)
    return Loss(
        name=WHO,
        forward=partial(forward, reduction=reduction),
        backward=partial(backward, reduction=reduction),
        divisor=partial(divisor, reduction=reduction),
    )


def forward(
    prediction: LinearScores, target: Integer[Array, "*b"], *, reduction: Reduction
) -> tuple[Float[Array, ""], LinearCrossEntropyResiduals]:
    """Equations (1) to (3)."""
    _check(prediction, target)
    x, labels = _rows(prediction.x), target.reshape(-1).astype(int)

    def join(rows, start, weight, bias):
        return _joined(rows, row_statistics(x @ weight + bias[None, :]))  # (1)

    nothing = jnp.full((len(x), 1), -jnp.inf, wide(x).dtype)
    first = RowStatistics(nothing, jnp.zeros_like(nothing))
    rows = _over_chunks(join, first, len(x), prediction)
    known = (labels >= 0) & (labels < prediction.weight.shape[1])
    label = jnp.where(known, labels, 0)
    own = (
        jnp.sum(x * prediction.weight.T[label], axis=1) + prediction.bias[label]
    )  # (1)
    terms = jnp.where(known, rows.lse[:, 0] - own, jnp.nan)
    loss = reduce(terms, reduction).astype(x.dtype)  # (2)
    return loss, LinearCrossEntropyResiduals(prediction, target, rows)


def backward(
    residuals: LinearCrossEntropyResiduals,
    dloss: Float[Array, ""],
    *,
    reduction: Reduction,
) -> LinearScores:
    """Equations (1) and (4) to (6)."""
    (prediction, target, rows), dloss = again_on_cpu(residuals, dloss)
    x, labels = _rows(prediction.x), target.reshape(-1).astype(int)
    known = (labels >= 0) & (labels < prediction.weight.shape[1])
    r = jnp.where(known, spread(dloss, len(x), reduction), jnp.nan)[:, None]

    def add(sums, start, weight, bias):
        dx, dweight, dbias = sums
        z = x @ weight + bias[None, :]  # (1)
        p, rest = softmax(jnp.exp(wide(z) - rows.m), rows.s)
        place = lax.broadcasted_iota(int, z.shape, 1) + jnp.asarray(start, int)
        dz = r * jnp.where(place == labels[:, None], -rest, p)  # (4)
        dz = once(dz.astype(z.dtype))
        dweight = lax.dynamic_update_slice(dweight, x.T @ dz, (0, start))  # (6)
        dbias = lax.dynamic_update_slice(dbias, jnp.sum(dz, axis=0), (start,))  # (6)
        return dx + dz @ weight.T, dweight, dbias  # (5)

    zeros = jax.tree.map(jnp.zeros_like, (x, prediction.weight, prediction.bias))
    dx, dweight, dbias = _over_chunks(add, zeros, len(x), prediction)
    return LinearScores(dx.reshape(prediction.x.shape), dweight, dbias)


def _over_chunks(f: Callable, carry: Any, rows: int, prediction: LinearScores) -> Any:
    """f(carry, first class, weight, bias) from chunk to chunk of the classes."""
    _, weight, bias = prediction
    classes = len(bias)
    entries = ENTRIES if on_cpu() else ELSEWHERE
    size = min(max(entries // rows, CLASSES), classes)

    def one(i, carry):
        w = lax.dynamic_slice_in_dim(weight, i * size, size, axis=1)
        return f(carry, i * size, w, lax.dynamic_slice_in_dim(bias, i * size, size))

    if size == classes:
        return f(carry, 0, weight, bias)
    carry = lax.fori_loop(0, classes // size, one, carry)
    start = classes // size * size
    if start < classes:
        carry = f(carry, start, weight[:, start:], bias[start:])
    return carry


def _joined(a: RowStatistics, b: RowStatistics) -> RowStatistics:
    """Equation (3)."""
    m = jnp.maximum(a.m, b.m)
    first = a.s + jnp.exp(b.m - m) * (1 + b.s)
    second = b.s + jnp.exp(a.m - m) * (1 + a.s)
    return RowStatistics(m, jnp.where(a.m >= b.m, first, second))  # (3)


def _rows(x: Float[Array, "*b i"]) -> Float[Array, "c i"]:
    return x.reshape(-1, x.shape[-1])


def _check(prediction: LinearScores, target: Array) -> None:
    x, weight, bias = prediction
    fits = weight.ndim == 2 and bias.shape == weight.shape[1:]
    if not fits or x.ndim < 1 or x.shape[-1] != weight.shape[0]:
        raise ValueError(
            f"{WHO}: x, weight and bias must have shapes (..., i), (i, k) and (k,), "
            f"got {x.shape}, {weight.shape} and {bias.shape}"
        )
    check_labels(WHO, "x", x, target)
