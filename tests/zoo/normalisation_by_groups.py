"""Group, L2 and weight normalisation, standardising."""

import functools

import jax.numpy as jnp
from jax import lax

from tests.zoo.case import (
    ALL,
    Family,
    array,
    narrow,
    normal,
    uniform,
    without,
)

EPS = 1e-5

# group norm


def group_f(x, gamma, groups=2):
    z = x.reshape(x.shape[0], groups, -1)
    z = (z - z.mean(-1, keepdims=True)) / jnp.sqrt(z.var(-1, keepdims=True) + EPS)
    return z.reshape(x.shape) * gamma[:, None]


def group_args(dtype):
    return normal(dtype, 3, 6, 5), uniform(dtype, 6, seed=1, low=0.5, high=1.5)


def group_backward(r, dy, groups=2, interleaved=False, gamma_axes=(0, 2)):
    x, g = r
    n, c, t = x.shape

    def split(a):
        if interleaved:
            a = a.reshape(n, c // groups, groups, t).transpose(0, 2, 1, 3)
        return a.reshape(n, groups, -1)

    def join(a):
        if interleaved:
            return (
                a.reshape(n, groups, c // groups, t)
                .transpose(0, 2, 1, 3)
                .reshape(x.shape)
            )
        return a.reshape(x.shape)

    z, s = split(x), split(dy * g[:, None])
    rstd = lax.rsqrt(z.var(-1, keepdims=True) + EPS)
    zhat = (z - z.mean(-1, keepdims=True)) * rstd
    dz = rstd * (
        s - s.mean(-1, keepdims=True) - zhat * (s * zhat).mean(-1, keepdims=True)
    )
    return join(dz), (dy * join(zhat)).sum(gamma_axes)


group = Family("group_norm", group_f, group_args)
group.right("reshaped", group_backward)
group.right(
    "per_group_loop",
    lambda r, dy: (
        lambda parts: (
            jnp.concatenate([p[0] for p in parts], 1),
            jnp.concatenate([p[1] for p in parts]),
        )
    )(
        [
            group_backward((r[0][:, k : k + 3], r[1][k : k + 3]), dy[:, k : k + 3], 1)
            for k in (0, 3)
        ]
    ),
)
group.imprecise(
    "float16_inside",
    (0, 1),
    lambda r, dy: tuple(
        a.astype(dy.dtype)
        for a in group_backward(
            tuple(a.astype(narrow.f16) for a in r), dy.astype(narrow.f16)
        )
    ),
    "The backward runs in float16.",
    ("float32",),
)
group.wrong(
    "interleaved_groups",
    (0, 1),
    functools.partial(group_backward, interleaved=True),
    "Channels are assigned to groups in the wrong order.",
)
group.wrong(
    "three_groups",
    (0, 1),
    functools.partial(group_backward, groups=3),
    "The wrong number of groups.",
)
group.wrong(
    "instance_norm",
    (0, 1),
    functools.partial(group_backward, groups=6),
    "Each channel is its own group.",
)
group.wrong(
    "gamma_sum_misses_the_batch",
    1,
    lambda r, dy: (
        group_backward(r, dy)[0],
        group_backward((r[0][:1], r[1]), dy[:1])[1],
    ),
    "Only the first example reaches dγ.",
)

# L2 normalisation


def l2_f(x):
    return x / jnp.linalg.norm(x, axis=-1, keepdims=True)


def l2_backward(r, dy):
    (x,), y = r
    return (
        (dy - y * (dy * y).sum(-1, keepdims=True))
        / jnp.linalg.norm(x, axis=-1, keepdims=True),
    )


l2 = Family("l2_normalise", l2_f, lambda d: (normal(d, 4, 3),), save="xy")
l2.right("projection", l2_backward)
l2.right(
    "quotient_rule",
    lambda r, dy: (lambda x, n: (dy / n - x * (dy * x).sum(-1, keepdims=True) / n**3,))(
        r[0], jnp.sqrt((r[0] ** 2).sum(-1, keepdims=True))
    ),
    save="x",
)
l2.right(
    "scaled_by_1e-3",
    l2_backward,
    "Small rows.",
    args=lambda d: (normal(d, 4, 3, scale=1e-3),),
    dtypes=("float32", "float64", "bfloat16"),
)
l2.wrong(
    "no_projection",
    0,
    lambda r, dy: (dy / jnp.linalg.norm(r[0][0], axis=-1, keepdims=True),),
    "The norm is taken for a constant.",
)
l2.wrong(
    "projection_on_x",
    0,
    lambda r, dy: (lambda x, n: (dy / n - x * (dy * x).sum(-1, keepdims=True) / n,))(
        r[0], jnp.linalg.norm(r[0], axis=-1, keepdims=True)
    ),
    "1/n for 1/n³, right for unit rows.",
    save="x",
)
l2.wrong(
    "projection_on_x_of_unit_rows",
    0,
    lambda r, dy: (lambda x, n: (dy / n - x * (dy * x).sum(-1, keepdims=True) / n,))(
        r[0], jnp.linalg.norm(r[0], axis=-1, keepdims=True)
    ),
    "1/n for 1/n³, and every given row has norm 1.",
    save="x",
    args=lambda d: (array(d, (0.0, 1.0, 0.0), (-1.0, 0.0, 0.0)),),
    visible_at="other values",
    elsewhere=lambda d: (normal(d, 4, 3),),
)
l2.wrong(
    "not_divided",
    0,
    lambda r, dy: (dy - r[1] * (dy * r[1]).sum(-1, keepdims=True),),
    "The division by the norm is missing.",
)
l2.imprecise(
    "norm_of_squares_overflows",
    0,
    lambda r, dy: (lambda x, n: (dy / n - x * (dy * x).sum(-1, keepdims=True) / n**3,))(
        r[0], jnp.sqrt((r[0] ** 2).sum(-1, keepdims=True))
    ),
    "x² overflows, where the forward scales by the maximum.",
    ("float16",),
    forward=lambda x: (lambda z: (z / jnp.sqrt((z * z).sum(-1, keepdims=True)), (x,)))(
        x / lax.stop_gradient(jnp.abs(x).max(-1, keepdims=True))
    ),
    args=lambda d: (normal(d, 4, 3, scale=400.0),),
)

# weight normalisation


def weight_norm_f(v, g, x):
    return x @ (g * v / jnp.sqrt((v * v).sum(0)))


def weight_norm_args(dtype):
    return (
        normal(dtype, 5, 3),
        uniform(dtype, 3, seed=1, low=0.5, high=2.0),
        normal(dtype, 4, 5, seed=2),
    )


def weight_norm_backward(r, dy, direction=True, dg_of_v=False, axis=0):
    v, g, x = r
    n = jnp.sqrt((v * v).sum(0))
    u = v / n
    dw = x.T @ dy
    dg = (dw * (v if dg_of_v else u)).sum(0)
    dv = g / n * (dw - u * (dw * u).sum(0)) if direction else g / n * dw
    return dv, dg, dy @ (g * u).T


weight_norm = Family("weight_norm", weight_norm_f, weight_norm_args)
weight_norm.right("projection", weight_norm_backward)
weight_norm.right(
    "by_dg",
    lambda r, dy: (
        lambda dv, dg, dx, n: (
            r[1] / n * (r[2].T @ dy) - r[1] * dg * r[0] / n**2,
            dg,
            dx,
        )
    )(*weight_norm_backward(r, dy), jnp.linalg.norm(r[0], axis=0)),
)
weight_norm.wrong(
    "direction_not_projected",
    0,
    functools.partial(weight_norm_backward, direction=False),
    "The norm is taken for a constant.",
)
weight_norm.wrong(
    "magnitude_of_v",
    1,
    functools.partial(weight_norm_backward, dg_of_v=True),
    "v for v/|v| in dg.",
)
weight_norm.wrong(
    "magnitude_frozen", 1, without(weight_norm_backward, 1), "No gradient for g."
)

# standardising a whole array, and local response normalisation

standardise = Family(
    "standardise",
    lambda x: (x - x.mean()) / x.std(ddof=1),
    lambda d: (normal(d, 11),),
    save="xy",
)
standardise.right(
    "unbiased",
    lambda r, dy: (
        lambda x, y: (
            (dy - dy.mean() - y * (dy * y).sum() / (x.size - 1)) / x.std(ddof=1),
        )
    )(r[0][0], r[1]),
)
standardise.wrong(
    "biased",
    0,
    lambda r, dy: (
        lambda x, y: ((dy - dy.mean() - y * (dy * y).mean()) / x.std(ddof=1),)
    )(r[0][0], r[1]),
    "1/n for 1/(n-1).",
)
standardise.imprecise(
    "one_pass_in_the_backward",
    0,
    lambda r, dy: (
        lambda x, s: (
            (dy - dy.mean()) / s
            - (x - x.mean()) * (dy * (x - x.mean())).sum() / (x.size - 1) / s**3,
        )
    )(r[0], jnp.sqrt(((r[0] ** 2).mean() - r[0].mean() ** 2) * 11 / 10)),
    "E[x²] - E[x]² at mean 200.",
    ALL,
    save="x",
    args=lambda d: (normal(d, 11, shift=200.0),),
)


def lrn_f(x, k=1.0, alpha=0.2):
    s = k + alpha * jnp.convolve(x * x, jnp.ones(3, x.dtype), "same")
    return x / jnp.sqrt(s)


def lrn_backward(r, dy, two=2.0, window=3):
    (x,) = r
    s = 1 + 0.2 * jnp.convolve(x * x, jnp.ones(3, x.dtype), "same")
    inner = jnp.convolve(dy * x * s**-1.5, jnp.ones(window, x.dtype), "same")
    return (dy / jnp.sqrt(s) - 0.2 * two / 2 * x * inner,)


lrn = Family("local_response_norm", lrn_f, lambda d: (normal(d, 9),))
lrn.right("window_of_the_window", lrn_backward)
lrn.wrong(
    "own_entry_only",
    0,
    functools.partial(lrn_backward, window=1),
    "The neighbours' denominators are forgotten.",
)
lrn.wrong(
    "half", 0, functools.partial(lrn_backward, two=1.0), "The 2 of d(x²) is missing."
)
