"""Layer, RMS and batch normalisation."""

import functools

import jax
import jax.numpy as jnp
from jax import lax

from tests.zoo.case import (
    ALL,
    WIDE,
    Family,
    narrow,
    normal,
    ones_for,
    swapped,
    uniform,
    with_cotangent,
)

EPS = 1e-5

# layer norm


def layer_norm_f(x, gamma, beta, eps=EPS):
    mean = x.mean(-1, keepdims=True)
    var = ((x - mean) ** 2).mean(-1, keepdims=True)
    return gamma * (x - mean) / jnp.sqrt(var + eps) + beta


def layer_args(dtype, n=4, d=7, shift=0.5):
    return (
        normal(dtype, n, d, shift=shift, scale=1.5),
        uniform(dtype, d, seed=1, low=0.5, high=1.5),
        normal(dtype, d, seed=2),
    )


def plain_layer_args(dtype):
    x = normal(dtype, 4, 7)
    return x, jnp.ones(7, dtype), jnp.zeros(7, dtype)


def layer_norm_backward(
    r, dy, mean_path=1, var_path=1, gamma=True, eps=EPS, outside=False, ddof=0, axis=0
):
    x, g, _ = r
    xc = x - x.mean(-1, keepdims=True)
    var = (xc**2).sum(-1, keepdims=True) / (x.shape[-1] - ddof)
    rstd = 1 / (jnp.sqrt(var) + eps) if outside else lax.rsqrt(var + eps)
    xhat = xc * rstd
    dxhat = dy * g if gamma else dy
    dx = dxhat
    if mean_path:
        dx = dx - mean_path * dxhat.mean(-1, keepdims=True)
    if var_path:
        dx = dx - var_path * xhat * (dxhat * xhat).mean(-1, keepdims=True)
    return dx * rstd, (dy * xhat).sum(0), dy.sum(0)


def layer_variant(**flags):
    return functools.partial(layer_norm_backward, **flags)


def layer_norm_three_paths(r, dy):
    x, g, _ = r
    d = x.shape[-1]
    mean, dxhat = x.mean(-1, keepdims=True), dy * g
    std = jnp.sqrt(x.var(-1, keepdims=True) + EPS)
    dvar = (dxhat * (x - mean)).sum(-1, keepdims=True) * -0.5 * std**-3
    dmean = (-dxhat / std).sum(-1, keepdims=True)
    dx = dxhat / std + dvar * 2 * (x - mean) / d + dmean / d
    return dx, ((x - mean) / std * dy).sum(0), dy.sum(0)


def layer_forward_stats(x, gamma, beta):
    rstd = lax.rsqrt(jnp.var(x, -1, keepdims=True) + EPS)
    xhat = (x - jnp.mean(x, -1, keepdims=True)) * rstd
    return xhat * gamma + beta, (xhat, rstd, gamma)


def layer_backward_stats(r, dy):
    xhat, rstd, gamma = r
    d = xhat.shape[-1]
    s = dy * gamma
    dx = (
        rstd
        / d
        * (d * s - s.sum(-1, keepdims=True) - xhat * (s * xhat).sum(-1, keepdims=True))
    )
    return dx, jnp.einsum("nd,nd->d", dy, xhat), jnp.einsum("nd->d", dy)


def layer_forward_one_pass(x, gamma, beta):
    var = (x * x).mean(-1, keepdims=True) - x.mean(-1, keepdims=True) ** 2
    y = layer_norm_f(x, gamma, beta)
    rstd = lax.rsqrt(var + EPS)
    return y, ((x - x.mean(-1, keepdims=True)) * rstd, rstd, gamma)


def layer_backward_vmapped(r, dy):
    x, g, b = r

    def row(x, dy):
        dx, dg, db = layer_norm_backward((x[None], g, b), dy[None])
        return dx[0], dg, db

    dx, dg, db = jax.vmap(row)(x, dy)
    return dx, dg.sum(0), db.sum(0)


