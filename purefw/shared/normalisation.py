"""Centre and scale a set of numbers: what layer, batch, group and instance norm share.

i, j count the n entries of a set that is normalised together: a row for layer norm, all
entries of a channel for batch norm. Sets do not mix, so the equations are for one set.

    (1)  mean   = 1/n Σ_i x_i
    (2)  s      = (1/n Σ_i (x_i - mean)² + eps)^(-1/2)
    (3)  xhat_i = s (x_i - mean)

    (4)  dx_i   = s (dxhat_i - 1/n Σ_j dxhat_j - xhat_i 1/n Σ_j dxhat_j xhat_j)

(4) in three steps. The variance v = 1/n Σ_i (x_i - mean)² has ∂v/∂x_j = 2/n (x_j -
mean): the path through mean inside v is -2/n Σ_i (x_i - mean) ∂mean/∂x_j, and that sum
is identically zero. Hence ∂s/∂x_j = -1/2 s³ ∂v/∂x_j = -s² xhat_j / n. By the product
rule on (3), ∂xhat_i/∂x_j = s (δ_ij - 1/n) + (x_i - mean) ∂s/∂x_j = s (δ_ij - 1/n -
xhat_i xhat_j / n). This is symmetric in i and j, so applying it to dxhat gives (4),
whose summands are the direct, the mean and the variance path.

Invariants: adding a constant to a set leaves xhat alone, hence Σ_i dx_i = 0.
Multiplying it by a positive constant does so up to eps, hence Σ_i x_i dx_i = eps s² Σ_i
dxhat_i xhat_i.
Limit: a constant set has xhat = 0 and s = eps^(-1/2); dx is then large, not undefined.
Precision: the mean is taken off before squaring, because 1/n Σ x² - mean² loses all
digits where the mean is large. 16-bit x is computed in float32 and rounded once; xhat
is recomputed from x in the backward pass, so that no rounded xhat is kept.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Key

from purefw.shared.platform import on_cpu
from purefw.shared.precision import wide
from purefw.shared.recomputation import once
from purefw.shared.sizes import check_sizes


class Statistics(NamedTuple):
    """Of each set; the reduced axes have length 1. float32 where x has 16 bits."""

    mean: Float[Array, "*r"]
    s: Float[Array, "*r"]


class NormParams(NamedTuple):
    """The affine map after a norm, one pair a feature."""

    scale: Float[Array, " c"]
    bias: Float[Array, " c"]


class NormResiduals(NamedTuple):
    """What `backward` needs: x and params, alive anyway; two floats a set."""

    x: Float[Array, "*x"]
    stats: Statistics
    params: NormParams


def init_norm(key: Key[Array, ""], *, features: int) -> NormParams:
    """Scale one and bias zero, so that y starts as xhat; nothing random."""
    del key
    return NormParams(scale=jnp.ones(features), bias=jnp.zeros(features))


def statistics(
    x: Float[Array, "*x"], axes: tuple[int, ...], eps: float
) -> tuple[Statistics, Float[Array, "*r"]]:
    """Equations (1) and (2) over the given axes, and the variance."""
    x = wide(x)
    mean = once(jnp.mean(x, axis=axes, keepdims=True))  # (1)
    var = jnp.mean((x - mean) ** 2, axis=axes, keepdims=True)
    return Statistics(mean, once(lax.rsqrt(var + eps))), var  # (2)


def normalise(x: Float[Array, "*x"], stats: Statistics) -> Float[Array, "*x"]:
    """Equation (3), in float32 where x has 16 bits."""
    return stats.s * (wide(x) - stats.mean)  # (3)


def over_features(
    v: Float[Array, "*b n"], scale: Float[Array, " n"]
) -> Float[Array, "*b 1"]:
    """Σ_i v_bi scale_i of each row.

    On a CPU a product, because XLA's loops there add one number after the other;
    elsewhere a sum, which joins the loop that makes v.
    """
    if on_cpu():
        rows = v.reshape(-1, scale.size) @ scale
        return rows.reshape(*v.shape[:-1], 1)
    return jnp.sum(v * jnp.broadcast_to(scale, v.shape), axis=-1, keepdims=True)


def paths(
    xhat: Float[Array, "*x"], dxhat: Float[Array, "*x"], axes: tuple[int, ...]
) -> dict[str, Float[Array, "..."]]:
    """The summands in the bracket of (4), by name."""
    return {
        "direct": dxhat,
        "mean": -once(jnp.mean(dxhat, axis=axes, keepdims=True)),
        "variance": -xhat * once(jnp.mean(dxhat * xhat, axis=axes, keepdims=True)),
    }


def normalise_dx(
    xhat: Float[Array, "*x"],
    dxhat: Float[Array, "*x"],
    s: Float[Array, "*r"],
    axes: tuple[int, ...],
) -> Float[Array, "*x"]:
    """Equation (4)."""
    path = paths(xhat, dxhat, axes)
    return s * (path["direct"] + path["mean"] + path["variance"])  # (4)


def normalise_terms(
    xhat: Float[Array, "*x"],
    dxhat: Float[Array, "*x"],
    s: Float[Array, "*r"],
    axes: tuple[int, ...],
) -> dict[str, Float[Array, "*x"]]:
    """The summands of (4), each of the shape of x."""
    return {
        name: s * jnp.broadcast_to(path, xhat.shape)
        for name, path in paths(xhat, dxhat, axes).items()
    }


def check_norm(who: str, features: int, eps: float) -> None:
    """Raise ValueError unless there is a feature and eps is positive."""
    check_sizes(who, features=features)
    if not eps > 0:
        raise ValueError(f"{who}: eps must be positive, got {eps}")
