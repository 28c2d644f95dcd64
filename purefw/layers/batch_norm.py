"""Batch normalisation: centre and scale each channel over the batch and over space.

c counts channels, the last axis; r the n entries of a channel, over all other axes: the
batch alone for x of shape (batch, channels), batch and space for (batch, *spatial,
channels). mean_r averages over r.

    (1)  mean_c   = mean_r x_rc                      var_c = mean_r (x_rc - mean_c)²
    (2)  xhat_rc  = s_c (x_rc - mean_c)              s_c = (var_c + eps)^(-1/2)
    (3)  y_rc     = scale_c xhat_rc + bias_c

    (4)  dscale_c = Σ_r dy_rc xhat_rc                dbias_c = Σ_r dy_rc
    (5)  dxhat_rc = scale_c dy_rc
    (6)  dx_rc    = s_c (dxhat_rc - mean_r dxhat_rc - xhat_rc mean_r(dxhat_rc xhat_rc))
    (7)  drunning_mean = 0                           drunning_var = 0

(4), (5): (3) is linear in scale, bias and xhat; scale and bias are shared by all r.
(6): ∂s/∂x_q = -s² xhat_q / n, hence ∂xhat_r/∂x_q = s (δ_rq - 1/n - xhat_r xhat_q / n),
which is symmetric; step by step in purefw.shared.normalisation. Its summands are the
direct, the mean and the variance path. (7): the running statistics are leaves of
params, but (1) to (3) do not hold them.

At inference the running statistics stand for those of the batch:

    (8)  y_rc     = f_c (x_rc - running_mean_c) + bias_c
         f_c      = scale_c (running_var_c + eps)^(-1/2)

and after each step they move towards what the residuals of that step hold:

    (9)  running_c <- momentum running_c + (1 - momentum) batch_c

Conventions: momentum is the share of the old value, as in Flax; torch's is 1 -
momentum. running_var takes var_c, divided by n, as in Flax; torch takes the one divided
by n - 1.
Invariants: every channel of dx sums to 0, and Σ_r x_rc dx_rc = eps s_c² Σ_r dxhat_rc
xhat_rc, because shifting a channel leaves y alone and scaling it does so up to eps.
Limits: a constant channel gives y = bias up to rounding. So does n = 1, with dx = 0 and
dscale = 0: a layer that teaches nothing, where torch raises an error.
Precision: 16-bit x is computed in float32 and rounded once, as flax.linen.BatchNorm
does; that takes mean_r x² - mean² for the variance, which loses all digits at a large
mean.

Reference: Ioffe and Szegedy, "Batch normalization", 2015, arXiv:1502.03167.
"""

from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Key

from purefw.rule import Rule
from purefw.shared.normalisation import (
    Statistics,
    check_norm,
    normalise,
    normalise_dx,
    normalise_terms,
    statistics,
)
from purefw.shared.precision import wide


class BatchNormParams(NamedTuple):
    """The affine map, learned; the running statistics, updated by `update_running`."""

    scale: Float[Array, " c"]
    bias: Float[Array, " c"]
    running_mean: Float[Array, " c"]
    running_var: Float[Array, " c"]


class BatchNormResiduals(NamedTuple):
    """What `backward` and `update_running` need: x and params, alive; 3c floats."""

    x: Float[Array, "*r c"]
    stats: Statistics
    var: Float[Array, "*one c"]
    params: BatchNormParams


def batch_norm(
    features: int, *, eps: float = 1e-5
) -> Rule[BatchNormParams, BatchNormResiduals]:
    """Normalise each channel over all axes but the last.

    Args:
        features: Number of channels. At least 1.
        eps: Added to the variance, in units of x squared. Positive.

    Returns:
        A rule on x of shape (batch, ..., features), whose `apply` uses the running
        statistics. Its residuals are x and three floats a channel.

    Raises:
        ValueError: `features` or `eps` is not positive, or `forward` gets x of another
            width, without a batch axis, or empty.

    Example:
        >>> import jax
        >>> rule = batch_norm(1)
        >>> params = rule.init(jax.random.key(0))
        >>> y, residuals = rule.forward(params, jnp.array([[1.0], [3.0]]))
        >>> y.round(3).ravel()
        Array([-1.,  1.], dtype=float32)
        >>> update_running(params, residuals, 0.5).running_mean
        Array([1.], dtype=float32)
    """
    check_norm("batch_norm", features, eps)
    return Rule(
        name="batch_norm",
        init=partial(init, features=features),
        forward=partial(forward, eps=eps),
        backward=backward,
        inference=partial(inference, eps=eps),
        terms=terms,
    )


def init(key: Key[Array, ""], *, features: int) -> BatchNormParams:
    """Scale and running variance one, bias and running mean zero; nothing random."""
    del key
    one, zero = jnp.ones(features), jnp.zeros(features)
    return BatchNormParams(one, zero, running_mean=zero, running_var=one)


