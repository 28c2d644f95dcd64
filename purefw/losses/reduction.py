"""What the losses share: reductions, checks of arguments, forms without overflow.

e counts entries, k the entries of the last axis. A loss reduces n summands v_e:

    (1)  loss   = r Σ_e v_e                            r = 1 (sum) or 1/n (mean)
    (2)  dv_e   = r dloss

The softmax of a row and its logarithm, with m_b the row's largest logit:

    (3)  s_b     = Σ_k (e_bk - ⌊e_bk⌋) + (Σ_k ⌊e_bk⌋ - 1)         e_bk = exp(z_bk - m_b)
    (4)  lse_b   = m_b + log(1 + s_b)           logp_bk = (z_bk - m_b) - log(1 + s_b)
    (5)  p_bk    = exp(z_bk - m_b) / (1 + s_b)
    (6)  1 - p_bk = (s_b + (1 - e_bk)) / (1 + s_b)

(3): Σ_k exp z_k = exp m Σ_k e_k, and one of the largest gives 1. Kept apart from s it
hides no small summand: where the largest p nears 1, log p = -log(1 + s) and (6) keep
their digits, being sums of what is not negative. e is at most 1, so ⌊e⌋ counts
those that are 1. A sum of what XLA computes without a choice is formed as it is summed;
a choice is written to memory before, at the size of the array, and so is a number that
another loop of the program uses, too (jax 0.10 on a CPU). Hence maxima where others
choose, and numbers that a backward takes through purefw.shared.recomputation.again.

A mean whose weights may be 0 where its values are infinite, with 0 ∞ = 0:

    (8)  sum_b  = Σ_k w_bk Σ_i v_ibk          = Σ_k w_bk Σ_i clip(v_ibk, ±W_bk)
         W_bk   = 0 where w_bk = 0, else ∞

The length of a row, with m its largest |v_k|, and 0 of a row of zeros:

    (7)  norm   = sqrt(Σ_k v_k²) = m sqrt(Σ_k (v_k/m)²)

(7): the second form keeps the squares within [0, 1], and takes two passes more. The
first serves as long as its sum has neither overflowed nor come near to underflow.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Shaped

from purefw.shared.precision import wide
from purefw.shared.recomputation import once

Reduction = Literal["mean", "sum"]


def check_reduction(who: str, reduction: str) -> None:
    """Raise ValueError unless `reduction` is one of the two."""
    if reduction not in ("mean", "sum"):
        raise ValueError(f"{who}: reduction must be 'mean' or 'sum', got {reduction!r}")


def check_positive(who: str, name: str, value: float) -> None:
    """Raise ValueError unless `value` is above zero."""
    if not value > 0:
        raise ValueError(f"{who}: {name} must be positive, got {value}")


def check_same_shape(who: str, prediction: Array, target: Array) -> None:
    """Raise ValueError unless the two have one shape and at least one entry."""
    if prediction.shape != target.shape:
        raise ValueError(
            f"{who}: target must have the prediction's shape {prediction.shape}, "
            f"got {target.shape}"
        )
    if prediction.size == 0:
        raise ValueError(
            f"{who}: prediction must not be empty, got shape {prediction.shape}"
        )


def check_rows(who: str, prediction: Array) -> None:
    """Raise ValueError unless `prediction` has a last axis, and entries."""
    if prediction.ndim == 0 or prediction.size == 0:
        raise ValueError(
            f"{who}: prediction must have shape (..., k) and not be empty, "
            f"got shape {prediction.shape}"
        )


def reduce(v: Float[Array, "*e"], reduction: Reduction) -> Float[Array, ""]:
    """Equation (1)."""
    return jnp.mean(v) if reduction == "mean" else jnp.sum(v)  # (1)


def spread(dloss: Float[Array, ""], n: int, reduction: Reduction) -> Float[Array, ""]:
    """Equation (2): the cotangent of each of the n summands."""
    return dloss / n if reduction == "mean" else dloss  # (2)


def divisor(target: Shaped[Array, "..."], *, reduction: Reduction) -> Float[Array, ""]:
    """`Loss.divisor` of a loss in which all entries of the target count alike."""
    return jnp.array(target.size if reduction == "mean" else 1, float)


def magnitude(x: Float[Array, "*e"]) -> Float[Array, "*e"]:
    """|x|, whose derivative at 0 is half of each side's, 0; that of jnp.abs is 1."""
    return jnp.maximum(x, -x)


def nan_unless_units(t: Float[Array, "*e"]) -> Float[Array, ""]:
    """0 where every |t_e| is 1, else NaN, without a choice in the sum.

    Example:
        >>> nan_unless_units(jnp.array([1.0, -1.0])), nan_unless_units(jnp.zeros(2))
        (Array(-0., dtype=float32), Array(nan, dtype=float32))
    """
    apart = t * t - 1
    return jnp.sqrt(-jnp.sum(apart * apart))


