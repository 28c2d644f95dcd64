"""Root-mean-square normalisation: divide each row by its size, then scale each feature.

b counts rows (any number of leading axes), i, j the n features of a row; mean_i
averages over features.

    (1)  xhat_bi  = s_b x_bi                         s_b = (mean_i x_bi² + eps)^(-1/2)
    (2)  y_bi     = scale_i xhat_bi

    (3)  dscale_i = Σ_b dy_bi xhat_bi
    (4)  dxhat_bi = scale_i dy_bi
    (5)  dx_bi    = s_b (dxhat_bi - xhat_bi mean_i(dxhat_bi xhat_bi))

(3), (4): (2) is linear in scale and in xhat, and scale is shared by all rows. (5):
∂s/∂x_j = -1/2 s³ 2 x_j / n = -s² xhat_j / n, hence by the product rule on (1)
∂xhat_i/∂x_j = s (δ_ij - xhat_i xhat_j / n), which is symmetric, so applying it to dxhat
gives (5). Its summands are the direct path and that through the scale s.
Invariants: y is odd in x. Multiplying a row by a positive constant leaves y alone up to
eps: Σ_i x_bi dx_bi = eps s_b² Σ_i dxhat_bi xhat_bi. There is no mean in (1), so rows of
dx do not sum to 0.
Limit: a row of zeros gives y = 0 and dx = eps^(-1/2) dxhat.
Time: on a CPU the sums over features are a product of dy xhat with scale; dy xhat is
written where dx is written later.
Precision: 16-bit x is computed in float32 and rounded once, as flax.linen.RMSNorm does.

Reference: Zhang and Sennrich, "Root mean square layer normalization", 2019,
arXiv:1910.07467.
"""

from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Key

from purefw.rule import Rule
from purefw.shared.normalisation import check_norm, over_features
from purefw.shared.precision import wide
from purefw.shared.recomputation import again, once


class RMSNormParams(NamedTuple):
    """One factor a feature."""

    scale: Float[Array, " n"]


class RMSNormResiduals(NamedTuple):
    """What `backward` needs: x and the parameters, alive anyway; one float a row."""

    x: Float[Array, "*b n"]
    s: Float[Array, "*b 1"]
    params: RMSNormParams


def rms_norm(
    features: int, *, eps: float = 1e-6
) -> Rule[RMSNormParams, RMSNormResiduals]:
    """Divide each row, that is the last axis, by its root mean square.

    Args:
        features: Length n of a row. At least 1.
        eps: Added to the mean square, in units of x squared. Positive.

    Returns:
        A rule on x of shape (..., features); its residuals are x and one float a row.

    Raises:
        ValueError: `features` or `eps` is not positive, or `forward` gets x of another
            width.

    Example:
        >>> import jax
        >>> rule = rms_norm(2)
        >>> params = rule.init(jax.random.key(0))
        >>> rule.apply(params, jnp.array([[1.0, 7.0]])).round(1)
        Array([[0.2, 1.4]], dtype=float32)
    """
    check_norm("rms_norm", features, eps)
    return Rule(
        name="rms_norm",
        init=partial(init, features=features),
        forward=partial(forward, eps=eps),
        backward=backward,
        terms=terms,
    )


def init(key: Key[Array, ""], *, features: int) -> RMSNormParams:
    """Scale one, so that y starts as xhat; nothing random."""
    del key
    return RMSNormParams(jnp.ones(features))


def forward(
    params: RMSNormParams, x: Float[Array, "*b n"], *, eps: float
) -> tuple[Float[Array, "*b n"], RMSNormResiduals]:
    """Equations (1) and (2)."""
    (scale,) = params
    if x.ndim < 1 or x.shape[-1] != scale.size:
        raise ValueError(
            f"rms_norm: x must have shape (..., {scale.size}), got {x.shape}"
        )
    s = once(lax.rsqrt(_mean(wide(x) ** 2) + eps))
    xhat = s * wide(x)  # (1)
    y = jnp.broadcast_to(wide(scale), x.shape) * xhat  # (2)
    return y.astype(x.dtype), RMSNormResiduals(x, s, params)


def backward(
    residuals: RMSNormResiduals, dy: Float[Array, "*b n"]
) -> tuple[RMSNormParams, Float[Array, "*b n"]]:
    """Equations (3) to (5)."""
    residuals, dy = again(residuals, dy)
    x, s, (scale,) = residuals
    xhat, n = s * wide(x), scale.size  # (1)
    v = wide(dy) * xhat
    dscale = jnp.sum(v.reshape(-1, n), axis=0)  # (3)
    dxhat = jnp.broadcast_to(wide(scale), x.shape) * wide(dy)  # (4)
    dx = s * (dxhat - xhat * (over_features(v, wide(scale)) / n))  # (5)
    return RMSNormParams(dscale.astype(scale.dtype)), dx.astype(x.dtype)


def terms(
    residuals: RMSNormResiduals, dy: Float[Array, "*b n"]
) -> dict[str, dict[str, Float[Array, "*b n"]]]:
    """The summands of (5): "direct" and "scale"; float32 for 16-bit x."""
    _, direct, path = _paths(residuals, dy)
    return {"dx": {"direct": residuals.s * direct, "scale": residuals.s * path}}


def _paths(
    residuals: RMSNormResiduals, dy: Float[Array, "*b n"]
) -> tuple[Float[Array, "*b n"], Float[Array, "*b n"], Float[Array, "*b n"]]:
    x, s, (scale,) = residuals
    xhat = s * wide(x)  # (1)
    dxhat = jnp.broadcast_to(wide(scale), x.shape) * wide(dy)  # (4)
    return xhat, dxhat, -xhat * once(_mean(dxhat * xhat))


def _mean(v: Float[Array, "*b n"]) -> Float[Array, "*b 1"]:
    return jnp.mean(v, axis=-1, keepdims=True)
