"""Linear layer: an affine map of each row.

b counts rows (any number of leading axes, flattened); i the n_in inputs, o the n_out
outputs.

    (1)  y_bo      = Σ_i x_bi weight_io + bias_o

    (2)  dx_bi     = Σ_o dy_bo weight_io
    (3)  dweight_io = Σ_b x_bi dy_bo
    (4)  dbias_o   = Σ_b dy_bo

(2) to (4): y_bo is linear in each of x, weight and bias, with ∂y_bo/∂x_bi = weight_io,
∂y_bo/∂weight_io = x_bi and ∂y_bo/∂bias_o = 1. weight is shared by all rows and bias is
broadcast over them, and a broadcast forward is a sum backward: hence Σ_b.
Invariant: backward is linear in x for fixed dy; two rows that are equal contribute to
dweight twice.
Time: (3) of few rows on a CPU is joined to what follows it: purefw.shared.few_rows.
Convention: weight is (n_in, n_out), as in Flax; torch.nn.Linear keeps its transpose.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from purefw.rule import Rule
from purefw.shared.few_rows import weight_gradient
from purefw.shared.sizes import check_sizes


class LinearParams(NamedTuple):
    """The affine map; `bias` is None for a layer without one."""

    weight: Float[Array, "n_in n_out"]
    bias: Float[Array, " n_out"] | None


class LinearResiduals(NamedTuple):
    """What `backward` needs: the input and the parameters, no copies."""

    x: Float[Array, "*b n_in"]
    params: LinearParams


def linear(n_in: int, n_out: int, *, bias: bool = True) -> Rule:
    """Map the last axis from n_in to n_out; see the module for the algebra.

    Args:
        n_in: Width of x. At least 1.
        n_out: Width of y. At least 1.
        bias: Whether there is one.

    Returns:
        A rule on x of shape (..., n_in). Its residuals hold x and the parameters, which
        are alive anyway.

    Raises:
        ValueError: a width is not positive, or `forward` gets x of another width.

    Example:
        >>> rule = linear(3, 2)
        >>> params = rule.init(jax.random.key(0))
        >>> y, residuals = rule.forward(params, jnp.ones((5, 3)))
        >>> y.shape
        (5, 2)
    """
    check_sizes("linear", n_in=n_in, n_out=n_out)
    return Rule(
        name="linear",
        init=partial(init, n_in=n_in, n_out=n_out, bias=bias),
        forward=forward,
        backward=backward,
    )


def init(key: Key[Array, ""], *, n_in: int, n_out: int, bias: bool) -> LinearParams:
    """Weight N(0, 1/n_in), that is of standard deviation n_in^(-1/2); bias zero."""
    weight = jax.random.normal(key, (n_in, n_out)) / n_in**0.5
    return LinearParams(weight, jnp.zeros(n_out) if bias else None)


def forward(
    params: LinearParams, x: Float[Array, "*b n_in"]
) -> tuple[Float[Array, "*b n_out"], LinearResiduals]:
    """Equation (1)."""
    weight, bias = params
    if x.ndim < 1 or x.shape[-1] != weight.shape[0]:
        raise ValueError(
            f"linear: x must have shape (..., {weight.shape[0]}), got {x.shape}"
        )
    y = x @ weight  # (1)
    if bias is not None:
        y = y + jnp.broadcast_to(bias, y.shape)  # (1)
    return y, LinearResiduals(x, params)


def backward(
    residuals: LinearResiduals, dy: Float[Array, "*b n_out"]
) -> tuple[LinearParams, Float[Array, "*b n_in"]]:
    """Equations (2) to (4)."""
    x, (weight, bias) = residuals
    rows, drows = x.reshape(-1, x.shape[-1]), dy.reshape(-1, dy.shape[-1])
    dx = dy @ weight.T  # (2)
    dweight = weight_gradient(rows, drows)  # (3)
    dbias = None if bias is None else jnp.sum(drows, axis=0)  # (4)
    return LinearParams(dweight, dbias), dx
