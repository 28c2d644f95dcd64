"""Convolutions, pooling and resampling."""

import functools

import jax
import jax.numpy as jnp
from jax import lax

from tests.zoo.case import Family, array, narrow, normal, without

# one-dimensional valid correlation, x (n, c, t), w (o, c, k)


def conv1_f(x, w, b):
    return lax.conv_general_dilated(x, w, (1,), "VALID") + b[None, :, None]


def conv1_args(dtype, n=2, c=3, t=7, o=4, k=3):
    return (
        normal(dtype, n, c, t),
        normal(dtype, o, c, k, seed=1),
        normal(dtype, o, seed=2),
    )


def windows(x, k):
    return jnp.stack([x[..., j : x.shape[-1] - k + 1 + j] for j in range(k)], axis=-1)


def conv1_backward(
    r, dy, flip=True, shift=0, db=lambda dy: dy.sum((0, 2)), dw=lambda a: a
):
    x, w, _ = r
    k = w.shape[-1]
    padded = jnp.pad(dy, ((0, 0), (0, 0), (k - 1, k - 1)))
    kernel = w[..., ::-1] if flip else w
    dx = jnp.einsum("notk,ock->nct", jnp.roll(windows(padded, k), shift, 2), kernel)
    return dx, dw(jnp.einsum("not,nctk->ock", dy, windows(x, k))), db(dy)


def conv1_transposed(r, dy):
    x, w, _ = r
    dx = lax.conv_general_dilated(dy, w[..., ::-1].transpose(1, 0, 2), (1,), [(2, 2)])
    dw = lax.conv_general_dilated(
        x.transpose(1, 0, 2), dy.transpose(1, 0, 2), (1,), "VALID"
    )
    return dx, dw.transpose(1, 0, 2), jnp.einsum("not->o", dy)


def conv1_shifts(r, dy):
    x, w, _ = r
    t = dy.shape[-1]
    dx, dw = jnp.zeros_like(x), jnp.zeros_like(w)
    for j in range(w.shape[-1]):
        dx = dx.at[..., j : j + t].add(jnp.einsum("not,oc->nct", dy, w[..., j]))
        dw = dw.at[..., j].set(jnp.einsum("not,nct->oc", dy, x[..., j : j + t]))
    return dx, dw, dy.sum(axis=(0, 2))


conv1 = Family("conv1d", conv1_f, conv1_args)
conv1.right("flipped_windows", conv1_backward)
conv1.right("convolutions", conv1_transposed)
conv1.right("python_loop_over_taps", conv1_shifts)
conv1.right(
    "input_columns",
    lambda r, dy: (
        conv1_backward(r, dy)[0],
        (
            dy.transpose(1, 0, 2).reshape(4, -1)
            @ windows(r[0], 3).transpose(0, 2, 1, 3).reshape(-1, 9)
        ).reshape(4, 3, 3),
        dy.sum((0, 2)),
    ),
)
conv1.imprecise(
    "bfloat16_inside",
    (0, 1, 2),
    lambda r, dy: tuple(
        a.astype(dy.dtype)
        for a in conv1_backward(
            tuple(a.astype(narrow.bf16) for a in r), dy.astype(narrow.bf16)
        )
    ),
    "The backward runs in bfloat16.",
    ("float32",),
)
conv1.wrong(
    "kernel_not_flipped",
    0,
    functools.partial(conv1_backward, flip=False),
    "The kernel is not flipped in dx.",
)
conv1.wrong(
    "kernel_not_flipped_and_symmetric",
    0,
    functools.partial(conv1_backward, flip=False),
    "The kernel is not flipped, and is symmetric.",
    args=lambda d: (normal(d, 1, 1, 4), array(d, ((1.0, -2.0, 1.0),)), array(d, 0.5)),
    visible_at="other values",
    elsewhere=lambda d: conv1_args(d, 1, 1, 4, 1),
)
conv1.wrong(
    "off_by_one", 0, functools.partial(conv1_backward, shift=1), "dx is shifted by one."
)
conv1.wrong(
    "kernel_gradient_flipped",
    1,
    functools.partial(conv1_backward, dw=lambda a: a[..., ::-1]),
    "dw is flipped.",
)
conv1.wrong(
    "bias_of_first_position",
    2,
    functools.partial(conv1_backward, db=lambda dy: dy[:, :, 0].sum(0)),
    "Only the first position reaches the bias.",
)
conv1.wrong(
    "bias_of_first_example",
    2,
    functools.partial(conv1_backward, db=lambda dy: dy[0].sum(1)),
    "Only the first example reaches the bias.",
)
conv1.wrong(
    "bias_of_first_example_of_one",
    2,
    functools.partial(conv1_backward, db=lambda dy: dy[0].sum(1)),
    "Only the first example reaches the bias, of one.",
    args=lambda d: conv1_args(d, 1),
    visible_at="other shape",
    elsewhere=conv1_args,
)
conv1.wrong(
    "channels_transposed",
    1,
    functools.partial(conv1_backward, dw=lambda a: a.transpose(1, 0, 2)),
    "Input and output channels exchanged, equal in number.",
    args=lambda d: conv1_args(d, o=3),
)
conv1.wrong(
    "taps_overwritten",
    0,
    lambda r, dy: (
        functools.reduce(
            lambda dx, j: dx.at[..., j : j + 5].set(
                jnp.einsum("not,oc->nct", dy, r[1][..., j])
            ),
            range(3),
            jnp.zeros_like(r[0]),
        ),
        *conv1_backward(r, dy)[1:],
    ),
    "= for += where windows overlap.",
)

