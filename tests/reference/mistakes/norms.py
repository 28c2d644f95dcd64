"""Planted in normalisations: layer norm, RMS norm, batch norm, group norm."""

import jax.numpy as jnp
from jax import lax

from purefw.layers.layer_norm import layer_norm
from purefw.shared.normalisation import NormParams
from tests.reference.mistakes.case import Planted, normal

# The library's layer norm, which names its terms.


def params_and_x():
    return (
        NormParams(normal(7, seed=1), normal(7, seed=2)),
        normal(5, 7, seed=3, shift=0.5),
    )


rule = layer_norm(7)
named = Planted("layer_norm", __file__, rule.forward, params_and_x, rule.terms)


def weighed(direct, mean, variance):
    """dx as a weighted sum of the terms."""

    def backward(residuals, dy):
        dparams, _ = rule.backward(residuals, dy)
        t = rule.terms(residuals, dy)["dx"]
        n = residuals.x.shape[-1]
        weights = [w(n) if callable(w) else w for w in (direct, mean, variance)]
        dx = sum(w * t[k] for w, k in zip(weights, ("direct", "mean", "variance")))
        return dparams, dx

    return backward


named.wrong("no_mean_path", "C2", ["term: mean missing"], weighed(1, 0, 1))
named.wrong("no_variance_path", "C2", ["term: variance missing"], weighed(1, 1, 0))
named.wrong("mean_path_twice", "C4", ["term: mean doubled"], weighed(1, 2, 1))
named.wrong("variance_path_added", "C3", ["term: variance negated"], weighed(1, 1, -1))
named.wrong("mean_path_halved", "C4", ["term: mean scaled 1/2"], weighed(1, 0.5, 1))
named.wrong(
    "direct_path_alone",
    "C2",
    ["term: mean missing variance missing"],
    weighed(1, 0, 0),
)
named.wrong(
    "both_means_without_bias_correction",
    "C4",
    ["term: mean scaled variance scaled x.shape[1]/(x.shape[1]-1)"],
    weighed(1, lambda n: n / (n - 1), lambda n: n / (n - 1)),
)
named.wrong(
    "mean_path_summed",
    "C4",
    ["term: mean scaled x.shape[1]", "term: mean scaled params.scale.shape[0]"],
    weighed(1, lambda n: n, 1),
)


@named.wrong("dscale_and_dbias_swapped", "C3", ["swap: scale bias"])
def _swapped(residuals, dy):
    dparams, dx = rule.backward(residuals, dy)
    return type(dparams)(dparams.bias, dparams.scale), dx


@named.wrong(
    "dbias_of_first_row", "C5 C7", ["cotangent: first axis 0", "overwrite: first"]
)
def _first_row(residuals, dy):
    dparams, dx = rule.backward(residuals, dy)
    return dparams._replace(bias=dy[0]), dx


named.right("as_it_is", rule.backward)


# A stranger's layer norm without terms.

EPS = 1e-5


def ln_args():
    return normal(5, 7, seed=4), normal(7, seed=5), normal(7, seed=6)


def ln_forward(x, gamma, beta):
    mean = jnp.mean(x, axis=-1, keepdims=True)  # @ln_mean
    xc = x - mean  # @ln_centre
    var = jnp.mean(xc**2, axis=-1, keepdims=True)  # @ln_var
    rstd = lax.rsqrt(var + EPS)  # @ln_rstd
    xhat = xc * rstd  # @ln_xhat
    y = xhat * gamma[None, :] + beta[None, :]  # @ln_affine
    return y, (xhat, rstd, gamma, xc, mean)


def ln_backward(residuals, dy):
    xhat, rstd, gamma, _, _ = residuals
    dxhat = dy * gamma[None, :]
    a = jnp.mean(dxhat, axis=-1, keepdims=True)
    b = jnp.mean(dxhat * xhat, axis=-1, keepdims=True)
    dx = rstd * (dxhat - a - xhat * b)
    return dx, jnp.sum(dy * xhat, axis=0), jnp.sum(dy, axis=0)


ln = Planted("stranger_layer_norm", __file__, ln_forward, ln_args)
ln.right("as_it_is", ln_backward)


@ln.wrong(
    "mean_path_cut",
    "C2",
    ["path: @ln_mean missing", "path: @ln_centre missing"],
)
def _ln_no_mean(residuals, dy):
    xhat, rstd, gamma, _, _ = residuals
    dxhat = dy * gamma[None, :]
    b = jnp.mean(dxhat * xhat, axis=-1, keepdims=True)
    return (
        rstd * (dxhat - xhat * b),
        jnp.sum(dy * xhat, axis=0),
        jnp.sum(dy, axis=0),
    )


