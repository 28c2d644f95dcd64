"""What the losses share: reductions, checks of arguments, forms without overflow.

e counts entries, k the entries of the last axis. A loss reduces n summands v_e:

    (1)  loss   = r Σ_e v_e                            r = 1 (sum) or 1/n (mean)
    (2)  dv_e   = r dloss

The logarithm of the softmax, with a the place of a largest logit of the row:

    (3)  tail   = log(1 + Σ_{k≠a} exp(z_k - z_a))
    (4)  logp_k = (z_k - z_a) - tail                   lse = z_a + tail

(3): lse = log Σ_k exp z_k = z_a + log Σ_k exp(z_k - z_a), and summand a of the last sum
is exp 0 = 1. Kept apart as the 1 of log1p, it hides no small summand: where p_a nears
1, log p_a = -tail keeps its digits, and so does 1 - p_k = -expm1(logp_k).

The length and the direction of a row, with m its largest |v_k|:

    (5)  norm   = m sqrt(Σ_k (v_k/m)²)                 unit_k = v_k / norm

(5): dividing by m first keeps the squares within [0, 1]. A row of zeros has norm 0, and
unit 0 by convention.
"""

from typing import Literal

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Shaped

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


def softplus(x: Float[Array, "*e"]) -> Float[Array, "*e"]:
    """log(1 + exp x), which is -log of the sigmoid of -x, without overflow."""
    return jnp.maximum(x, 0) + jnp.log1p(jnp.exp(-magnitude(x)))


def log_softmax(
    z: Float[Array, "*b k"],
) -> tuple[Float[Array, "*b k"], Float[Array, "*b"]]:
    """Equations (3) and (4): logp and lse. A row of -inf alone gives NaN."""
    a = jnp.argmax(z, axis=-1, keepdims=True)
    place = lax.broadcasted_iota(a.dtype, z.shape, z.ndim - 1)
    # At a exactly 0, or NaN: where XLA contracts the subtraction with a product that
    # made z, z_a - z_a is what z_a was rounded by, 1e-6 in float32 at z = 30.
    centred = jnp.where(place == a, 0 * z, z - jnp.take_along_axis(z, a, axis=-1))
    others = jnp.where(place == a, 0, jnp.exp(centred))
    tail = jnp.log1p(jnp.sum(others, axis=-1, keepdims=True))  # (3)
    lse = jnp.take_along_axis(z, a, axis=-1) + tail  # (4)
    return centred - tail, lse[..., 0]  # (4)


def direction(
    v: Float[Array, "*b k"],
) -> tuple[Float[Array, "*b k"], Float[Array, "*b 1"]]:
    """Equation (5): unit and norm."""
    m = jnp.max(jnp.abs(v), axis=-1, keepdims=True)
    zero = m == 0
    scaled = v / jnp.where(zero, 1, m)
    root = jnp.sqrt(jnp.where(zero, 1, jnp.sum(scaled**2, axis=-1, keepdims=True)))
    unit, norm = scaled / root, m * root  # (5)
    return jnp.where(zero, 0, unit), jnp.where(zero, 0, norm)
