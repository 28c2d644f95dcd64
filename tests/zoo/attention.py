"""Attention and what stands around it."""

import functools
import math

import jax
import jax.numpy as jnp
from jax import lax

from tests.zoo.case import (
    HALF,
    Family,
    narrow,
    normal,
    one_entry,
    swapped,
)

ROOT = math.sqrt(5)


def qkv(dtype, n=4, m=6, scale=1.0):
    return (
        normal(dtype, n, 5, scale=scale),
        normal(dtype, m, 5, seed=1, scale=scale),
        normal(dtype, m, 3, seed=2),
    )


def softmax_backward(p, dp):
    return p * (dp - (dp * p).sum(-1, keepdims=True))


# plain attention


def attention_f(q, k, v):
    return jax.nn.softmax(q @ k.T / ROOT, axis=-1) @ v


def attention_backward(
    r, dy, scale=1 / ROOT, centre=True, dv=None, transpose=True, rows=True
):
    q, k, v = r
    p = jax.nn.softmax(q @ k.T / ROOT, axis=-1)
    dp = dy @ v.T
    centring = (
        (dp * p).sum(-1, keepdims=True) if rows else (dp * p).sum(0, keepdims=True)
    )
    ds = p * (dp - centring) if centre else p * dp
    dk = (ds.T if transpose else ds) @ q
    return ds @ k * scale, dk * scale, (p.T if dv is None else dv(p)) @ dy


def attention_delta(r, dy):
    (q, k, v), y = r
    s = jnp.einsum("id,jd->ij", q, k) / ROOT
    p = jnp.exp(s - jax.scipy.special.logsumexp(s, axis=-1, keepdims=True))
    delta = (dy * y).sum(-1)
    ds = p * (jnp.einsum("ic,jc->ij", dy, v) - delta[:, None]) / ROOT
    return (
        jnp.einsum("ij,jd->id", ds, k),
        jnp.einsum("ij,id->jd", ds, q),
        jnp.einsum("ij,ic->jc", p, dy),
    )


def attention_blocks(r, dy):
    (q, k, v), y = r
    lse = jax.scipy.special.logsumexp(q @ k.T / ROOT, axis=-1)
    delta = (dy * y).sum(-1)

    def block(dq, kv):
        kj, vj = kv
        p = jnp.exp(q @ kj.T / ROOT - lse[:, None])
        ds = p * (dy @ vj.T - delta[:, None]) / ROOT
        return dq + ds @ kj, (ds.T @ q, p.T @ dy)

    dq, (dk, dv) = lax.scan(
        block, jnp.zeros_like(q), (k.reshape(3, 2, -1), v.reshape(3, 2, -1))
    )
    return dq, dk.reshape(k.shape), dv.reshape(v.shape)


