"""What the losses share: reductions, checks of arguments, forms without overflow.

e counts entries, k the entries of the last axis. A loss reduces n summands v_e:

    (1)  loss   = r Σ_e v_e                            r = 1 (sum) or 1/n (mean)
    (2)  dv_e   = r dloss

The softmax of a row and its logarithm, with m_b the row's largest logit:

    (3)  s_b     = Σ_{k: z_bk < m_b} exp(z_bk - m_b) + (number of k with z_bk = m_b) - 1
    (4)  lse_b   = m_b + log(1 + s_b)           logp_bk = (z_bk - m_b) - log(1 + s_b)
    (5)  p_bk    = exp(z_bk - m_b) / (1 + s_b)
    (6)  1 - p_bk = s_b / (1 + s_b) where z_bk = m_b

(3): Σ_k exp z_k = exp m Σ_k exp(z_k - m), and one of the largest gives exp 0 = 1. Kept
apart from s it hides no small summand: where the largest p nears 1, log p = -log(1 + s)
and (6) keep their digits. Elsewhere p ≤ 1/2, and 1 - p needs no care. With u = min(z -
m, 0) the conditions of (3) are factors: -sign u is 1 below the largest and 0 at it. A
product is summed as it is formed, where a choice would be written to memory before, and
a search for the place of the maximum takes ten times as long as the sum.

The length and the direction of a row, with m its largest |v_k|:

    (7)  norm   = m sqrt(Σ_k (v_k/m)²)                 unit_k = v_k / norm

(7): dividing by m first keeps the squares within [0, 1]. A row of zeros has norm 0, and
unit 0 by convention.
"""

from typing import Literal, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from purefw.precision import wide
from purefw.recomputation import once

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
    """|x|, in a form whose derivative at 0 is sign 0 = 0; that of jnp.abs is 1."""
    return jnp.sign(x) * x


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
    m = once(jnp.max(wide(z), axis=-1, keepdims=True))
    u = jnp.minimum(wide(z) - m, 0)
    below = jnp.sum(-jnp.sign(u) * jnp.exp(u), axis=-1, keepdims=True)
    largest = z.shape[-1] + jnp.sum(jnp.sign(u), axis=-1, keepdims=True)
    return RowStatistics(m, once(below + (largest - 1)))  # (3)


def log_softmax(z: Float[Array, "*b k"], rows: RowStatistics) -> Float[Array, "*b k"]:
    """Equation (4)."""
    return jnp.minimum(wide(z) - rows.m, 0) - jnp.log1p(rows.s)  # (4)


def softmax(
    z: Float[Array, "*b k"], rows: RowStatistics
) -> tuple[Float[Array, "*b k"], Float[Array, "*b k"]]:
    """Equations (5) and (6): p and 1 - p."""
    share = once(1 / (1 + rows.s))
    p = jnp.exp(jnp.minimum(wide(z) - rows.m, 0)) * share  # (5)
    return p, jnp.where(wide(z) == rows.m, rows.s * share, 1 - p)  # (6)


def direction(
    v: Float[Array, "*b k"],
) -> tuple[Float[Array, "*b k"], Float[Array, "*b 1"]]:
    """Equation (7): unit and norm."""
    m = jnp.max(jnp.abs(v), axis=-1, keepdims=True)
    zero = m == 0
    scaled = v / jnp.where(zero, 1, m)
    root = jnp.sqrt(jnp.where(zero, 1, jnp.sum(scaled**2, axis=-1, keepdims=True)))
    unit, norm = scaled / root, m * root  # (7)
    return jnp.where(zero, 0, unit), jnp.where(zero, 0, norm)
