"""Layer normalisation: centre and scale each row, then apply a learned affine map.

b counts rows (any number of leading axes), i, j the n features of a row; mean_i
averages over features.

    (1)  xhat_bi  = s_b (x_bi - mean_i x_bi)         s_b = (var_b + eps)^(-1/2)
    (2)  y_bi     = scale_i xhat_bi + bias_i

    (3)  dscale_i = Σ_b dy_bi xhat_bi                dbias_i = Σ_b dy_bi
    (4)  dxhat_bi = scale_i dy_bi
    (5)  dx_bi    = s_b (dxhat_bi - mean_i dxhat_bi - xhat_bi mean_i(dxhat_bi xhat_bi))

(3), (4): (2) is linear in scale, bias and xhat; scale and bias are shared by all rows,
so their cotangents are sums over rows. (5): ∂s/∂x_j = -s² xhat_j / n, hence
∂xhat_i/∂x_j = s (δ_ij - 1/n - xhat_i xhat_j / n), which is symmetric, so applying it to
dxhat gives (5); step by step in purefw.shared.normalisation. Its summands are the
direct, the mean and the variance path.
Invariants: adding a constant to a row of x leaves y alone, so every row of dx sums to
0. Multiplying a row by a positive constant leaves y alone up to eps: Σ_i x_bi dx_bi =
eps s_b² Σ_i dxhat_bi xhat_bi.
Limits: a constant row gives y = bias up to rounding; a row of one feature gives y =
bias and dx = 0.
Time: on a CPU the sums over features are products of dy and of dy xhat with scale; dy
xhat is the one array written beside dx, where dx is written later. Sums over rows as
products with ones would add thousands of rows in float32 one after the other.
Precision: 16-bit x is computed in float32 and rounded once, as flax.linen.LayerNorm
does.

Reference: Ba, Kiros and Hinton, "Layer normalization", 2016, arXiv:1607.06450.
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
    normalise_terms,
    over_features,
    statistics,
)
from purefw.shared.precision import wide
from purefw.shared.recomputation import again


def layer_norm(features: int, *, eps: float = 1e-5) -> Rule[NormParams, NormResiduals]:
    """Normalise each row, that is the last axis; see the module for the algebra.

    Args:
        features: Length n of a row. At least 1.
        eps: Added to the variance, in units of x squared. Positive; keeps s finite on
            a constant row.

    Returns:
        A rule on x of shape (..., features). Its residuals are x and two floats a row:
        xhat is recomputed rather than stored.

    Raises:
        ValueError: `features` or `eps` is not positive, or `forward` gets x of another
            width.

    Example:
        >>> import jax
        >>> rule = layer_norm(3)
        >>> params = rule.init(jax.random.key(0))
        >>> y, residuals = rule.forward(params, jnp.array([[1.0, 2.0, 3.0]]))
        >>> y.round(3)
        Array([[-1.225,  0.   ,  1.225]], dtype=float32)
    """
    check_norm("layer_norm", features, eps)
    return Rule(
        name="layer_norm",
        init=partial(init_norm, features=features),
        forward=partial(forward, eps=eps),
        backward=backward,
        terms=terms,
    )


def forward(
    params: NormParams, x: Float[Array, "*b n"], *, eps: float
) -> tuple[Float[Array, "*b n"], NormResiduals]:
    """Equations (1) and (2)."""
    if x.ndim < 1 or x.shape[-1] != params.scale.size:
        raise ValueError(
            f"layer_norm: x must have shape (..., {params.scale.size}), got {x.shape}"
        )
    scale, bias = (jnp.broadcast_to(wide(v), x.shape) for v in params)
    stats, _ = statistics(x, (-1,), eps)
    xhat = normalise(x, stats)  # (1)
    y = scale * xhat + bias  # (2)
    return y.astype(x.dtype), NormResiduals(x, stats, params)


def backward(
    residuals: NormResiduals, dy: Float[Array, "*b n"]
) -> tuple[NormParams, Float[Array, "*b n"]]:
    """Equations (3) to (5)."""
    residuals, dy = again(residuals, dy)
    x, stats, (scale, bias) = residuals
    xhat, dxhat = _xhat_and_dxhat(residuals, dy)  # (1), (4)
    n, dy, v = scale.size, wide(dy), wide(dy) * xhat
    dscale, dbias = (jnp.sum(u.reshape(-1, n), axis=0) for u in (v, dy))  # (3)
    mean, product = (over_features(u, wide(scale)) / n for u in (dy, v))
    dx = stats.s * (dxhat - mean - xhat * product)  # (5)
    dparams = NormParams(dscale.astype(scale.dtype), dbias.astype(bias.dtype))
    return dparams, dx.astype(x.dtype)


def terms(
    residuals: NormResiduals, dy: Float[Array, "*b n"]
) -> dict[str, dict[str, Float[Array, "*b n"]]]:
    """The summands of (5): "direct", "mean", "variance"; float32 for 16-bit x."""
    xhat, dxhat = _xhat_and_dxhat(residuals, dy)
    return {"dx": normalise_terms(xhat, dxhat, residuals.stats.s, (-1,))}


def _xhat_and_dxhat(
    residuals: NormResiduals, dy: Float[Array, "*b n"]
) -> tuple[Float[Array, "*b n"], Float[Array, "*b n"]]:
    x, stats, (scale, _) = residuals
    xhat = normalise(x, stats)  # (1)
    return xhat, jnp.broadcast_to(wide(scale), x.shape) * wide(dy)  # (4)
