"""An affine map of the last axis and its cotangents, for rules that contain several.

b counts rows (any number of leading axes, flattened), i the inputs, o the outputs.

    (1)  y_bo       = Σ_i x_bi weight_io + bias_o

    (2)  dx_bi      = Σ_o dy_bo weight_io
    (3)  dweight_io = Σ_b x_bi dy_bo
    (4)  dbias_o    = Σ_b dy_bo

derived in purefw.layers.linear. Summing over all axes but the last makes (3) one
product however many steps or heads there are.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key


class Affine(NamedTuple):
    """The map; `bias` is None for one without."""

    weight: Float[Array, "i o"]
    bias: Float[Array, " o"] | None


def init_affine(key: Key[Array, ""], n_in: int, n_out: int, bias: bool) -> Affine:
    """Weight N(0, 1/n_in); bias zero."""
    weight = jax.random.normal(key, (n_in, n_out)) / n_in**0.5
    return Affine(weight, jnp.zeros(n_out) if bias else None)


def affine(params: Affine, x: Float[Array, "*b i"]) -> Float[Array, "*b o"]:
    """Equation (1)."""
    y = x @ params.weight  # (1)
    if params.bias is None:
        return y
    return y + jnp.broadcast_to(params.bias, y.shape)  # (1)


def affine_backward(
    params: Affine, x: Float[Array, "*b i"], dy: Float[Array, "*b o"]
) -> tuple[Affine, Float[Array, "*b i"]]:
    """Equations (2) to (4)."""
    dx = dy @ params.weight.T  # (2)
    dweight = product_over_rows(x, dy)  # (3)
    dbias = None if params.bias is None else sum_over_rows(dy)  # (4)
    return Affine(dweight, dbias), dx


def product_over_rows(
    x: Float[Array, "*b i"], dy: Float[Array, "*b o"]
) -> Float[Array, "i o"]:
    """Equation (3)."""
    return x.reshape(-1, x.shape[-1]).T @ dy.reshape(-1, dy.shape[-1])


def sum_over_rows(dy: Float[Array, "*b o"]) -> Float[Array, " o"]:
    """Equation (4)."""
    return jnp.sum(dy.reshape(-1, dy.shape[-1]), axis=0)
