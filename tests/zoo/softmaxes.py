"""Softmax, its logarithm and logsumexp."""

import functools

import jax
import jax.numpy as jnp
from jax import lax

from tests.zoo.case import (
    Family,
    clipped,
    narrow,
    normal,
    with_cotangent,
)


def rows(dtype):
    return (normal(dtype, 4, 6),)


def extreme(dtype):
    return (normal(dtype, 3, 5).at[0, 1].set(1e4).at[1].add(-1e4).at[2, 0].set(-1e4),)


def large(dtype):
    return (normal(dtype, 3, 5, shift=100.0),)


def softmax_stable(x):
    e = jnp.exp(x - lax.stop_gradient(jnp.max(x, axis=-1, keepdims=True)))
    return e / jnp.sum(e, axis=-1, keepdims=True)


def softmax_backward(y, dy):
    return (y * (dy - jnp.sum(dy * y, axis=-1, keepdims=True)),)


softmax = Family("softmax", softmax_stable, rows, save="y")
softmax.right("centred", softmax_backward)
softmax.right(
    "explicit_jacobian",
    lambda y, dy: (
        jnp.einsum(
            "ni,nij->nj", dy, jax.vmap(lambda p: jnp.diag(p) - jnp.outer(p, p))(y)
        ),
    ),
)
softmax.right(
    "two_sums",
    lambda y, dy: (y * dy - y * jnp.einsum("ni,ni->n", y, dy)[:, None],),
    forward=lambda x: (jax.nn.softmax(x),) * 2,
)
softmax.right(
    "vmapped_rows", lambda y, dy: (jax.vmap(lambda p, d: p * (d - p @ d))(y, dy),)
)
softmax.right(
    "recomputed",
    lambda r, dy: softmax_backward(jax.nn.softmax(r[0], axis=-1), dy),
    save="x",
)
softmax.right(
    "logits_1e4",
    softmax_backward,
    "Saturated rows have gradient 0 or a finite one.",
    args=extreme,
)
softmax.right(
    "sum_in_float32",
    lambda y, dy: (softmax_backward(y, dy.astype(narrow.f32))[0].astype(dy.dtype),),
    "Widened inside.",
    dtypes=("float32", "bfloat16", "float16"),
    forward=lambda x: (softmax_stable(x), softmax_stable(x.astype(narrow.f32))),
)
softmax.wrong(
    "diagonal_only",
    0,
    lambda y, dy: (dy * y * (1 - y),),
    "The off-diagonal entries of the Jacobian are missing.",
)
softmax.wrong("no_centring", 0, lambda y, dy: (dy * y,), "Σ dy y is missing.")
softmax.wrong(
    "wrong_axis",
    0,
    lambda y, dy: (y * (dy - jnp.sum(dy * y, axis=0, keepdims=True)),),
    "The sum runs over the rows.",
)
softmax.wrong(
    "mean_for_sum",
    0,
    lambda y, dy: (y * (dy - jnp.mean(dy * y, -1, keepdims=True)),),
    "Mean for sum.",
)
softmax.wrong(
    "sum_of_dy",
    0,
    lambda y, dy: (y * (dy - jnp.sum(dy, -1, keepdims=True) / 6),),
    "y is missing in the sum.",
)
softmax.wrong(
    "sum_over_everything",
    0,
    lambda y, dy: (y * (dy - jnp.sum(dy * y)),),
    "The sum crosses rows; right for one row.",
    args=lambda d: (normal(d, 1, 5),),
    visible_at="other shape",
    elsewhere=rows,
)
softmax.wrong(
    "plus",
    0,
    lambda y, dy: (y * (dy + jnp.sum(dy * y, -1, keepdims=True)),),
    "The sign of the sum.",
)
softmax.wrong(
    "logits_for_probabilities",
    0,
    lambda r, dy: softmax_backward(r[0], dy),
    "The residual is x.",
    save="x",
)
softmax.wrong(
    "zero",
    0,
    lambda y, dy: (jnp.zeros_like(y),),
    "Always 0, as under a cotangent of ones.",
)
softmax.wrong(
    "no_keepdims_on_a_square",
    0,
    lambda y, dy: (y * (dy - jnp.sum(dy * y, -1)),),
    "Without keepdims the sums land in the wrong rows.",
    args=lambda d: (normal(d, 5, 5),),
)
softmax.wrong(
    "clipped_probability",
    0,
    lambda y, dy: softmax_backward(jnp.clip(y, 1e-2, 1), dy),
    "y is clipped at 0.01, as no given y is.",
    args=lambda d: (normal(d, 4, 3, scale=0.3),),
    visible_at="other values",
    elsewhere=lambda d: (normal(d, 4, 3, scale=6.0),),
)
softmax.imprecise(
    "no_maximum_subtracted",
    0,
    lambda r, dy: softmax_backward(
        jnp.exp(r[0]) / jnp.sum(jnp.exp(r[0]), -1, keepdims=True), dy
    ),
    "exp overflows at logits of 100.",
    ("float32", "bfloat16", "float16"),
    save="x",
    args=large,
)
softmax.imprecise(
    "float32_inside_float64",
    0,
    lambda y, dy: (
        softmax_backward(y.astype(narrow.f32), dy.astype(narrow.f32))[0].astype(
            dy.dtype
        ),
    ),
    "A float32 rule called with float64.",
    ("float64",),
)
softmax.imprecise(
    "output_in_bfloat16",
    0,
    lambda y, dy: softmax_backward(y.astype(dy.dtype), dy),
    "The residual is bfloat16.",
    ("float32",),
    forward=lambda x: (softmax_stable(x), softmax_stable(x).astype(narrow.bf16)),
)
softmax.imprecise(
    "product_rounded_before_the_difference",
    0,
    lambda y, dy: (
        (
            (y * dy).astype(narrow.bf16)
            - (y * jnp.sum(y * dy, -1, keepdims=True)).astype(narrow.bf16)
        ).astype(dy.dtype),
    ),
    "Both summands are rounded to bfloat16.",
    ("float32",),
)