# two dimensions with stride and padding


def conv2_f(x, w):
    return lax.conv_general_dilated(x, w, (2, 2), [(1, 1), (1, 1)])


def conv2_backward(r, dy, dilate=2, pad_high=True, window=2, flip=(2, 3)):
    x, w = r
    k = w.shape[-1]
    extra = (x.shape[-1] + 2 - k) % 2 if pad_high else 0
    flipped = jnp.flip(w, flip).transpose(1, 0, 2, 3)
    low = k - 2
    dx = lax.conv_general_dilated(
        dy, flipped, (1, 1), [(low, low + extra)] * 2, lhs_dilation=(dilate, dilate)
    )
    dw = lax.conv_general_dilated(
        x.transpose(1, 0, 2, 3),
        dy.transpose(1, 0, 2, 3),
        (1, 1),
        [(1, 1 - extra)] * 2,
        rhs_dilation=(window, window),
    )
    return dx, dw.transpose(1, 0, 2, 3)[..., :k, :k]


conv2 = Family(
    "conv2d_strided",
    conv2_f,
    lambda d: (normal(d, 2, 3, 5, 5), normal(d, 4, 3, 3, 3, seed=1)),
)
conv2.right("dilated", conv2_backward)
conv2.wrong(
    "one_axis_flipped",
    0,
    functools.partial(conv2_backward, flip=(2,)),
    "Only the rows are flipped.",
)
conv2.wrong(
    "kernel_rotated",
    0,
    functools.partial(conv2_backward, flip=()),
    "No axis is flipped.",
)
conv2.wrong(
    "border_lost",
    0,
    lambda r, dy: (
        (lambda d: d.at[..., -1, :].set(0))(conv2_backward(r, dy)[0]),
        conv2_backward(r, dy)[1],
    ),
    "The last row gets no gradient.",
)
conv2.wrong(
    "padding_ignored_in_dw",
    1,
    lambda r, dy: (
        conv2_backward(r, dy)[0],
        conv2_backward((r[0].at[..., 0, :].set(0), r[1]), dy)[1],
    ),
    "The first row is treated as padding.",
)

depthwise = Family(
    "conv_depthwise",
    lambda x, w: lax.conv_general_dilated(
        x, w[:, None], (1,), "VALID", feature_group_count=3
    ),
    lambda d: (normal(d, 2, 3, 6), normal(d, 3, 2, seed=1)),
)


def depthwise_backward(r, dy, dw="nct,nctk->ck"):
    x, w = r
    dx = sum(
        jnp.pad(dy * w[None, :, k, None], ((0, 0), (0, 0), (k, 1 - k)))
        for k in range(2)
    )
    return dx, jnp.einsum(dw, dy, windows(x, 2))