def weighted(w: Float[Array, "*e"], v: Float[Array, "*e"]) -> Float[Array, "*e"]:
    """w v with 0 for w = 0 and v = -∞, for w ≥ 0 and v ≤ 0: one entry of (8).

    Of most most, if XLA saw the numbers, it would make ∞, and NaN of 0 ∞.
    """
    most = once(jnp.asarray(jnp.finfo(w.dtype).max, w.dtype))
    return w * jnp.maximum(v, -w * most * most)


def total(terms: Float[Array, "*e"]) -> Float[Array, ""]:
    """Their sum, as a product with ones: the terms are then formed in one loop before.

    For terms that need choices or numbers; see (3).
    """
    rows = terms.reshape(-1, terms.shape[-1] if terms.ndim else 1)
    return jnp.sum(rows @ jnp.ones(rows.shape[1], terms.dtype))


def weighted_sum(
    w: Float[Array, "*b k"], *values: Callable[[], Float[Array, "*b k"]]
) -> Float[Array, "*b 1"]:
    """Equation (8), in float32 for 16 bits; the clipped form only where it is needed.

    The values come as functions: what is computed before a branch is stored for it.

    Example:
        >>> weighted_sum(jnp.array([0.0, 0.5]), lambda: jnp.array([-jnp.inf, 3.0]))
        Array([1.5], dtype=float32)
    """

    def plain():
        return jnp.sum(wide(w) * sum(wide(v()) for v in values), -1, keepdims=True)

    def clipped():
        most = once(jnp.full_like(total, jnp.finfo(total.dtype).max))
        edge = jnp.abs(wide(w)) * most * most  # Overflows but for 0.
        inside = (jnp.maximum(jnp.minimum(wide(v()), edge), -edge) for v in values)
        return jnp.sum(wide(w) * sum(inside), axis=-1, keepdims=True)  # (8)

    total = plain()  # (8)
    return lax.cond(jnp.any(jnp.isnan(total)), clipped, lambda: total)


class RowStatistics(NamedTuple):
    """Of each row: the largest logit and s of (3)."""

    m: Float[Array, "*b 1"]
    s: Float[Array, "*b 1"]

    @property
    def lse(self) -> Float[Array, "*b 1"]:
        """log Σ_k exp z_k; equation (4)."""
        return self.m + jnp.log1p(self.s)  # (4)


def row_statistics(z: Float[Array, "*b k"]) -> RowStatistics:
    """Equation (3), in float32 for 16 bits; NaN for a row of -inf alone."""
    return exponentials(z)[1]


def exponentials(
    z: Float[Array, "*b k"],
) -> tuple[Float[Array, "*b k"], RowStatistics]:
    """e and the statistics of (3), for those who keep e."""
    m = jnp.max(wide(z), axis=-1, keepdims=True)
    e = jnp.exp(wide(z) - m)  # (3)
    below = jnp.sum(e - jnp.floor(e), axis=-1, keepdims=True)
    largest = jnp.sum(jnp.floor(e), axis=-1, keepdims=True)
    return e, RowStatistics(m, below + (largest - 1))  # (3)


def log_softmax(z: Float[Array, "*b k"], rows: RowStatistics) -> Float[Array, "*b k"]:
    """Equation (4)."""
    return wide(z) - rows.m - jnp.log1p(rows.s)  # (4)


def softmax(
    e: Float[Array, "*b k"], s: Float[Array, "*b 1"]
) -> tuple[Float[Array, "*b k"], Float[Array, "*b k"]]:
    """Equations (5) and (6): p and 1 - p."""
    share = once(1 / (1 + s))
    return e * share, (s + (1 - e)) * share  # (5) (6)


def safe(square: Float[Array, "*b 1"]) -> Bool[Array, ""]:
    """Whether the first form of (7) serves for every row."""
    limits = jnp.finfo(square.dtype)
    return jnp.all((square > limits.tiny / limits.eps**2) & (square < limits.max))


def norm(v: Callable[[], Float[Array, "*b k"]]) -> Float[Array, "*b 1"]:
    """Equation (7) of what v returns; see `weighted_sum` for why it is a function."""
    square = jnp.sum(v() * v(), axis=-1, keepdims=True)  # (7)
    return lax.cond(safe(square), lambda: jnp.sqrt(square), lambda: scaled_norm(v()))


def scaled_norm(v: Float[Array, "*b k"]) -> Float[Array, "*b 1"]:
    """The second form of (7)."""
    m = jnp.max(jnp.abs(v), axis=-1, keepdims=True)
    scaled = v / jnp.where(m == 0, 1, m)
    square = jnp.sum(scaled * scaled, axis=-1, keepdims=True)
    return m * jnp.sqrt(jnp.where(m == 0, 1, square))  # (7)


def inverse(norm: Float[Array, "*b 1"]) -> Float[Array, "*b 1"]:
    """1 / norm, and 0 for 0: what makes a row a direction, or nothing."""
    return jnp.where(norm == 0, 0, 1 / jnp.where(norm == 0, 1, norm))