# temperature


def tempered(x, t):
    return jax.nn.softmax(x / t, axis=-1)


def tempered_backward(r, dy, over_t=True, sign=-1):
    (x, t), y = r
    dz = y * (dy - jnp.sum(dy * y, -1, keepdims=True))
    return dz / t if over_t else dz, sign * jnp.sum(dz * x) / t**2


temperature = Family(
    "softmax_temperature",
    tempered,
    lambda d: (normal(d, 3, 5), jnp.asarray(1.7, d)),
    save="xy",
)
temperature.right("chain_rule", tempered_backward)
temperature.wrong(
    "temperature_not_applied",
    0,
    lambda r, dy: tempered_backward(r, dy, False),
    "1/T is missing.",
)
temperature.wrong(
    "temperature_sign",
    1,
    lambda r, dy: tempered_backward(r, dy, sign=1),
    "The sign of dT.",
)
temperature.wrong(
    "none_for_temperature",
    1,
    lambda r, dy: (tempered_backward(r, dy)[0], None),
    "No gradient for T.",
)
temperature.wrong(
    "hidden_at_temperature_1",
    0,
    lambda r, dy: tempered_backward(r, dy, False),
    "1/T is missing, and T is 1.",
    args=lambda d: (normal(d, 3, 5), jnp.asarray(1.0, d)),
    visible_at="other values",
    elsewhere=lambda d: (normal(d, 3, 5), jnp.asarray(1.7, d)),
)

# log softmax

log_softmax = Family(
    "log_softmax", functools.partial(jax.nn.log_softmax, axis=-1), rows, save="y"
)


def log_softmax_backward(y, dy):
    return (dy - jnp.exp(y) * jnp.sum(dy, axis=-1, keepdims=True),)


log_softmax.right("from_output", log_softmax_backward)
log_softmax.right(
    "from_input",
    lambda r, dy: (dy - jax.nn.softmax(r[0], -1) * dy.sum(-1, keepdims=True),),
    save="x",
)
log_softmax.right("logits_1e4", log_softmax_backward, "Saturated rows.", args=extreme)
log_softmax.wrong(
    "softmax_formula",
    0,
    lambda y, dy: softmax_backward(jnp.exp(y), dy),
    "The backward of softmax itself.",
)
log_softmax.wrong(
    "sum_missing", 0, lambda y, dy: (dy - jnp.exp(y) * dy,), "Σ dy is replaced by dy."
)
log_softmax.wrong(
    "exp_missing",
    0,
    lambda y, dy: (dy - y * dy.sum(-1, keepdims=True),),
    "y is taken for the probability.",
)
log_softmax.wrong(
    "one_hot_assumed",
    0,
    lambda y, dy: (dy + jnp.exp(y),),
    "Σ dy = -1 is assumed, as for the NLL loss.",
)
log_softmax.imprecise(
    "exponentials_of_raw_logits",
    0,
    lambda r, dy: (
        dy
        - jnp.exp(r[0])
        / jnp.exp(r[0]).sum(-1, keepdims=True)
        * dy.sum(-1, keepdims=True),
    ),
    "exp overflows.",
    ("float32", "bfloat16", "float16"),
    save="x",
    args=large,
)