@ln.wrong(
    "statistics_held_constant",
    "C2",
    [
        "path: @ln_mean missing @ln_rstd missing",
        "path: @ln_mean missing @ln_var missing",
        "path: @ln_centre missing @ln_rstd missing",
        "path: @ln_mean missing @ln_xhat missing",
        "path: @ln_centre missing @ln_xhat missing",
    ],
)
def _ln_constant(residuals, dy):
    xhat, rstd, gamma, _, _ = residuals
    return (
        rstd * dy * gamma[None, :],
        jnp.sum(dy * xhat, axis=0),
        jnp.sum(dy, axis=0),
    )


@ln.wrong(
    "variance_path_sign",
    "C3",
    [
        "edit: @ln_sign",
        "path: @ln_var negated",
        "path: @ln_rstd negated",
        "path: @ln_xhat negated",
    ],
)
def _ln_sign(residuals, dy):
    xhat, rstd, gamma, _, _ = residuals
    dxhat = dy * gamma[None, :]
    a = jnp.mean(dxhat, axis=-1, keepdims=True)
    b = jnp.mean(dxhat * xhat, axis=-1, keepdims=True)
    dx = rstd * (dxhat - a + xhat * b)  # @ln_sign
    return dx, jnp.sum(dy * xhat, axis=0), jnp.sum(dy, axis=0)


def ln_keeps_x(x, gamma, beta):
    y, residuals = ln_forward(x, gamma, beta)
    return y, (x, *residuals[1:])


ln.wrong(
    "input_for_normalised",
    "C9",
    ["residual: residuals[0]", "residual: args[0]"],
    ln_backward,
    forward=ln_keeps_x,
)


@ln.wrong(
    "centred_for_normalised",
    "C9",
    ["residual: residuals[3] residuals[0]", "factor: missing residuals[1]"],
)
def _ln_centred(residuals, dy):
    xhat, rstd, gamma, xc, _ = residuals
    dx, _, dbeta = ln_backward(residuals, dy)
    return dx, jnp.sum(dy * xc, axis=0), dbeta


@ln.wrong(
    "without_gamma",
    "C2",
    [
        "factor: missing args[1]",
        "factor: missing residuals[2]",
        "path: @ln_affine",
        "residual: residuals[2] 1",
    ],
)
def _ln_no_gamma(residuals, dy):
    xhat, rstd, gamma, xc, mean = residuals
    return (
        ln_backward((xhat, rstd, jnp.ones_like(gamma), xc, mean), dy)[0],
        *ln_backward(residuals, dy)[1:],
    )


@ln.wrong("dgamma_averaged", "C4", ["scale: 1/args[0].shape[0]"])
def _ln_mean_dgamma(residuals, dy):
    dx, dgamma, dbeta = ln_backward(residuals, dy)
    return dx, dgamma / dy.shape[0], dbeta


@ln.wrong("dbeta_not_summed", "C5", ["sum: axis 0"])
def _ln_dbeta(residuals, dy):
    return (*ln_backward(residuals, dy)[:2], dy)


@ln.wrong("means_over_the_batch", "C6", ["edit: @ln_axis_a", "edit: @ln_axis_b"])
def _ln_axis(residuals, dy):
    xhat, rstd, gamma, _, _ = residuals
    dxhat = dy * gamma[None, :]
    a = jnp.mean(dxhat, axis=0, keepdims=True)  # @ln_axis_a
    b = jnp.mean(dxhat * xhat, axis=-1, keepdims=True)
    dx = rstd * (dxhat - a - xhat * b)  # @ln_axis_b
    return dx, jnp.sum(dy * xhat, axis=0), jnp.sum(dy, axis=0)


# RMS norm


def rms_args():
    return normal(5, 7, seed=7), normal(7, seed=8)


def rms_forward(x, gamma):
    ms = jnp.mean(x * x, axis=-1, keepdims=True)  # @rms_ms
    r = lax.rsqrt(ms + EPS)  # @rms_r
    return x * r * gamma[None, :], (x, r, gamma)  # @rms_y


def rms_backward(residuals, dy):
    x, r, gamma = residuals
    dxhat = dy * gamma[None, :]
    xhat = x * r
    dx = r * (dxhat - xhat * jnp.mean(dxhat * xhat, axis=-1, keepdims=True))
    return dx, jnp.sum(dy * xhat, axis=0)


rms = Planted("rms_norm", __file__, rms_forward, rms_args)
rms.right("as_it_is", rms_backward)


@rms.wrong(
    "norm_held_constant",
    "C2",
    ["path: @rms_r missing", "path: @rms_ms missing", "path: @rms_y missing"],
)
def _rms_constant(residuals, dy):
    x, r, gamma = residuals
    return dy * gamma[None, :] * r, jnp.sum(dy * x * r, axis=0)


@rms.wrong(
    "sum_for_mean",
    "C4",
    [
        "edit: @rms_sum",
        "path: @rms_r scaled args[0].shape[1]",
        "path: @rms_ms scaled args[0].shape[1]",
        "path: @rms_y scaled args[0].shape[1]",
    ],
)
def _rms_sum(residuals, dy):
    x, r, gamma = residuals
    dxhat, xhat = dy * gamma[None, :], x * r
    dx = r * (dxhat - xhat * jnp.sum(dxhat * xhat, axis=-1, keepdims=True))  # @rms_sum
    return dx, jnp.sum(dy * xhat, axis=0)