depthwise.right("per_channel", depthwise_backward)
depthwise.wrong(
    "channels_mixed",
    1,
    lambda r, dy: (
        depthwise_backward(r, dy)[0],
        jnp.broadcast_to(depthwise_backward(r, dy)[1].sum(0), (3, 2)),
    ),
    "dw is summed over the channels.",
)
depthwise.wrong(
    "taps_reversed",
    0,
    lambda r, dy: (
        depthwise_backward((r[0], r[1][:, ::-1]), dy)[0],
        depthwise_backward(r, dy)[1],
    ),
    "The taps are reversed in dx.",
)

# pooling


def max_pool_f(x, k=2, stride=2):
    return windows2(x, k, stride).max(-1)


def windows2(x, k, stride):
    n = (x.shape[-1] - k) // stride + 1
    i = stride * jnp.arange(n)[:, None] + jnp.arange(k)[None, :]
    w = x[..., i[:, None, :, None], i[None, :, None, :]]
    return w.reshape(*w.shape[:-2], k * k)


def max_pool_backward(r, dy, k=2, stride=2, mode="add", ties="first"):
    (x,) = r
    w = windows2(x, k, stride)
    if ties == "first":
        hit = jax.nn.one_hot(w.argmax(-1), k * k, dtype=dy.dtype)
    else:
        hit = (w == w.max(-1, keepdims=True)).astype(dy.dtype)
        hit = hit / hit.sum(-1, keepdims=True) if ties == "shared" else hit
    d = hit * dy[..., None]
    n = dy.shape[-1]
    dx = jnp.zeros_like(x)
    for a in range(n):
        for b in range(n):
            at = (
                ...,
                slice(a * stride, a * stride + k),
                slice(b * stride, b * stride + k),
            )
            window = d[..., a, b, :].reshape(*x.shape[:-2], k, k)
            dx = dx.at[at].add(window) if mode == "add" else dx.at[at].set(window)
    return (dx,)


def image(dtype):
    return (normal(dtype, 2, 6, 6),)


def tied_image(dtype):
    return (jnp.round(jnp.abs(normal(dtype, 2, 4, 4))),)


pool = Family("max_pool", max_pool_f, image)
pool.right("argmax_of_windows", max_pool_backward)
pool.right(
    "first_of_a_tie",
    max_pool_backward,
    "One of the tied takes all.",
    args=tied_image,
    kink=True,
)
pool.right(
    "tie_shared",
    functools.partial(max_pool_backward, ties="shared"),
    "The tied share.",
    args=tied_image,
    kink=True,
)
pool.wrong(
    "all_of_a_tie",
    0,
    functools.partial(max_pool_backward, ties="all"),
    "Each of the tied takes all.",
    args=lambda d: (
        jnp.tile(normal(d, 2, 2, 2), (1, 2, 2))
        .at[:, 0, 1]
        .set(3.0)
        .at[:, 0, 0]
        .set(3.0),
    ),
)
pool.wrong(
    "all_of_a_tie_where_none",
    0,
    functools.partial(max_pool_backward, ties="all"),
    "Each of the tied takes all, and none is tied.",
    args=image,
    visible_at="other values",
    elsewhere=lambda d: (jnp.ones((1, 2, 2), d),),
)
pool.wrong(
    "compared_with_output_where_no_tie",
    0,
    lambda r, dy: (
        lambda x, y: (
            (
                jnp.repeat(jnp.repeat(dy, 2, -1), 2, -2)
                * (x == jnp.repeat(jnp.repeat(y, 2, -1), 2, -2))
            ),
        )
    )(r[0][0], r[1]),
    "Each of the tied takes all, and none is tied.",
    save="xy",
    visible_at="other values",
    elsewhere=lambda d: (jnp.ones((2, 6, 6), d),),
)
pool.wrong(
    "everywhere",
    0,
    lambda r, dy: (jnp.repeat(jnp.repeat(dy, 2, -1), 2, -2),),
    "dy goes to the whole window.",
)
pool.wrong(
    "average",
    0,
    lambda r, dy: (jnp.repeat(jnp.repeat(dy, 2, -1), 2, -2) / 4,),
    "The gradient of the mean.",
)
pool.wrong(
    "upper_left",
    0,
    lambda r, dy: (jnp.zeros_like(r[0]).at[..., ::2, ::2].set(dy),),
    "dy goes to the first of the window.",
)

