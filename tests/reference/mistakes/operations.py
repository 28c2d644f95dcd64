"""Planted later: the backward of another operation, gates, penalties, heads."""

from functools import partial

import jax.numpy as jnp

from tests.reference.mistakes.case import LATER, normal
from tests.reference.mistakes.case import Planted as AnyPlanted

Planted = partial(AnyPlanted, planted=LATER)


def one():
    return (normal(5, 7, seed=111),)


# The largest of each row, the mean of each row


def largest_forward(x):
    return jnp.max(x, axis=1), x  # @largest


largest = Planted("row_largest", __file__, largest_forward, one)
largest.wrong(
    "mean_backward",
    "C9",
    ["forward: @largest", "edit: @largest"],
    lambda x, dy: (jnp.broadcast_to(dy[:, None] / x.shape[1], x.shape),),
)


def mean_forward(x):
    return jnp.mean(x, axis=1), x  # @mean


means = Planted("row_mean", __file__, mean_forward, one)


@means.wrong("largest_backward", "C9", ["forward: @mean", "edit: @mean"])
def _largest_backward(x, dy):
    hit = jnp.arange(x.shape[1])[None, :] == jnp.argmax(x, axis=1)[:, None]
    return (jnp.where(hit, dy[:, None], 0),)


def product_forward(x):
    y = jnp.prod(x, axis=1)  # @prod
    return y, (x, y)


prods = Planted("row_product", __file__, product_forward, one)
prods.right("as_it_is", lambda r, dy: (dy[:, None] * r[1][:, None] / r[0],))
prods.wrong(
    "sum_backward",
    "C9",
    ["forward: @prod", "edit: @prod"],
    lambda r, dy: (jnp.broadcast_to(dy[:, None], r[0].shape),),
)

# Activations


def relu_forward(x):
    return jnp.where(x > 0, x, 0), x


ramp = Planted("ramp", __file__, relu_forward, one)
ramp.wrong(
    "leaky_backward",
    "C11",
    ["product: 0.01"],
    lambda x, dy: (jnp.where(x > 0, dy, 0.01 * dy),),
)


def swish_forward(x):
    s = 1 / (1 + jnp.exp(-x))
    return x * s, (x, s)


swish = Planted("swish", __file__, swish_forward, one)
swish.right("as_it_is", lambda r, dy: (dy * r[1] * (1 + r[0] * (1 - r[1])),))
swish.wrong(
    "gate_held_constant",
    "C2",
    ["path: missing", "product:"],
    lambda r, dy: (dy * r[1],),
)
swish.wrong(
    "gate_alone",
    "C2",
    ["path: missing", "product:"],
    lambda r, dy: (dy * r[0] * r[1] * (1 - r[1]),),
)


def clipped_forward(x):
    return jnp.clip(x, -1, 1), x


clipped = Planted("clipped", __file__, clipped_forward, one)
clipped.wrong(
    "passes_outside",
    "C11",
    ["factor: missing derivative"],
    lambda x, dy: (dy,),
)

# A penalty beside a loss


def ridge_args():
    return normal(5, 3, seed=112), normal(3, seed=113), normal(5, seed=114)


def ridge_forward(x, w, t):
    e = x @ w - t
    return jnp.mean(e**2) + 0.3 * jnp.sum(w**2), (x, w, e)  # @ridge


def ridge_backward(r, dy, penalty=0.6, data=2.0):
    x, w, e = r
    de = data * e / e.size * dy
    return de[:, None] * w[None, :], x.T @ de + penalty * w * dy, -de


ridge = Planted("ridge", __file__, ridge_forward, ridge_args)
ridge.right("as_it_is", ridge_backward)
ridge.wrong(
    "penalty_lost",
    "C2",
    ["path: @ridge missing", "product: w dy", "product: args[1]"],
    partial(ridge_backward, penalty=0.0),
)
ridge.wrong(
    "penalty_halved",
    "C4",
    ["path: @ridge scaled 1/2", "product: args[1]"],
    partial(ridge_backward, penalty=0.3),
)
ridge.wrong(
    "data_halved", "C4", ["scale: 1/2", "path: 1/2"], partial(ridge_backward, data=1.0)
)

# Two uses of one thing


def siamese_args():
    return normal(5, 3, seed=115), normal(5, 3, seed=116), normal(3, 7, seed=117)


def siamese_forward(a, b, w):
    d = a @ w - b @ w
    return jnp.sum(d**2, axis=1), (a, b, w, d)


def siamese_backward(r, dy, wrong=""):
    a, b, w, d = r
    dd = 2 * d * dy[:, None]
    db = dd @ w.T if wrong == "sign" else -(dd @ w.T)
    dw = a.T @ dd if wrong == "one" else a.T @ dd - b.T @ dd
    return dd @ w.T, db, dw


siamese = Planted("siamese", __file__, siamese_forward, siamese_args)
siamese.right("as_it_is", siamese_backward)
siamese.wrong(
    "sign_of_the_second", "C3", ["sign: all"], partial(siamese_backward, wrong="sign")
)
siamese.wrong(
    "second_use_of_w_lost",
    "C7 C2",
    ["path: missing", "uses: args[2]"],
    partial(siamese_backward, wrong="one"),
)

# Heads that share keys: head h of 4 reads group h // 2


def grouped_args():
    return normal(5, 4, 3, seed=118), normal(5, 2, 3, seed=119)


def grouped_forward(q, k):
    return jnp.sum(q * jnp.repeat(k, 2, axis=1), axis=-1), (q, k)


def grouped_backward(r, dy, order=(5, 2, 2, 3), over=2):
    q, k = r
    dk = (dy[..., None] * q).reshape(order).sum(over)
    return dy[..., None] * jnp.repeat(k, 2, axis=1), dk


grouped = Planted("grouped_heads", __file__, grouped_forward, grouped_args)
grouped.right("as_it_is", grouped_backward)
grouped.wrong(
    "heads_dealt_out_in_turn",
    "C6",
    ["edit: axis 2 for 1"],
    partial(grouped_backward, over=1),
)

# Softmax over what a mask lets through


def masked_args():
    return normal(5, 7, seed=120), normal(5, 7, seed=121) > -0.5


def masked_forward(z, mask):
    e = jnp.where(mask, jnp.exp(z), 0)
    p = e / jnp.sum(e, axis=1, keepdims=True)
    return p, (p, mask)


masked = Planted("masked_softmax", __file__, masked_forward, masked_args)


@masked.wrong("cotangent_masked_by_its_complement", "C8", ["residual: residuals[1]"])
def _masked(r, dy):
    p, mask = r
    inner = jnp.sum(jnp.where(mask, 0, p * dy), axis=1, keepdims=True)
    return p * (dy - inner), None