def layer_backward_scanned(r, dy):
    x, g, b = r

    def step(carry, row):
        dx, dg, db = layer_norm_backward((row[0][None], g, b), row[1][None])
        return (carry[0] + dg, carry[1] + db), dx[0]

    (dg, db), dx = lax.scan(step, (jnp.zeros_like(g), jnp.zeros_like(b)), (x, dy))
    return dx, dg, db


layer = Family("layer_norm", layer_norm_f, layer_args)
layer.right("recomputed", layer_norm_backward)
layer.right("three_paths", layer_norm_three_paths)
layer.right("stored_statistics", layer_backward_stats, forward=layer_forward_stats)
layer.right("vmapped_rows", layer_backward_vmapped)
layer.right("scan_accumulates_parameters", layer_backward_scanned, dtypes=WIDE)
layer.right(
    "term_that_is_zero_kept",
    lambda r, dy: (
        layer_norm_backward(r, dy)[0]
        - 2 / 7 * (r[0] - r[0].mean(-1, keepdims=True)).mean(-1, keepdims=True),
        *layer_norm_backward(r, dy)[1:],
    ),
    "Σ(x-μ) = 0 may be kept or left out.",
)
layer.right(
    "float32_inside",
    lambda r, dy: tuple(
        v.astype(dy.dtype)
        for v in layer_norm_backward(
            tuple(a.astype(narrow.f32) for a in r), dy.astype(narrow.f32)
        )
    ),
    "Widened inside.",
    dtypes=("float32", "bfloat16", "float16"),
    forward=lambda x, g, b: (
        layer_norm_f(*(a.astype(narrow.f32) for a in (x, g, b))).astype(x.dtype),
        (x, g, b),
    ),
)
layer.right("at_gamma_1_beta_0", layer_norm_backward, args=plain_layer_args)
layer.wrong(
    "mean_path_missing", 0, layer_variant(mean_path=0), "The path through the mean."
)
layer.wrong(
    "variance_path_missing",
    0,
    layer_variant(var_path=0),
    "The path through the variance.",
)
layer.wrong(
    "both_paths_missing",
    0,
    layer_variant(mean_path=0, var_path=0),
    "The statistics are taken for constants.",
)
layer.wrong(
    "variance_path_doubled",
    0,
    layer_variant(var_path=2),
    "A factor 2 on the variance path.",
)
layer.wrong("gamma_forgotten", 0, layer_variant(gamma=False), "γ is missing in dx.")
layer.wrong(
    "gamma_forgotten_at_1",
    0,
    layer_variant(gamma=False),
    "γ is missing in dx, and γ is 1.",
    args=plain_layer_args,
    visible_at="other values",
    elsewhere=layer_args,
)
layer.wrong(
    "eps_forgotten", (0, 1), layer_variant(eps=0.0), "ε is left out of the backward."
)
layer.wrong(
    "eps_outside_the_root",
    (0, 1),
    layer_variant(outside=True),
    "√var + ε for √(var + ε).",
)
layer.wrong("eps_1e-6", (0, 1), layer_variant(eps=1e-6), "ε of another framework.")
layer.wrong("unbiased_variance", (0, 1), layer_variant(ddof=1), "1/(n-1) for 1/n.")
layer.wrong(
    "gamma_gradient_of_raw_input",
    1,
    lambda r, dy: (layer_norm_backward(r, dy)[0], (dy * r[0]).sum(0), dy.sum(0)),
    "x for x̂ in dγ.",
)
layer.wrong(
    "parameters_averaged",
    (1, 2),
    lambda r, dy: (
        layer_norm_backward(r, dy)[0],
        layer_norm_backward(r, dy)[1] / 4,
        dy.mean(0),
    ),
    "Mean over the rows.",
)
layer.wrong(
    "parameters_averaged_at_batch_1",
    (1, 2),
    lambda r, dy: (
        layer_norm_backward(r, dy)[0],
        layer_norm_backward(r, dy)[1] / dy.shape[0],
        dy.mean(0),
    ),
    "Mean over the rows, of which there is one.",
    args=lambda d: layer_args(d, n=1),
    visible_at="other shape",
    elsewhere=layer_args,
)
layer.wrong(
    "gamma_and_beta_swapped",
    (1, 2),
    swapped(layer_norm_backward, 1, 2),
    "dγ and dβ exchanged.",
)
layer.wrong(
    "axis_of_parameters_on_a_square",
    2,
    lambda r, dy: (*layer_norm_backward(r, dy)[:2], dy.sum(1)),
    "dβ sums over the features; the shapes agree on a square.",
    args=lambda d: layer_args(d, n=5, d=5),
)
layer.wrong(
    "beta_from_output",
    1,
    lambda r, dy: (*layer_backward_stats(r[0], dy)[:1], (dy * r[1]).sum(0), dy.sum(0)),
    "y for x̂ in dγ.",
    forward=lambda *a: (
        layer_norm_f(*a),
        (layer_forward_stats(*a)[1], layer_norm_f(*a)),
    ),
)
layer.wrong(
    "ones_for_dy",
    (0, 1, 2),
    with_cotangent(layer_norm_backward, ones_for),
    "dy is ignored.",
)
layer.imprecise(
    "one_pass_variance_at_mean_100",
    (0, 1),
    layer_backward_stats,
    "E[x²] - E[x]² in the statistics.",
    ALL,
    forward=layer_forward_one_pass,
    args=lambda d: layer_args(d, shift=100.0),
)
layer.imprecise(
    "float32_inside_float64",
    (0, 1, 2),
    lambda r, dy: tuple(
        a.astype(dy.dtype)
        for a in layer_norm_backward(
            tuple(a.astype(narrow.f32) for a in r), dy.astype(narrow.f32)
        )
    ),
    "A float32 rule called with float64.",
    ("float64",),
)
layer.imprecise(
    "half_statistics",
    (0, 1),
    lambda r, dy: layer_backward_stats((r[0].astype(dy.dtype), r[1], r[2]), dy),
    "x̂ is kept in bfloat16.",
    ("float32",),
    forward=lambda *a: (lambda y, r: (y, (r[0].astype(narrow.bf16), r[1], r[2])))(
        *layer_forward_stats(*a)
    ),
)