overlapping = Family(
    "max_pool_overlapping", functools.partial(max_pool_f, k=3, stride=1), image
)
overlapping.right("accumulated", functools.partial(max_pool_backward, k=3, stride=1))
overlapping.wrong(
    "overwritten",
    0,
    functools.partial(max_pool_backward, k=3, stride=1, mode="set"),
    "A maximum of two windows keeps the last.",
)

mean_pool = Family("avg_pool", lambda x: x.reshape(2, 3, 2, 3, 2).mean((2, 4)), image)
mean_pool.right("repeat", lambda r, dy: (jnp.repeat(jnp.repeat(dy, 2, 1), 2, 2) / 4,))
mean_pool.right(
    "broadcast",
    lambda r, dy: (
        jnp.broadcast_to(dy[:, :, None, :, None] / 4, (2, 3, 2, 3, 2)).reshape(2, 6, 6),
    ),
)
mean_pool.wrong(
    "not_divided",
    0,
    lambda r, dy: (jnp.repeat(jnp.repeat(dy, 2, 1), 2, 2),),
    "1/k² is missing.",
)
mean_pool.wrong(
    "divided_once",
    0,
    lambda r, dy: (jnp.repeat(jnp.repeat(dy, 2, 1), 2, 2) / 2,),
    "1/k for 1/k².",
)
mean_pool.wrong(
    "tiled", 0, lambda r, dy: (jnp.tile(dy, (1, 2, 2)) / 4,), "tile for repeat."
)

upsample = Family(
    "upsample_nearest",
    lambda x: jnp.repeat(jnp.repeat(x, 2, 1), 2, 2),
    lambda d: (normal(d, 2, 3, 3),),
)
upsample.right("summed", lambda r, dy: (dy.reshape(2, 3, 2, 3, 2).sum((2, 4)),))
upsample.wrong(
    "averaged",
    0,
    lambda r, dy: (dy.reshape(2, 3, 2, 3, 2).mean((2, 4)),),
    "Mean for sum.",
)
upsample.wrong(
    "sampled", 0, lambda r, dy: (dy[:, ::2, ::2],), "One of four cotangents."
)

interpolate = Family(
    "interpolate",
    lambda x, t: (lambda i, f: x[i] * (1 - f) + x[i + 1] * f)(
        jnp.floor(t).astype(int), t - jnp.floor(t)
    ),
    lambda d: (normal(d, 6), array(d, 0.3, 2.7, 2.2, 4.6)),
)


def interpolate_backward(r, dy, mode="add", weights=True):
    x, t = r
    i = jnp.floor(t).astype(int)
    f = t - jnp.floor(t)
    f = f if weights else 1 - f
    if mode == "add":
        dx = jnp.zeros_like(x).at[i].add(dy * (1 - f)).at[i + 1].add(dy * f)
    else:
        dx = jnp.zeros_like(x).at[i].set(dy * (1 - f)).at[i + 1].set(dy * f)
    return dx, dy * (x[i + 1] - x[i])


interpolate.right("two_scatters", interpolate_backward)
interpolate.wrong(
    "weights_swapped",
    0,
    functools.partial(interpolate_backward, weights=False),
    "f and 1-f exchanged.",
)
interpolate.wrong(
    "overwritten",
    0,
    functools.partial(interpolate_backward, mode="set"),
    "Two points in one interval overwrite.",
)
interpolate.wrong(
    "position_frozen", 1, without(interpolate_backward, 1), "None for the positions."
)
interpolate.wrong(
    "slope_sign",
    1,
    lambda r, dy: (interpolate_backward(r, dy)[0], -interpolate_backward(r, dy)[1]),
    "The slope is negated.",
)
