"""Bilinear layer: every output is a bilinear form of two inputs.

x is a pair (left, right). b counts rows (any number of leading axes, flattened), i the
entries of left, j those of right, o the outputs.

    (1)  y_bo        = Σ_ij left_bi weight_ijo right_bj + bias_o

    (2)  form_bjo    = Σ_i weight_ijo left_bi      y_bo = Σ_j form_bjo right_bj + bias_o
    (3)  dform_bjo   = right_bj dy_bo
    (4)  dleft_bi    = Σ_o (Σ_j weight_ijo right_bj) dy_bo
    (5)  dright_bj   = Σ_o form_bjo dy_bo
    (6)  dweight_ijo = Σ_b left_bi dform_bjo
    (7)  dbias_o     = Σ_b dy_bo

(3) to (7): (1) is linear in each of left, right, weight and bias while the others are
held; the factor of each in (1), times dy, is summed over the indices that it does not
have. weight and bias are shared by all rows, hence Σ_b. form serves two sums; dform
would serve (4) as well, in one sum over j and o, which errs four times as much.
Invariant: Σ_i left_bi dleft_bi = Σ_j right_bj dright_bj = Σ_o (y_bo - bias_o) dy_bo,
row by row, because (1) without bias is homogeneous of degree one in either input.
Convention: torch.nn.Bilinear keeps the weight as (o, i, j).
Precision: 16-bit arrays are multiplied and summed in float32 and each result is rounded
once; the intermediate products of (2) to (6) would otherwise be rounded too.
"""

import math
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from purefw.rule import Rule
from purefw.shared.precision import wide
from purefw.shared.sizes import check_sizes


class BilinearParams(NamedTuple):
    """One matrix for each output; `bias` is None for a layer without one."""

    weight: Float[Array, "i j o"]
    bias: Float[Array, " o"] | None


class BilinearResiduals(NamedTuple):
    """What `backward` needs: the inputs and the parameters, no copies."""

    left: Float[Array, "*b i"]
    right: Float[Array, "*b j"]
    params: BilinearParams


Pair = tuple[Float[Array, "*left"], Float[Array, "*right"]]


def bilinear(
    n_left: int, n_right: int, n_out: int, *, bias: bool = True
) -> Rule[BilinearParams, BilinearResiduals]:
    """Map a pair of rows to n_out bilinear forms of them.

    Args:
        n_left: Width of the first input. At least 1.
        n_right: Width of the second. At least 1.
        n_out: Width of y. At least 1.
        bias: Whether there is one.

    Returns:
        A rule on a pair of shapes (..., n_left) and (..., n_right) with equal leading
        axes; y is (..., n_out). Its residuals hold the pair and the parameters.

    Raises:
        ValueError: a width is not positive, or `forward` gets inputs of other widths or
            of different leading axes.

    Example:
        >>> rule = bilinear(2, 3, 5)
        >>> params = rule.init(jax.random.key(0))
        >>> rule.apply(params, (jnp.ones((7, 2)), jnp.ones((7, 3)))).shape
        (7, 5)
    """
    check_sizes("bilinear", n_left=n_left, n_right=n_right, n_out=n_out)
    return Rule(
        name="bilinear",
        init=partial(init, shape=(n_left, n_right, n_out), bias=bias),
        forward=forward,
        backward=backward,
    )


def init(
    key: Key[Array, ""], *, shape: tuple[int, int, int], bias: bool
) -> BilinearParams:
    """Weight N(0, 1/(n_left n_right)); bias zero."""
    weight = jax.random.normal(key, shape) / math.prod(shape[:2]) ** 0.5
    return BilinearParams(weight, jnp.zeros(shape[-1]) if bias else None)


def forward(
    params: BilinearParams, x: Pair
) -> tuple[Float[Array, "*b o"], BilinearResiduals]:
    """Equation (1)."""
    (weight, bias), (left, right) = params, x
    _check_pair(weight, left, right)
    y = jnp.einsum("...jo,...j->...o", _form(left, weight), wide(right))  # (2)
    if bias is not None:
        y = y + jnp.broadcast_to(wide(bias), y.shape)  # (1)
    return y.astype(left.dtype), BilinearResiduals(left, right, params)


def backward(
    residuals: BilinearResiduals, dy: Float[Array, "*b o"]
) -> tuple[BilinearParams, Pair]:
    """Equations (2) to (7)."""
    left, right, params = residuals
    dy = wide(dy)
    dright = jnp.einsum("...jo,...o->...j", _form(left, params.weight), dy)  # (5)
    of_left = jnp.einsum("ijo,...j->...io", wide(params.weight), wide(right))
    dleft = jnp.einsum("...io,...o->...i", of_left, dy)  # (4)
    dform = wide(right)[..., :, None] * dy[..., None, :]  # (3)
    dweight = jnp.einsum("...i,...jo->ijo", wide(left), dform)  # (6)
    rows = dy.reshape(-1, dy.shape[-1])
    dbias = None if params.bias is None else jnp.sum(rows, axis=0)  # (7)
    cotangents = BilinearParams(dweight, dbias), (dleft, dright)
    return jax.tree.map(
        lambda d, a: d.astype(a.dtype), cotangents, (params, (left, right))
    )


def _form(left: Float[Array, "*b i"], weight: Float[Array, "i j o"]) -> Array:
    return jnp.einsum("...i,ijo->...jo", wide(left), wide(weight))  # (2)


def _check_pair(weight: Array, left: Array, right: Array) -> None:
    n_left, n_right, _ = weight.shape
    widths = [v.shape[-1] if v.ndim else None for v in (left, right)]
    if widths != [n_left, n_right] or left.shape[:-1] != right.shape[:-1]:
        raise ValueError(
            f"bilinear: x must be a pair of shapes (..., {n_left}) and "
            f"(..., {n_right}) with equal leading axes, got {left.shape} and "
            f"{right.shape}"
        )