attention = Family("attention", attention_f, qkv)
attention.right("recomputed", attention_backward)
attention.right("delta_from_output", attention_delta, save="xy")
attention.right("scan_over_key_blocks", attention_blocks, save="xy")
attention.right(
    "logits_of_1e3",
    attention_backward,
    "Rows are one-hot.",
    args=lambda d: qkv(d, scale=30.0),
    dtypes=("float32", "float64"),
)
attention.right(
    "bfloat16_inputs_accumulated_in_float32",
    lambda r, dy: tuple(
        v.astype(dy.dtype)
        for v in attention_backward(
            tuple(a.astype(narrow.f32) for a in r), dy.astype(narrow.f32)
        )
    ),
    "Widened inside.",
    dtypes=("float32", *HALF),
    forward=lambda *a: (
        attention_f(*(v.astype(narrow.f32) for v in a)).astype(a[0].dtype),
        a,
    ),
)
attention.wrong(
    "scale_missing_in_backward",
    (0, 1),
    functools.partial(attention_backward, scale=1.0),
    "1/√d is missing.",
)
attention.wrong(
    "scale_squared",
    (0, 1),
    functools.partial(attention_backward, scale=1 / 5),
    "1/d for 1/√d.",
)
attention.wrong(
    "not_centred",
    (0, 1),
    functools.partial(attention_backward, centre=False),
    "Σ p dp is missing.",
)
attention.wrong(
    "centred_over_columns",
    (0, 1),
    functools.partial(attention_backward, rows=False),
    "The softmax's sum runs over queries.",
)
attention.wrong(
    "scores_not_transposed",
    1,
    functools.partial(attention_backward, transpose=False),
    "dS for dSᵀ, which fits when n = m.",
    args=lambda d: qkv(d, 5, 5),
)
attention.wrong(
    "weights_not_transposed",
    2,
    functools.partial(attention_backward, dv=lambda p: p),
    "P for Pᵀ in dv.",
    args=lambda d: qkv(d, 5, 5),
)
attention.wrong(
    "values_from_scores",
    2,
    functools.partial(attention_backward, dv=lambda p: jnp.log(p).T),
    "The scores stand for the weights in dv.",
)
attention.wrong(
    "query_and_key_swapped",
    (0, 1),
    swapped(attention_backward, 0, 1),
    "dq and dk exchanged.",
    args=lambda d: qkv(d, 5, 5),
)
attention.wrong(
    "one_entry_of_dv",
    2,
    one_entry(attention_backward, 2, (3, 1), 1.001),
    "One entry is 0.1 % too large.",
)
attention.wrong(
    "delta_of_summed_output",
    (0, 1),
    lambda r, dy: (
        lambda p, dp: (
            lambda ds: (ds @ r[0][1] / ROOT, ds.T @ r[0][0] / ROOT, p.T @ dy)
        )(p * (dp - (dy.sum(-1) * r[1].sum(-1))[:, None]))
    )(jax.nn.softmax(r[0][0] @ r[0][1].T / ROOT), dy @ r[0][2].T),
    "Σ dy Σ y for Σ dy y.",
    save="xy",
)
attention.imprecise(
    "exponentials_without_maximum",
    (0, 1, 2),
    lambda r, dy: (
        lambda q, k, v, e: (
            lambda p: (lambda ds: (ds @ k / ROOT, ds.T @ q / ROOT, p.T @ dy))(
                softmax_backward(p, dy @ v.T)
            )
        )(e / e.sum(-1, keepdims=True))
    )(*r, jnp.exp(r[0] @ r[1].T / ROOT)),
    "exp overflows at logits beyond 88.",
    ("float32", "bfloat16", "float16"),
    args=lambda d: (
        jnp.abs(qkv(d, scale=2.0)[0]) + 5,
        jnp.abs(qkv(d, scale=2.0)[1]) + 5,
        qkv(d)[2],
    ),
)
attention.imprecise(
    "weights_in_bfloat16",
    (0, 1, 2),
    lambda r, dy: (
        lambda p: (lambda ds: (ds @ r[0][1] / ROOT, ds.T @ r[0][0] / ROOT, p.T @ dy))(
            softmax_backward(p, dy @ r[0][2].T)
        )
    )(r[1].astype(dy.dtype)),
    "P is kept in bfloat16.",
    ("float32",),
    forward=lambda q, k, v: (
        attention_f(q, k, v),
        ((q, k, v), jax.nn.softmax(q @ k.T / ROOT).astype(narrow.bf16)),
    ),
)

# masked attention, rows without any key give 0


def masked_f(q, k, v, mask):
    s = jnp.where(mask, q @ k.T / ROOT, -1e30 if q.dtype != jnp.float16 else -6e4)
    p = jnp.where(mask, jnp.exp(s - lax.stop_gradient(s.max(-1, keepdims=True))), 0)
    total = p.sum(-1, keepdims=True)
    return p / jnp.where(total == 0, 1, total) @ v


def some_mask():
    return (
        jnp.array(
            [
                [1, 1, 0, 1, 0, 1],
                [0, 1, 0, 0, 0, 0],
                [1, 1, 1, 1, 1, 1],
                [0, 1, 1, 1, 0, 0],
            ]
        )
        == 1
    )


def masked_args(dtype):
    return (*qkv(dtype), some_mask())


def masked_weights(q, k, mask, uniform_rows=False):
    s = jnp.where(mask, q @ k.T / ROOT, -jnp.inf)
    top = s.max(-1, keepdims=True)
    e = jnp.where(mask, jnp.exp(s - jnp.where(jnp.isfinite(top), top, 0)), 0)
    if uniform_rows:
        e = jnp.where(mask.any(-1, keepdims=True), e, 1)
    total = e.sum(-1, keepdims=True)
    return e / jnp.where(total == 0, 1, total)


def masked_backward(r, dy, mask=None, centre_masked=True, **how):
    q, k, v, given = r
    p = masked_weights(q, k, given if mask is None else mask(given), **how)
    ds = softmax_backward(p, dy @ v.T)
    return ds @ k / ROOT, ds.T @ q / ROOT, p.T @ dy, None