@rms.wrong(
    "dgamma_without_r",
    "C2",
    ["edit: @rms_dgamma", "residual: residuals[1] 1", "factor: missing residuals[1]"],
)
def _rms_dgamma(residuals, dy):
    x, r, gamma = residuals
    dx, _ = rms_backward(residuals, dy)
    return dx, jnp.sum(dy * x, axis=0)  # @rms_dgamma


@rms.wrong(
    "square_of_r_forgotten",
    "C4",
    [
        "edit: @rms_square",
        "residual: residuals[1]",
        "path: @rms_r",
        "path: @rms_ms",
        "path: @rms_y",
    ],
)
def _rms_square(residuals, dy):
    x, r, gamma = residuals
    dxhat = dy * gamma[None, :]
    inner = jnp.mean(dxhat * x, axis=-1, keepdims=True)
    dx = r * dxhat - r**2 * x * inner  # @rms_square
    return dx, jnp.sum(dy * x * r, axis=0)


# Batch norm, training statistics


def bn_args():
    return normal(11, 3, seed=9, shift=0.3), normal(3, seed=10), normal(3, seed=11)


def bn_forward(x, gamma, beta):
    mean = jnp.mean(x, axis=0)  # @bn_mean
    xc = x - mean[None, :]  # @bn_centre
    var = jnp.mean(xc**2, axis=0)  # @bn_var
    istd = 1 / jnp.sqrt(var + EPS)  # @bn_istd
    xhat = xc * istd[None, :]  # @bn_xhat
    return xhat * gamma[None, :] + beta[None, :], (xhat, istd, gamma, xc)


def bn_backward(residuals, dy):
    xhat, istd, gamma, _ = residuals
    n = dy.shape[0]
    dgamma, dbeta = jnp.sum(dy * xhat, axis=0), jnp.sum(dy, axis=0)
    inner = n * dy - dbeta[None, :] - xhat * dgamma[None, :]
    return (gamma * istd / n)[None, :] * inner, dgamma, dbeta


def bn_long(residuals, dy, with_zero_term):
    """The chain rule as it is first written down: dvar, then dmean."""
    xhat, istd, gamma, xc = residuals
    n = dy.shape[0]
    dxhat = dy * gamma[None, :]
    dvar = jnp.sum(dxhat * xc, axis=0) * -0.5 * istd**3
    dmean = -jnp.sum(dxhat, axis=0) * istd
    if with_zero_term:
        dmean = dmean + dvar * jnp.mean(-2 * xc, axis=0)
    dx = dxhat * istd[None, :] + dvar[None, :] * 2 * xc / n + dmean[None, :] / n
    return dx, jnp.sum(dy * xhat, axis=0), jnp.sum(dy, axis=0)


bn = Planted("batch_norm", __file__, bn_forward, bn_args)
bn.right("as_it_is", bn_backward)
bn.right("zero_term_kept", lambda r, dy: bn_long(r, dy, True))
bn.right("zero_term_left_out", lambda r, dy: bn_long(r, dy, False))


@bn.wrong("mean_path_cut", "C2", ["path: @bn_mean missing", "path: @bn_centre missing"])
def _bn_no_mean(residuals, dy):
    xhat, istd, gamma, _ = residuals
    n = dy.shape[0]
    dgamma, dbeta = jnp.sum(dy * xhat, axis=0), jnp.sum(dy, axis=0)
    inner = n * dy - xhat * dgamma[None, :]
    return (gamma * istd / n)[None, :] * inner, dgamma, dbeta


@bn.wrong(
    "variance_path_cut",
    "C2",
    [
        "path: @bn_var missing",
        "path: @bn_istd missing",
        "path: @bn_xhat missing",
    ],
)
def _bn_no_var(residuals, dy):
    xhat, istd, gamma, _ = residuals
    n = dy.shape[0]
    dgamma, dbeta = jnp.sum(dy * xhat, axis=0), jnp.sum(dy, axis=0)
    return (gamma * istd / n)[None, :] * (n * dy - dbeta[None, :]), dgamma, dbeta


@bn.wrong("divided_by_n_twice", "C4", ["scale: 1/args[0].shape[0]"])
def _bn_twice(residuals, dy):
    dx, dgamma, dbeta = bn_backward(residuals, dy)
    return dx / dy.shape[0], dgamma, dbeta


def bn_keeps_x(x, gamma, beta):
    y, residuals = bn_forward(x, gamma, beta)
    return y, (*residuals, x)


@bn.wrong(
    "dgamma_from_x",
    "C9",
    ["residual: residuals[4] residuals[0]", "residual: args[0] residuals[0]"],
    forward=bn_keeps_x,
)
def _bn_dgamma(residuals, dy):
    dx, _, dbeta = bn_backward(residuals[:4], dy)
    return dx, jnp.sum(dy * residuals[4], axis=0), dbeta
