"""Instance normalisation: centre and scale each channel of each example over space.

b counts examples, c channels, r the n places of the spatial axes; mean_r averages over
space.

    (1)  xhat_brc = s_bc (x_brc - mean_r x_brc)      s_bc = (var_bc + eps)^(-1/2)
    (2)  y_brc    = scale_c xhat_brc + bias_c

    (3)  dscale_c = Σ_br dy_brc xhat_brc             dbias_c = Σ_br dy_brc
    (4)  dxhat_brc = scale_c dy_brc
    (5)  dx_brc   = s_bc (dxhat_brc - mean_r dxhat_brc - xhat_brc slope_bc)
         slope_bc = mean_r(dxhat_brc xhat_brc)

(3), (4): (2) is linear in scale, bias and xhat; scale and bias are shared by examples
and places. (5): ∂s/∂x_q = -s² xhat_q / n, hence ∂xhat_r/∂x_q = s (δ_rq - 1/n - xhat_r
xhat_q / n), which is symmetric; step by step in purefw.shared.normalisation. Its
summands are the direct, the mean and the variance path.
Invariants: every channel of every example of dx sums to 0; brightness and contrast of a
channel do not reach y, up to eps: Σ_r x_brc dx_brc = eps s_bc² Σ_r dxhat_brc xhat_brc.
Limit: a constant channel gives y = bias up to rounding; so does a single place, with
dx = 0 and dscale = 0, where torch raises an error.
Convention: learned scale and bias, as in flax.linen.InstanceNorm; torch's default has
none. There are no running statistics: training and inference are the same.
Precision: 16-bit x is computed in float32 and rounded once.

Reference: Ulyanov, Vedaldi and Lempitsky, "Instance normalization", 2016,
arXiv:1607.08022.
"""

from functools import partial

import jax.numpy as jnp
from jaxtyping import Array, Float

from purefw.rule import Rule
from purefw.shared.normalisation import (
    NormParams,
    NormResiduals,
    check_norm,
    init_norm,
    normalise,
    normalise_dx,
    normalise_terms,
    statistics,
)
from purefw.shared.precision import wide


def instance_norm(
    features: int, *, eps: float = 1e-5
) -> Rule[NormParams, NormResiduals]:
    """Normalise each channel of each example over its spatial axes.

    Args:
        features: Number of channels. At least 1.
        eps: Added to the variance, in units of x squared. Positive.

    Returns:
        A rule on x of shape (batch, *spatial, features), at least one spatial axis.

    Raises:
        ValueError: `features` or `eps` is not positive, or `forward` gets x of another
            width or without a spatial axis.

    Example:
        >>> import jax
        >>> rule = instance_norm(1)
        >>> params = rule.init(jax.random.key(0))
        >>> rule.apply(params, jnp.array([[[1.0], [3.0]]])).round(3).ravel()
        Array([-1.,  1.], dtype=float32)
    """
    check_norm("instance_norm", features, eps)
    return Rule(
        name="instance_norm",
        init=partial(init_norm, features=features),
        forward=partial(forward, eps=eps),
        backward=backward,
        terms=terms,
    )


def forward(
    params: NormParams, x: Float[Array, "b *n c"], *, eps: float
) -> tuple[Float[Array, "b *n c"], NormResiduals]:
    """Equations (1) and (2)."""
    if x.ndim < 3 or x.shape[-1] != params.scale.size:
        raise ValueError(
            "instance_norm: x must have shape (batch, at least one spatial axis, "
            f"{params.scale.size}), got {x.shape}"
        )
    scale, bias = (jnp.broadcast_to(wide(v), x.shape) for v in params)
    stats, _ = statistics(x, _space(x), eps)
    xhat = normalise(x, stats)  # (1)
    y = scale * xhat + bias  # (2)
    return y.astype(x.dtype), NormResiduals(x, stats, params)


def backward(
    residuals: NormResiduals, dy: Float[Array, "b *n c"]
) -> tuple[NormParams, Float[Array, "b *n c"]]:
    """Equations (3) to (5)."""
    x, stats, (scale, bias) = residuals
    xhat, dxhat = _xhat_and_dxhat(residuals, dy)
    shared = tuple(range(x.ndim - 1))
    dscale = jnp.sum(wide(dy) * xhat, axis=shared)  # (3)
    dbias = jnp.sum(wide(dy), axis=shared)  # (3)
    dx = normalise_dx(xhat, dxhat, stats.s, _space(x))  # (5)
    dparams = NormParams(dscale.astype(scale.dtype), dbias.astype(bias.dtype))
    return dparams, dx.astype(x.dtype)


def terms(
    residuals: NormResiduals, dy: Float[Array, "b *n c"]
) -> dict[str, dict[str, Float[Array, "b *n c"]]]:
    """The summands of (5): "direct", "mean", "variance"; float32 for 16-bit x."""
    xhat, dxhat = _xhat_and_dxhat(residuals, dy)
    return {"dx": normalise_terms(xhat, dxhat, residuals.stats.s, _space(dy))}


def _xhat_and_dxhat(
    residuals: NormResiduals, dy: Float[Array, "b *n c"]
) -> tuple[Float[Array, "b *n c"], Float[Array, "b *n c"]]:
    x, stats, params = residuals
    xhat = normalise(x, stats)  # (1)
    return xhat, jnp.broadcast_to(wide(params.scale), x.shape) * wide(dy)  # (4)


def _space(x: Array) -> tuple[int, ...]:
    return tuple(range(1, x.ndim - 1))
