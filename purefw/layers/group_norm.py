"""Group normalisation: centre and scale groups of channels of each example.

b counts examples, r the places of the spatial axes, c the channels in the last axis,
cut into equal runs, the groups g; e counts the n entries, over r and the run, of one
group of one example. mean_e averages over a group.

    (1)  xhat_bge = s_bg (x_bge - mean_e x_bge)      s_bg = (var_bg + eps)^(-1/2)
    (2)  y_brc    = scale_c xhat_brc + bias_c

    (3)  dscale_c = Σ_br dy_brc xhat_brc             dbias_c = Σ_br dy_brc
    (4)  dxhat_brc = scale_c dy_brc
    (5)  dx_bge   = s_bg (dxhat_bge - mean_e dxhat_bge - xhat_bge slope_bg)
         slope_bg = mean_e(dxhat_bge xhat_bge)

(3), (4): (2) is linear in scale, bias and xhat; scale and bias belong to a channel, not
to a group, and are shared by all examples and places. (5): ∂s/∂x_f = -s² xhat_f / n
within a group, hence ∂xhat_e/∂x_f = s (δ_ef - 1/n - xhat_e xhat_f / n), which is
symmetric; step by step in purefw.shared.normalisation. Its summands are the direct, the
mean and the variance path.
Invariants: dx sums to 0 over every group of every example; examples do not mix. One
group is layer norm over space and channels; as many groups as channels is instance
norm.
Limit: a constant group gives y = bias up to rounding.
Precision: 16-bit x is computed in float32 and rounded once, as flax.linen.GroupNorm
does.

Reference: Wu and He, "Group normalization", 2018, arXiv:1803.08494.
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


def group_norm(
    features: int, groups: int, *, eps: float = 1e-5
) -> Rule[NormParams, NormResiduals]:
    """Normalise each group of channels over space and the group.

    Args:
        features: Number of channels. At least 1.
        groups: Number of groups; divides `features`.
        eps: Added to the variance, in units of x squared. Positive.

    Returns:
        A rule on x of shape (batch, *spatial, features), spatial axes of any number.

    Raises:
        ValueError: a number is not positive, `groups` does not divide `features`, or
            `forward` gets x of another width or without a batch axis.

    Example:
        >>> import jax
        >>> rule = group_norm(4, 2)
        >>> params = rule.init(jax.random.key(0))
        >>> rule.apply(params, jnp.array([[1.0, 3.0, 5.0, 5.0]])).round(3)
        Array([[-1.,  1.,  0.,  0.]], dtype=float32)
    """
    check_norm("group_norm", features, eps)
    if groups < 1 or features % groups:
        raise ValueError(
            f"group_norm: groups must divide the {features} features, got {groups}"
        )
    return Rule(
        name="group_norm",
        init=partial(init_norm, features=features),
        forward=partial(forward, groups=groups, eps=eps),
        backward=partial(backward, groups=groups),
        terms=partial(terms, groups=groups),
    )


def forward(
    params: NormParams, x: Float[Array, "b *n c"], *, groups: int, eps: float
) -> tuple[Float[Array, "b *n c"], NormResiduals]:
    """Equations (1) and (2)."""
    if x.ndim < 2 or x.shape[-1] != params.scale.size:
        raise ValueError(
            f"group_norm: x must have shape (batch, ..., {params.scale.size}), "
            f"got {x.shape}"
        )
    scale, bias = (jnp.broadcast_to(wide(v), x.shape) for v in params)
    grouped = _split(x, groups)
    stats, _ = statistics(grouped, _within(grouped), eps)
    xhat = normalise(grouped, stats).reshape(x.shape)  # (1)
    y = scale * xhat + bias  # (2)
    return y.astype(x.dtype), NormResiduals(x, stats, params)


def backward(
    residuals: NormResiduals, dy: Float[Array, "b *n c"], *, groups: int
) -> tuple[NormParams, Float[Array, "b *n c"]]:
    """Equations (3) to (5)."""
    x, stats, (scale, bias) = residuals
    xhat, dxhat = _xhat_and_dxhat(residuals, dy, groups)
    shared = tuple(range(x.ndim - 1))
    dscale = jnp.sum(wide(dy) * xhat.reshape(x.shape), axis=shared)  # (3)
    dbias = jnp.sum(wide(dy), axis=shared)  # (3)
    dx = normalise_dx(xhat, dxhat, stats.s, _within(xhat))  # (5)
    dparams = NormParams(dscale.astype(scale.dtype), dbias.astype(bias.dtype))
    return dparams, dx.reshape(x.shape).astype(x.dtype)


def terms(
    residuals: NormResiduals, dy: Float[Array, "b *n c"], *, groups: int
) -> dict[str, dict[str, Float[Array, "b *n c"]]]:
    """The summands of (5): "direct", "mean", "variance"; float32 for 16-bit x."""
    xhat, dxhat = _xhat_and_dxhat(residuals, dy, groups)
    summands = normalise_terms(xhat, dxhat, residuals.stats.s, _within(xhat))
    return {"dx": {name: v.reshape(dy.shape) for name, v in summands.items()}}


def _xhat_and_dxhat(
    residuals: NormResiduals, dy: Float[Array, "b *n c"], groups: int
) -> tuple[Float[Array, "b *n g e"], Float[Array, "b *n g e"]]:
    x, stats, params = residuals
    xhat = normalise(_split(x, groups), stats)  # (1)
    dxhat = jnp.broadcast_to(wide(params.scale), x.shape) * wide(dy)  # (4)
    return xhat, _split(dxhat, groups)


def _split(x: Float[Array, "b *n c"], groups: int) -> Float[Array, "b *n g e"]:
    return x.reshape(*x.shape[:-1], groups, x.shape[-1] // groups)


def _within(grouped: Array) -> tuple[int, ...]:
    return (*range(1, grouped.ndim - 2), grouped.ndim - 1)