masked = Family("attention_masked", masked_f, masked_args)
masked.right("mask_before_softmax", masked_backward)
masked.right(
    "row_without_keys",
    masked_backward,
    "A query that sees nothing gives 0 and gets 0.",
    args=lambda d: (*qkv(d), some_mask().at[1].set(False)),
)
masked.wrong(
    "mask_lost",
    (0, 1, 2),
    functools.partial(masked_backward, mask=lambda m: jnp.ones_like(m)),
    "The mask is ignored.",
)
masked.wrong(
    "mask_lost_where_all_true",
    (0, 1, 2),
    functools.partial(masked_backward, mask=lambda m: jnp.ones_like(m)),
    "The mask is ignored, and all true.",
    args=lambda d: (*qkv(d), jnp.ones((4, 6), bool)),
    visible_at="other values",
    elsewhere=masked_args,
)
masked.wrong(
    "mask_inverted",
    (0, 1, 2),
    functools.partial(masked_backward, mask=jnp.logical_not),
    "Keeps what is masked.",
)
masked.wrong(
    "multiplied_after_softmax",
    (0, 1, 2),
    lambda r, dy: (
        lambda p: (lambda ds: (ds @ r[1] / ROOT, ds.T @ r[0] / ROOT, p.T @ dy, None))(
            softmax_backward(p, dy @ r[2].T)
        )
    )(jax.nn.softmax(r[0] @ r[1].T / ROOT) * r[3]),
    "The mask comes after the normalisation.",
)
masked.wrong(
    "uniform_where_no_key",
    (0, 1, 2),
    functools.partial(masked_backward, uniform_rows=True),
    "A row without keys is averaged over all.",
    args=lambda d: (*qkv(d), some_mask().at[1].set(False)),
)
masked.wrong(
    "uniform_where_no_key_and_none_is",
    (0, 1, 2),
    functools.partial(masked_backward, uniform_rows=True),
    "A row without keys is averaged over all, and none is given.",
    args=masked_args,
    visible_at="other values",
    elsewhere=lambda d: (*qkv(d), some_mask().at[1].set(False)),
)
masked.wrong(
    "nan_where_no_key",
    (0, 1, 2),
    lambda r, dy: (
        lambda p: (lambda ds: (ds @ r[1] / ROOT, ds.T @ r[0] / ROOT, p.T @ dy, None))(
            softmax_backward(p, dy @ r[2].T)
        )
    )(jax.nn.softmax(jnp.where(r[3], r[0] @ r[1].T / ROOT, -jnp.inf))),
    "A softmax of -inf only is NaN.",
    args=lambda d: (*qkv(d), some_mask().at[1].set(False)),
)

# causal self-attention of several heads in one array (heads, time, depth)


def causal_f(x):
    q, k, v = x
    t = q.shape[-2]
    s = jnp.einsum("hid,hjd->hij", q, k) / math.sqrt(q.shape[-1])
    s = jnp.where(jnp.tril(jnp.ones((t, t), bool)), s, -jnp.inf)
    return jnp.einsum("hij,hjd->hid", jax.nn.softmax(s), v)


def causal_backward(r, dy, k=0, upper=False, heads=True):
    q, key, v = r[0]
    t = q.shape[-2]
    s = jnp.einsum("hid,hjd->hij", q, key) / math.sqrt(q.shape[-1])
    see = jnp.tril(jnp.ones((t, t), bool), k)
    p = jax.nn.softmax(jnp.where(see.T if upper else see, s, -jnp.inf))
    ds = softmax_backward(p, jnp.einsum("hid,hjd->hij", dy, v)) / math.sqrt(q.shape[-1])
    dq, dk = jnp.einsum("hij,hjd->hid", ds, key), jnp.einsum("hij,hid->hjd", ds, q)
    return (
        jnp.stack([dq, dk if heads else dk[::-1], jnp.einsum("hij,hid->hjd", p, dy)]),
    )