# rms norm


def rms_f(x, gamma):
    return x * lax.rsqrt((x * x).mean(-1, keepdims=True) + EPS) * gamma


def rms_args(dtype):
    return normal(dtype, 3, 5), uniform(dtype, 5, seed=1, low=0.5, high=1.5)


def rms_backward(r, dy, path=True, power=3, mean=True, gamma=True):
    x, g = r
    rstd = lax.rsqrt((x * x).mean(-1, keepdims=True) + EPS)
    s = dy * g if gamma else dy
    dot = (s * x).mean(-1, keepdims=True) if mean else (s * x).sum(-1, keepdims=True)
    dx = rstd * s - rstd**power * x * dot if path else rstd * s
    return dx, (dy * x * rstd).sum(0)


rms = Family("rms_norm", rms_f, rms_args)
rms.right("cubed_rstd", rms_backward)
rms.right(
    "normalised",
    lambda r, dy: (
        lambda x, g, s: (
            s * (dy * g - x * s * (dy * g * x * s).mean(-1, keepdims=True)),
            (dy * x * s).sum(0),
        )
    )(*r, lax.rsqrt(jnp.square(r[0]).mean(-1, keepdims=True) + EPS)),
)
rms.right(
    "einsum",
    lambda r, dy: (
        lambda n, s, g: (
            s
            * (dy * g - n * jnp.einsum("nd,nd,d->n", dy, n, g)[:, None] / n.shape[-1]),
            jnp.einsum("nd,nd->d", dy, n),
        )
    )(*r),
    forward=lambda x, g: (
        rms_f(x, g),
        (
            x * lax.rsqrt((x * x).mean(-1, keepdims=True) + EPS),
            lax.rsqrt((x * x).mean(-1, keepdims=True) + EPS),
            g,
        ),
    ),
)
rms.imprecise(
    "weight_product_in_float16",
    (0, 1),
    lambda r, dy: tuple(
        a.astype(dy.dtype)
        for a in rms_backward(
            tuple(a.astype(narrow.f16) for a in r), dy.astype(narrow.f16)
        )
    ),
    "The backward runs in float16.",
    ("float32",),
)
rms.wrong(
    "path_missing",
    0,
    functools.partial(rms_backward, path=False),
    "The norm is taken for a constant.",
)
rms.wrong("power", 0, functools.partial(rms_backward, power=2), "rstd² for rstd³.")
rms.wrong(
    "sum_for_mean", 0, functools.partial(rms_backward, mean=False), "1/d is missing."
)
rms.wrong(
    "gamma", 0, functools.partial(rms_backward, gamma=False), "γ is missing in dx."
)
rms.wrong(
    "gamma_not_summed_over_rows",
    1,
    lambda r, dy: (rms_backward(r, dy)[0], (dy * rms_f(r[0], 1))[0]),
    "Only the first row reaches dγ.",
)
rms.wrong(
    "of_layer_norm",
    0,
    lambda r, dy: (layer_norm_backward((*r, 0), dy)[0], rms_backward(r, dy)[1]),
    "The mean is subtracted.",
)
rms.imprecise(
    "squares_overflow",
    (0, 1),
    rms_backward,
    "x² at 300 overflows in float16; the forward scales first.",
    ("float16",),
    forward=lambda x, g: (
        x
        / 256
        * lax.rsqrt((x / 256 * (x / 256)).mean(-1, keepdims=True) + EPS / 65536)
        * g,
        (x, g),
    ),
    args=lambda d: (normal(d, 3, 5, scale=300.0), uniform(d, 5, seed=1)),
)

