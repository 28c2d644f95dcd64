"""Leaky rectified linear unit with a learned slope, entry by entry.

b counts rows (any number of leading axes, flattened); i the n entries of a row.

    (1)  y_bi     = x_bi if x_bi >= 0 else slope_i x_bi

    (2)  dx_bi    = dy_bi if x_bi >= 0 else slope_i dy_bi
    (3)  dslope_i = Σ_b min(x_bi, 0) dy_bi

(2), (3): the derivatives of each branch of (1) in x and in slope. slope is shared by
all rows, and a broadcast forward is a sum backward: hence Σ_b. A single slope is shared
by all entries too, so that (3) is then summed over i as well.
Kink: at x = 0 the rule takes dx = dy, as autodiff of flax.linen.PReLU does; torch takes
slope dy. dslope has no kink: both branches give 0.
Invariant: y is linear in slope, hence Σ_i slope_i dslope_i = Σ_bi (y_bi - max(x_bi, 0))
dy_bi.
Precision: 16-bit x is multiplied and summed in float32 and rounded once.

Reference: He, Zhang, Ren and Sun, "Delving deep into rectifiers", 2015,
arXiv:1502.01852.
"""

from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from purefw.rule import Rule
from purefw.shared.precision import wide
from purefw.shared.recomputation import again
from purefw.shared.sizes import check_sizes


class PReLUParams(NamedTuple):
    """One slope for each entry of a row, or one for all."""

    slope: Float[Array, " n"]


class PReLUResiduals(NamedTuple):
    """What `backward` needs: the input and the parameters, no copies."""

    x: Float[Array, "*s"]
    params: PReLUParams


def prelu(n: int = 1) -> Rule[PReLUParams, PReLUResiduals]:
    """Leaky ReLU that learns its slopes.

    Args:
        n: How many slopes: 1, shared by all entries of an x of any shape, or the width
            of x's last axis. torch.nn.PReLU counts along axis 1 instead.

    Returns:
        A rule whose residuals hold x.

    Raises:
        ValueError: n is not positive, or `forward` gets x of another width.

    Example:
        >>> import jax
        >>> rule = prelu()
        >>> y, residuals = rule.forward(
        ...     rule.init(jax.random.key(0)), jnp.array([-2.0, 3.0]))
        >>> y
        Array([-0.5,  3. ], dtype=float32)
        >>> rule.backward(residuals, jnp.array([1.0, 1.0]))[0].slope
        Array([-2.], dtype=float32)
    """
    check_sizes("prelu", n=n)
    return Rule("prelu", partial(init, n=n), forward, backward)


def init(key: Key[Array, ""], *, n: int) -> PReLUParams:
    """Every slope 1/4, as in the paper; nothing random."""
    del key
    return PReLUParams(jnp.full(n, 0.25))


def forward(
    params: PReLUParams, x: Float[Array, "*s"]
) -> tuple[Float[Array, "*s"], PReLUResiduals]:
    """Equation (1)."""
    (slope,) = params
    if slope.size > 1 and (x.ndim < 1 or x.shape[-1] != slope.size):
        raise ValueError(f"prelu: x must have shape (..., {slope.size}), got {x.shape}")
    y = jnp.where(x >= 0, x, _spread(slope, x) * x)  # (1)
    return y, PReLUResiduals(x, params)


def backward(
    residuals: PReLUResiduals, dy: Float[Array, "*s"]
) -> tuple[PReLUParams, Float[Array, "*s"]]:
    """Equations (2) and (3)."""
    x, (slope,) = residuals
    dx = jnp.where(x >= 0, dy, _spread(slope, x) * dy)  # (2)
    x, dy, zero = again(x, dy, jnp.zeros((), wide(x).dtype))
    summands = jnp.minimum(wide(x), zero) * wide(dy)
    dslope = jnp.sum(summands.reshape(-1, slope.size), axis=0)  # (3)
    return PReLUParams(dslope.astype(slope.dtype)), dx


def _spread(slope: Float[Array, " n"], x: Float[Array, "*s"]) -> Float[Array, "*s"]:
    if slope.size == 1:
        return jnp.broadcast_to(slope.reshape(()), x.shape)
    return jnp.broadcast_to(slope, x.shape)