# logsumexp

lse = Family(
    "logsumexp", lambda x: jax.scipy.special.logsumexp(x, axis=-1), rows, save="xy"
)
lse.right(
    "exp_of_difference", lambda r, dy: (dy[:, None] * jnp.exp(r[0][0] - r[1][:, None]),)
)
lse.right("softmax", lambda r, dy: (dy[:, None] * jax.nn.softmax(r[0], -1),), save="x")
lse.right(
    "logits_1e4",
    lambda r, dy: (dy[:, None] * jax.nn.softmax(r[0], -1),),
    "Saturated rows.",
    save="x",
    args=extreme,
)
lse.wrong(
    "softmax_backward",
    0,
    lambda r, dy: softmax_backward(jax.nn.softmax(r[0], -1), dy[:, None]),
    "The backward of softmax.",
    save="x",
)
lse.wrong(
    "no_normalisation",
    0,
    lambda r, dy: (dy[:, None] * jnp.exp(r[0] - r[0].max(-1, keepdims=True)),),
    "The exponentials are not divided by their sum.",
    save="x",
)
lse.wrong(
    "hard_maximum",
    0,
    lambda r, dy: (dy[:, None] * (r[0] == r[0].max(-1, keepdims=True)),),
    "The gradient of the maximum.",
    save="x",
)
lse.wrong(
    "cotangent_of_first_row",
    0,
    lambda r, dy: (dy[0] * jax.nn.softmax(r[0], -1),),
    "dy[0] for every row; right for one row.",
    save="x",
    args=lambda d: (normal(d, 1, 6),),
    visible_at="other shape",
    elsewhere=rows,
)
lse.imprecise(
    "no_maximum_subtracted",
    0,
    lambda r, dy: (dy[:, None] * jnp.exp(r[0]) / jnp.exp(r[0]).sum(-1, keepdims=True),),
    "exp overflows.",
    ("float32", "bfloat16", "float16"),
    save="x",
    args=large,
)
# online softmax: one pass with a running maximum


def online(x):
    def step(carry, column):
        m, s = carry
        new = jnp.maximum(m, column)
        return (new, s * jnp.exp(m - new) + jnp.exp(column - new)), None

    start = jnp.full(x.shape[:1], -jnp.inf, x.dtype), jnp.zeros(x.shape[:1], x.dtype)
    (m, s), _ = lax.scan(step, start, x.T)
    return jnp.exp(x - m[:, None]) / s[:, None]


online_softmax = Family("softmax_online", online, rows)
online_softmax.right(
    "closed_form",
    softmax_backward,
    forward=lambda x: (online(x),) * 2,
    primal=softmax_stable,
)
online_softmax.right(
    "scan_over_columns",
    lambda y, dy: (
        (lambda total: jax.vmap(lambda p, d: p * (d - total), 1, 1)(y, dy))(
            lax.fori_loop(
                0,
                y.shape[1],
                lambda j, t: t + y[:, j] * dy[:, j],
                jnp.zeros_like(dy[:, 0]),
            )
        ),
    ),
    forward=lambda x: (online(x),) * 2,
    primal=softmax_stable,
)
online_softmax.wrong(
    "sum_of_last_block_only",
    0,
    lambda y, dy: (y * (dy - (dy * y)[:, -3:].sum(-1, keepdims=True)),),
    "Only the last block enters the sum.",
    forward=lambda x: (online(x),) * 2,
    primal=softmax_stable,
)

# sparsemax-like: squared and normalised

square_norm = Family(
    "taylor_softmax",
    lambda x: (1 + x + x * x / 2) / (1 + x + x * x / 2).sum(-1, keepdims=True),
    rows,
)


def taylor_backward(r, dy, inner=True):
    (x,) = r
    e = 1 + x + x * x / 2
    s = e.sum(-1, keepdims=True)
    de = (dy - (dy * e / s).sum(-1, keepdims=True)) / s
    return (de * (1 + x) if inner else de * e,)


square_norm.right("quotient_rule", taylor_backward)
square_norm.wrong(
    "as_if_exponential",
    0,
    lambda r, dy: taylor_backward(r, dy, False),
    "The numerator is taken for its own derivative.",
)
square_norm.wrong(
    "clipped_cotangent",
    0,
    with_cotangent(taylor_backward, clipped),
    "dy is clipped to [-1, 1].",
)
