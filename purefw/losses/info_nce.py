"""InfoNCE: each query must find its own key among all keys of the batch.

i counts the B queries, j the B keys, d the features; key i belongs to query i; r is 1
for the sum and 1/B for the mean.

    (1)  s_ij    = Σ_d query_id key_jd / temperature
    (2)  logp_ij = log p_ij                   p: the softmax over j of s_ij
    (3)  loss    = -r Σ_i logp_ii
    (4)  ds_ij   = r (p_ij - [i = j]) dloss
    (5)  dquery_id = Σ_j ds_ij key_jd / temperature
    (6)  dkey_jd   = Σ_i ds_ij query_id / temperature

(4): ∂logp_ii/∂s_ij = [i = j] - p_ij. On the diagonal 1 - p keeps its digits
where p nears 1: purefw.losses.reduction. (5), (6): s is bilinear in query and key.
Limits: with one row there is nothing to tell apart: loss 0 and gradient 0.
Invariants: rows of ds sum to 0; adding one vector to all keys changes nothing, hence
Σ_j dkey_jd = 0.
Convention: plain inner products, one direction (queries look for keys). Normalise the
rows before it for cosine similarities.

Precision: with 16-bit rows s is computed and kept in float32. At a temperature of 0.1
its rounding to bfloat16 alone made dquery 12 times as inexact as autodiff's, whose
program XLA rounds less often than it is written.

Reference: van den Oord, Li and Vinyals, "Representation Learning with Contrastive
Predictive Coding", 2018, arXiv:1807.03748.
"""

from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from purefw.losses.reduction import (
    Reduction,
    RowStatistics,
    check_positive,
    check_reduction,
    log_softmax,
    reduce,
    row_statistics,
    softmax,
    spread,
)
from purefw.rule import Loss
from purefw.shared.precision import wide
from purefw.shared.recomputation import again


class Pairs(NamedTuple):
    """The prediction, and its cotangent: a query and its key in each row."""

    query: Float[Array, "b d"]
    key: Float[Array, "b d"]


class InfoNCEResiduals(NamedTuple):
    """What `backward` needs: the prediction, and one array of rows times rows."""

    pairs: Pairs
    s: Float[Array, "b b"]
    rows: RowStatistics


def info_nce(
    reduction: Reduction = "mean", *, temperature: float = 0.1
) -> Loss[InfoNCEResiduals]:
    """Cross-entropy of finding one's own key, for contrastive learning.

    Args:
        reduction: "mean" or "sum" over the rows.
        temperature: Divides the similarities. Above 0.

    Returns:
        A loss on `Pairs` of two arrays of one shape (b, d); the target is not read:
        pass ().

    Raises:
        ValueError: another reduction, temperature ≤ 0; in `forward`, shapes that
            differ, are empty or have not two axes.

    Example:
        >>> pairs = Pairs(jnp.eye(2), jnp.eye(2))
        >>> info_nce(temperature=1.0).forward(pairs, ())[0]
        Array(0.313..., dtype=float32)
    """
    check_reduction("info_nce", reduction)
    check_positive("info_nce", "temperature", temperature)
    return Loss(
        name="info_nce",
        forward=partial(forward, reduction=reduction, temperature=temperature),
        backward=partial(backward, reduction=reduction, temperature=temperature),
    )


def forward(
    prediction: Pairs, target: None | tuple, *, reduction: Reduction, temperature: float
) -> tuple[Float[Array, ""], InfoNCEResiduals]:
    """Equations (1) to (3)."""
    del target
    query, key = prediction
    if query.ndim != 2 or query.size == 0 or key.shape != query.shape:
        raise ValueError(
            "info_nce: query and key must have one shape (b, d) and not be empty, "
            f"got {query.shape} and {key.shape}"
        )
    s = wide(query) @ wide(key).T / temperature  # (1)
    rows = row_statistics(s)
    logp = log_softmax(jnp.diagonal(s)[:, None], rows)  # (2)
    loss = reduce(-logp[:, 0].astype(query.dtype), reduction)  # (3)
    return loss, InfoNCEResiduals(Pairs(query, key), s, rows)


def backward(
    residuals: InfoNCEResiduals,
    dloss: Float[Array, ""],
    *,
    reduction: Reduction,
    temperature: float,
) -> Pairs:
    """Equations (4) to (6)."""
    ((query, key), s, rows), dloss = again(residuals, dloss)
    p, rest = softmax(jnp.exp(s - rows.m), rows.s)
    r = spread(dloss, len(s), reduction)
    ds = r * jnp.where(jnp.eye(len(s), dtype=bool), -rest, p) / temperature  # (4)
    dquery, dkey = ds @ wide(key), ds.T @ wide(query)  # (5), (6)
    return Pairs(dquery.astype(query.dtype), dkey.astype(key.dtype))