causal = Family("attention_causal", causal_f, lambda d: (normal(d, 3, 2, 5, 3),))
causal.right("tril", causal_backward)
causal.right(
    "vmapped_heads",
    lambda r, dy: (
        jax.vmap(
            lambda x, d: causal_backward((x[:, None],), d[None])[0][:, 0], (1, 0), 1
        )(r[0], dy),
    ),
)
causal.wrong(
    "sees_one_ahead",
    0,
    functools.partial(causal_backward, k=1),
    "The mask is off by one.",
)
causal.wrong(
    "anticausal",
    0,
    functools.partial(causal_backward, upper=True),
    "The mask is transposed.",
)
causal.wrong(
    "heads_exchanged",
    0,
    functools.partial(causal_backward, heads=False),
    "dk of one head goes to the other.",
)

# grouped queries: two query heads share a key head


def grouped_f(q, k, v):
    k, v = jnp.repeat(k, 2, axis=0), jnp.repeat(v, 2, axis=0)
    p = jax.nn.softmax(jnp.einsum("hid,hjd->hij", q, k))
    return jnp.einsum("hij,hjd->hid", p, v)


def grouped_args(dtype):
    return (
        normal(dtype, 4, 3, 2),
        normal(dtype, 2, 5, 2, seed=1),
        normal(dtype, 2, 5, 2, seed=2),
    )


def grouped_backward(r, dy, collect=lambda a: a.reshape(2, 2, 5, 2).sum(1)):
    q, k, v = r[0], jnp.repeat(r[1], 2, axis=0), jnp.repeat(r[2], 2, axis=0)
    p = jax.nn.softmax(jnp.einsum("hid,hjd->hij", q, k))
    ds = softmax_backward(p, jnp.einsum("hid,hjd->hij", dy, v))
    dk, dv = jnp.einsum("hij,hid->hjd", ds, q), jnp.einsum("hij,hid->hjd", p, dy)
    return jnp.einsum("hij,hjd->hid", ds, k), collect(dk), collect(dv)


grouped = Family("attention_grouped", grouped_f, grouped_args)
grouped.right("summed_over_the_group", grouped_backward)
grouped.right(
    "segment_sum",
    functools.partial(
        grouped_backward,
        collect=lambda a: jax.ops.segment_sum(a, jnp.array([0, 0, 1, 1]), 2),
    ),
)
grouped.wrong(
    "interleaved_groups",
    (1, 2),
    functools.partial(grouped_backward, collect=lambda a: a.reshape(2, 2, 5, 2).sum(0)),
    "Head h belongs to group h mod 2.",
)
grouped.wrong(
    "mean_over_the_group",
    (1, 2),
    functools.partial(
        grouped_backward, collect=lambda a: a.reshape(2, 2, 5, 2).mean(1)
    ),
    "Mean for sum.",
)
grouped.wrong(
    "last_head_only",
    (1, 2),
    functools.partial(grouped_backward, collect=lambda a: a[1::2]),
    "The second head overwrites the first.",
)

# a whole layer with parameters and heads


def heads_f(params, x):
    n, h = len(x), 2
    q, k, v = (jnp.reshape(x @ params[w], (n, h, -1)) for w in ("q", "k", "v"))
    p = jax.nn.softmax(jnp.einsum("ihd,jhd->hij", q, k) / math.sqrt(q.shape[-1]))
    return jnp.reshape(jnp.einsum("hij,jhd->ihd", p, v), (n, -1)) @ params["o"]


def heads_args(dtype):
    params = {
        w: normal(dtype, 6, 6, seed=s, scale=0.4) for s, w in enumerate("qkvo", 1)
    }
    return params, normal(dtype, 5, 6)


def heads_backward(r, dy, paths="qkv", scale=True, head_first=False):
    params, x = r
    n, h = len(x), 2
    q, k, v = (jnp.reshape(x @ params[w], (n, h, -1)) for w in ("q", "k", "v"))
    c = 1 / math.sqrt(q.shape[-1])
    p = jax.nn.softmax(jnp.einsum("ihd,jhd->hij", q, k) * c)
    z = jnp.einsum("hij,jhd->ihd", p, v).reshape(n, -1)
    dz = dy @ params["o"].T
    dz = dz.reshape(n, -1, h).transpose(0, 2, 1) if head_first else dz.reshape(n, h, -1)
    ds = softmax_backward(p, jnp.einsum("ihd,jhd->hij", dz, v))
    ds = ds * c if scale else ds
    d = {
        "q": jnp.einsum("hij,jhd->ihd", ds, k).reshape(n, -1),
        "k": jnp.einsum("hij,ihd->jhd", ds, q).reshape(n, -1),
        "v": jnp.einsum("hij,ihd->jhd", p, dz).reshape(n, -1),
    }
    dx = sum(d[w] @ params[w].T for w in paths)
    return {w: x.T @ d[w] for w in d} | {"o": z.T @ dy}, dx