def forward(
    params: BatchNormParams, x: Float[Array, "*r c"], *, eps: float
) -> tuple[Float[Array, "*r c"], BatchNormResiduals]:
    """Equations (1) to (3), with the statistics of this batch."""
    _check_x(params, x)
    scale, bias = (jnp.broadcast_to(wide(v), x.shape) for v in params[:2])
    stats, var = statistics(x, _all_but_last(x), eps)  # (1)
    xhat = normalise(x, stats)  # (2)
    y = scale * xhat + bias  # (3)
    return y.astype(x.dtype), BatchNormResiduals(x, stats, var, params)


def backward(
    residuals: BatchNormResiduals, dy: Float[Array, "*r c"]
) -> tuple[BatchNormParams, Float[Array, "*r c"]]:
    """Equations (4) to (7)."""
    x, stats, _, (scale, bias, running_mean, running_var) = residuals
    xhat, dxhat = _xhat_and_dxhat(residuals, dy)
    axes = _all_but_last(x)
    dscale = jnp.sum(wide(dy) * xhat, axis=axes)  # (4)
    dbias = jnp.sum(wide(dy), axis=axes)  # (4)
    dx = normalise_dx(xhat, dxhat, stats.s, axes)  # (6)
    dparams = BatchNormParams(
        dscale.astype(scale.dtype),
        dbias.astype(bias.dtype),
        running_mean=jnp.zeros_like(running_mean),  # (7)
        running_var=jnp.zeros_like(running_var),  # (7)
    )
    return dparams, dx.astype(x.dtype)


def inference(
    params: BatchNormParams, x: Float[Array, "*r c"], *, eps: float
) -> Float[Array, "*r c"]:
    """Equation (8)."""
    _check_x(params, x)
    scale, bias, mean, var = (wide(v) for v in params)
    factor = jnp.broadcast_to(scale * lax.rsqrt(var + eps), x.shape)
    centred = wide(x) - jnp.broadcast_to(mean, x.shape)
    return (factor * centred + jnp.broadcast_to(bias, x.shape)).astype(x.dtype)  # (8)


def update_running(
    params: BatchNormParams, residuals: BatchNormResiduals, momentum: float
) -> BatchNormParams:
    """Equation (9): params with the running statistics moved towards the batch's.

    Args:
        params: Those to update, after the optimiser has moved scale and bias.
        residuals: What `forward` returned for the batch. They hold the old running
            statistics, so that weight decay, which is for what is learned, leaves no
            trace on them.
        momentum: Share of the old value, in [0, 1].

    Returns:
        New params; scale and bias are those given.

    Raises:
        ValueError: `momentum` is outside [0, 1].
    """
    if not 0 <= momentum <= 1:
        raise ValueError(f"batch_norm: momentum must be in [0, 1], got {momentum}")
    batch = residuals.stats.mean, residuals.var
    running = (
        _moved(old, new.reshape(old.shape), momentum)
        for old, new in zip(residuals.params[2:], batch)
    )
    return BatchNormParams(*params[:2], *running)


def _moved(
    old: Float[Array, " c"], new: Float[Array, " c"], momentum: float
) -> Float[Array, " c"]:
    """Equation (9), in the dtype of `old`, at least float32; x may be narrower."""
    new = new.astype(wide(old).dtype)
    return (momentum * wide(old) + (1 - momentum) * new).astype(old.dtype)  # (9)


def terms(
    residuals: BatchNormResiduals, dy: Float[Array, "*r c"]
) -> dict[str, dict[str, Float[Array, "*r c"]]]:
    """The summands of (6): "direct", "mean", "variance"; float32 for 16-bit x."""
    xhat, dxhat = _xhat_and_dxhat(residuals, dy)
    axes = _all_but_last(residuals.x)
    return {"dx": normalise_terms(xhat, dxhat, residuals.stats.s, axes)}


def _xhat_and_dxhat(
    residuals: BatchNormResiduals, dy: Float[Array, "*r c"]
) -> tuple[Float[Array, "*r c"], Float[Array, "*r c"]]:
    x, stats, _, params = residuals
    xhat = normalise(x, stats)  # (2)
    return xhat, jnp.broadcast_to(wide(params.scale), x.shape) * wide(dy)  # (5)


def _all_but_last(x: Array) -> tuple[int, ...]:
    return tuple(range(x.ndim - 1))


def _check_x(params: BatchNormParams, x: Array) -> None:
    if x.ndim < 2 or x.shape[-1] != params.scale.size or x.size == 0:
        raise ValueError(
            f"batch_norm: x must have shape (batch, ..., {params.scale.size}) and not "
            f"be empty, got {x.shape}"
        )