# batch norm over the first axis, with the statistics as further outputs


def batch_f(x, gamma, beta):
    mean, var = x.mean(0), x.var(0)
    y = gamma * (x - mean) / jnp.sqrt(var + EPS) + beta
    return {"y": y, "mean": mean, "var": var}


def batch_args(dtype):
    return (
        normal(dtype, 7, 3, shift=1.0),
        uniform(dtype, 3, seed=1, low=0.5, high=1.5),
        normal(dtype, 3, seed=2),
    )


def batch_backward(r, dy, stats=True, mean_path=True, var_path=True, n=None, two=2):
    x, g, _ = r
    n = x.shape[0] if n is None else n
    mean, rstd = x.mean(0), lax.rsqrt(x.var(0) + EPS)
    xhat, s = (x - mean) * rstd, dy["y"] * g
    dx = s
    if mean_path:
        dx = dx - s.sum(0) / n
    if var_path:
        dx = dx - xhat * (s * xhat).sum(0) / n
    dx = dx * rstd
    if stats:
        dx = dx + dy["mean"] / x.shape[0] + two * dy["var"] * (x - mean) / x.shape[0]
    return dx, (dy["y"] * xhat).sum(0), dy["y"].sum(0)


batch = Family("batch_norm", batch_f, batch_args)
batch.right("centred", batch_backward)
batch.right(
    "expanded_mean_path",
    lambda r, dy: (
        batch_backward(r, dy)[0] + 0 * (r[0] - r[0].mean(0)).mean(0),
        *batch_backward(r, dy)[1:],
    ),
    "The term that is identically zero is kept.",
)


def batch_one_pass(r, dy):
    x, g, _ = r
    mean = x.mean(0)
    rstd = lax.rsqrt((x * x).mean(0) - mean**2 + EPS)
    xhat, s = (x - mean) * rstd, dy["y"] * g
    dx = rstd * (s - s.mean(0) - xhat * (s * xhat).mean(0))
    dx = dx + (dy["mean"] + 2 * dy["var"] * (x - mean)) / len(x)
    return dx, (dy["y"] * xhat).sum(0), dy["y"].sum(0)