Q, K, V, _ = (f"args[0]['{w}']" for w in "qkvo")
heads = Family("attention_layer", heads_f, heads_args)
heads.right("einsum", heads_backward)
heads.wrong(
    "key_path_missing",
    1,
    functools.partial(heads_backward, paths="qv"),
    "dx lacks the keys' path.",
)
heads.wrong(
    "value_path_missing",
    1,
    functools.partial(heads_backward, paths="qk"),
    "dx lacks the values' path.",
)
heads.wrong(
    "scale_missing",
    (Q, K, 1),
    functools.partial(heads_backward, scale=False),
    "1/√d is missing.",
)
heads.wrong(
    "heads_unfolded_the_other_way",
    (Q, K, V, 1),
    functools.partial(heads_backward, head_first=True),
    "The head axis is the inner one in the backward.",
)

# rotary positions


def angles(x):
    t = jnp.arange(x.shape[0], dtype=x.dtype)[:, None]
    return t / (10 ** jnp.arange(x.shape[1] // 2, dtype=x.dtype))


def rotate(x, a):
    u, v = jnp.split(x, 2, axis=-1)
    c, s = jnp.cos(a), jnp.sin(a)
    return jnp.concatenate([u * c - v * s, u * s + v * c], -1)


rotary = Family("rotary", lambda x: rotate(x, angles(x)), lambda d: (normal(d, 5, 6),))
rotary.right("rotated_back", lambda r, dy: (rotate(dy, -angles(dy)),))
rotary.right(
    "complex_numbers",
    lambda r, dy: (lambda z: (jnp.concatenate([z.real, z.imag], -1),))(
        lax.complex(*jnp.split(dy, 2, -1)) * jnp.exp(-1j * angles(dy))
    ),
    dtypes=("float32", "float64"),
)
rotary.wrong(
    "rotated_forward",
    0,
    lambda r, dy: (rotate(dy, angles(dy)),),
    "Rotated in the forward's sense.",
)
rotary.wrong(
    "position_off_by_one",
    0,
    lambda r, dy: (rotate(dy, -angles(dy) - 1),),
    "The angle of the next position.",
)
rotary.wrong(
    "passed_through", 0, lambda r, dy: (dy,), "The rotation is taken for constant."
)

# linear attention: the state is a sum over time


def linear_f(q, k, v):
    def step(s, qkv):
        q, k, v = qkv
        s = s + jnp.outer(k, v)
        return s, q @ s

    return lax.scan(step, jnp.zeros((3, 2), q.dtype), (q, k, v))[1]


def linear_args(dtype):
    return normal(dtype, 6, 3), normal(dtype, 6, 3, seed=1), normal(dtype, 6, 2, seed=2)


def linear_backward(r, dy, reverse=True, inclusive=True):
    q, k, v = r
    states = jnp.cumsum(k[:, :, None] * v[:, None, :], 0)
    ds = q[:, :, None] * dy[:, None, :]
    if not reverse:
        ds = jnp.cumsum(ds, 0)
    else:
        total = jnp.flip(jnp.cumsum(jnp.flip(ds, 0), 0), 0)
        ds = total if inclusive else total - ds
    return (
        jnp.einsum("tc,tdc->td", dy, states),
        jnp.einsum("tdc,tc->td", ds, v),
        jnp.einsum("tdc,td->tc", ds, k),
    )


linear = Family("attention_linear", linear_f, linear_args)
linear.right("reversed_cumulative_sum", linear_backward)
linear.right(
    "masked_matmul",
    lambda r, dy: (
        lambda q, k, v, m: (
            (dy @ v.T * m) @ k,
            (dy @ v.T * m).T @ q,
            (q @ k.T * m).T @ dy,
        )
    )(*r, jnp.tril(jnp.ones((6, 6), dy.dtype))),
)
linear.wrong(
    "forward_cumulative_sum",
    (1, 2),
    functools.partial(linear_backward, reverse=False),
    "The sum runs from the past.",
)
linear.wrong(
    "present_excluded",
    (1, 2),
    functools.partial(linear_backward, inclusive=False),
    "The step's own contribution is left out.",
)
