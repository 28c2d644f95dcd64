"""Linear layer with its weight split into direction and length.

b counts rows (any number of leading axes, flattened); i, j the n_in inputs, o the n_out
outputs. Each column of direction has a length of its own, which the layer divides out.

    (1)  norm_o      = (Σ_i direction_io²)^(1/2)
    (2)  unit_io     = direction_io / norm_o
    (3)  weight_io   = gain_o unit_io
    (4)  y_bo        = Σ_i x_bi weight_io + bias_o

    (5)  dx_bi       = Σ_o dy_bo weight_io
    (6)  dweight_io  = Σ_b x_bi dy_bo                 dbias_o = Σ_b dy_bo
    (7)  dgain_o     = Σ_i dweight_io unit_io
    (8)  ddirection_io = gain_o / norm_o (dweight_io - unit_io Σ_j dweight_jo unit_jo)

(5), (6): as in the linear layer. (7): (3) is linear in gain. (8): dunit = gain dweight
by (3); ∂norm/∂direction_j = unit_j by (1), hence by the quotient rule on (2)
∂unit_i/∂direction_j = (δ_ij - unit_i unit_j) / norm, which is symmetric. By (7) the sum
in (8) is dgain_o. Its summands are the direct path and that through the norm.
Invariants: the length of direction does not matter, hence Σ_i direction_io
ddirection_io = 0: a gradient step can only lengthen it. gain_o is the length of column
o of weight.
Limit: a column of zeros has no direction; the rule gives unit = 0 and ddirection = 0
there, where autodiff and torch give NaN.
Precision: 16-bit arrays are computed in float32 and each result is rounded once. norm
overflows where the sum of squares does: in float32 for entries of about 1e19.

Reference: Salimans and Kingma, "Weight normalization", 2016, arXiv:1602.07868.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from purefw.rule import Rule
from purefw.shared.precision import wide
from purefw.shared.sizes import check_sizes


class WeightNormParams(NamedTuple):
    """Direction and length of the columns of the weight, and the bias."""

    direction: Float[Array, "n_in n_out"]
    gain: Float[Array, " n_out"]
    bias: Float[Array, " n_out"]


class WeightNormResiduals(NamedTuple):
    """What `backward` needs: the input and the parameters, no copies."""

    x: Float[Array, "*b n_in"]
    params: WeightNormParams


def weight_norm(n_in: int, n_out: int) -> Rule[WeightNormParams, WeightNormResiduals]:
    """Map the last axis from n_in to n_out by a weight of normalised columns.

    Args:
        n_in: Width of x. At least 1.
        n_out: Width of y. At least 1.

    Returns:
        A rule on x of shape (..., n_in). Its residuals hold x and the parameters; the
        weight is formed again in the backward pass.

    Raises:
        ValueError: a width is not positive, or `forward` gets x of another width.

    Example:
        >>> rule = weight_norm(3, 2)
        >>> params = rule.init(jax.random.key(0))
        >>> rule.apply(params, jnp.ones((5, 3))).shape
        (5, 2)
    """
    check_sizes("weight_norm", n_in=n_in, n_out=n_out)
    return Rule(
        name="weight_norm",
        init=partial(init, n_in=n_in, n_out=n_out),
        forward=forward,
        backward=backward,
        terms=terms,
    )


def init(key: Key[Array, ""], *, n_in: int, n_out: int) -> WeightNormParams:
    """Direction N(0, 1/n_in) and gain its length, as for a linear layer; bias zero."""
    direction = jax.random.normal(key, (n_in, n_out)) / n_in**0.5
    gain = jnp.sqrt(jnp.sum(direction**2, axis=0))
    return WeightNormParams(direction, gain, jnp.zeros(n_out))


def forward(
    params: WeightNormParams, x: Float[Array, "*b n_in"]
) -> tuple[Float[Array, "*b n_out"], WeightNormResiduals]:
    """Equations (1) to (4)."""
    n_in = params.direction.shape[0]
    if x.ndim < 1 or x.shape[-1] != n_in:
        raise ValueError(f"weight_norm: x must have shape (..., {n_in}), got {x.shape}")
    unit, _ = _unit_and_inverse_norm(params)
    product = wide(x) @ (wide(params.gain)[None, :] * unit)  # (3), (4)
    y = product + jnp.broadcast_to(wide(params.bias), product.shape)  # (4)
    return y.astype(x.dtype), WeightNormResiduals(x, params)


def backward(
    residuals: WeightNormResiduals, dy: Float[Array, "*b n_out"]
) -> tuple[WeightNormParams, Float[Array, "*b n_in"]]:
    """Equations (5) to (8)."""
    x, params = residuals
    unit, _ = _unit_and_inverse_norm(params)
    weight = wide(params.gain)[None, :] * unit  # (3)
    dx = wide(dy) @ weight.T  # (5)
    dbias = jnp.sum(wide(dy).reshape(-1, dy.shape[-1]), axis=0)  # (6)
    dweight = _dweight(x, dy)
    dgain = jnp.sum(dweight * unit, axis=0)  # (7)
    factor, direct, path = _direction_paths(params, dweight)
    ddirection = factor * (direct + path)  # (8)
    dparams = WeightNormParams(ddirection, dgain, dbias)
    return jax.tree.map(lambda d, v: d.astype(v.dtype), (dparams, dx), (params, x))


def terms(
    residuals: WeightNormResiduals, dy: Float[Array, "*b n_out"]
) -> dict[str, dict[str, Float[Array, "n_in n_out"]]]:
    """The summands of (8): "direct" and "norm"; float32 for 16-bit arrays."""
    x, params = residuals
    factor, direct, path = _direction_paths(params, _dweight(x, dy))
    return {"dparams.direction": {"direct": factor * direct, "norm": factor * path}}


def _unit_and_inverse_norm(
    params: WeightNormParams,
) -> tuple[Float[Array, "n_in n_out"], Float[Array, "1 n_out"]]:
    direction = wide(params.direction)
    norm = jnp.sqrt(jnp.sum(direction**2, axis=0, keepdims=True))  # (1)
    inverse = jnp.where(norm > 0, 1 / jnp.where(norm > 0, norm, 1), 0)
    return direction * inverse, inverse  # (2)


def _dweight(
    x: Float[Array, "*b n_in"], dy: Float[Array, "*b n_out"]
) -> Float[Array, "n_in n_out"]:
    rows, drows = (wide(v).reshape(-1, v.shape[-1]) for v in (x, dy))
    return rows.T @ drows  # (6)


def _direction_paths(params: WeightNormParams, dweight: Float[Array, "n_in n_out"]):
    unit, inverse = _unit_and_inverse_norm(params)
    along = jnp.sum(dweight * unit, axis=0, keepdims=True)
    return wide(params.gain)[None, :] * inverse, dweight, -unit * along