batch.right(
    "one_pass_at_mean_0",
    batch_one_pass,
    "E[x²] - E[x]² loses nothing near mean 0.",
    args=lambda d: (normal(d, 7, 3), *batch_args(d)[1:]),
    dtypes=WIDE,
)
batch.imprecise(
    "one_pass_at_mean_200",
    (0, 1),
    batch_one_pass,
    "E[x²] - E[x]² at mean 200.",
    ALL,
    args=lambda d: (normal(d, 7, 3, shift=200.0), *batch_args(d)[1:]),
)
batch.wrong(
    "cotangent_of_statistics_dropped",
    0,
    functools.partial(batch_backward, stats=False),
    "Two of three outputs' cotangents are lost.",
)
batch.wrong(
    "mean_path",
    0,
    functools.partial(batch_backward, mean_path=False),
    "The path through the mean.",
)
batch.wrong(
    "variance_path",
    0,
    functools.partial(batch_backward, var_path=False),
    "The path through the variance.",
)
batch.wrong(
    "batch_minus_one", 0, functools.partial(batch_backward, n=6), "1/(n-1) for 1/n."
)
batch.wrong(
    "two_forgotten",
    0,
    functools.partial(batch_backward, two=1),
    "The 2 of d(x²) in the variance output.",
)
batch.wrong(
    "evaluation_mode",
    0,
    functools.partial(batch_backward, mean_path=False, var_path=False),
    "Running statistics are assumed.",
)


def batch4_f(x, gamma, beta):
    mean = x.mean((0, 2, 3), keepdims=True)
    var = x.var((0, 2, 3), keepdims=True)
    return (x - mean) * lax.rsqrt(var + EPS) * gamma[:, None, None] + beta[
        :, None, None
    ]


def batch4_args(dtype, hw=(3, 5)):
    return (
        normal(dtype, 2, 4, *hw),
        uniform(dtype, 4, seed=1, low=0.5, high=2.0),
        normal(dtype, 4, seed=2),
    )


def batch4_backward(r, dy, axes=(0, 2, 3), count=None):
    x, g, _ = r
    mean, rstd = (
        x.mean((0, 2, 3), keepdims=True),
        lax.rsqrt(x.var((0, 2, 3), keepdims=True) + EPS),
    )
    xhat, s = (x - mean) * rstd, dy * g[:, None, None]
    n = count or x.size // x.shape[1]
    dx = rstd * (
        s
        - s.sum(axes, keepdims=True) / n
        - xhat * (s * xhat).sum(axes, keepdims=True) / n
    )
    return dx, (dy * xhat).sum((0, 2, 3)), dy.sum((0, 2, 3))


batch4 = Family("batch_norm_images", batch4_f, batch4_args)
batch4.right("sums_over_three_axes", batch4_backward)
batch4.right(
    "channels_last_inside",
    lambda r, dy: (lambda dx, dg, db: (dx.transpose(0, 3, 1, 2), dg, db))(
        *(
            lambda x, g, d: (
                lambda xh, rs: (
                    rs * g * (d - d.mean((0, 1, 2)) - xh * (d * xh).mean((0, 1, 2))),
                    (d * xh).sum((0, 1, 2)),
                    d.sum((0, 1, 2)),
                )
            )(
                (x - x.mean((0, 1, 2))) * lax.rsqrt(x.var((0, 1, 2)) + EPS),
                lax.rsqrt(x.var((0, 1, 2)) + EPS),
            )
        )(r[0].transpose(0, 2, 3, 1), r[1], dy.transpose(0, 2, 3, 1))
    ),
)
batch4.wrong(
    "divided_by_batch_only",
    0,
    functools.partial(batch4_backward, count=2),
    "H·W is missing in the count.",
)
batch4.wrong(
    "divided_by_batch_only_at_1x1",
    0,
    lambda r, dy: batch4_backward(r, dy, count=r[0].shape[0]),
    "H·W is missing in the count, and is 1.",
    args=lambda d: batch4_args(d, (1, 1)),
    visible_at="other shape",
    elsewhere=batch4_args,
)
batch4.wrong(
    "instance_statistics",
    0,
    lambda r, dy: batch4_backward(r, dy, axes=(2, 3), count=15),
    "The sums run within each image.",
)
