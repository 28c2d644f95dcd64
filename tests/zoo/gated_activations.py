"""Gated units, dropout and maxout."""

import jax
import jax.numpy as jnp

from tests.zoo.case import (
    Family,
    narrow,
    normal,
)
from tests.zoo.smooth_activations import silu_slope

# gated units


def glu_args(dtype):
    return (normal(dtype, 3, 10),)


def glu_f(x):
    a, b = jnp.split(x, 2, axis=-1)
    return a * jax.nn.sigmoid(b)


def glu_backward(residuals, dy, order=(0, 1), slope=True):
    a, b = jnp.split(residuals[0], 2, axis=-1)
    s = jax.nn.sigmoid(b)
    parts = dy * s, dy * a * s * (1 - s) if slope else dy * a
    return (jnp.concatenate([parts[order[0]], parts[order[1]]], axis=-1),)


glu = Family("glu", glu_f, glu_args)
glu.right("split_concatenate", glu_backward)
glu.right(
    "stored_halves",
    lambda r, dy: (jnp.concatenate([dy * r[1], dy * r[2] * (1 - r[1])], -1),),
    forward=lambda x: (jax.nn.glu(x), (x, jax.nn.sigmoid(x[:, 5:]), glu_f(x))),
)
glu.wrong(
    "halves_swapped",
    0,
    lambda r, dy: glu_backward(r, dy, (1, 0)),
    "The halves are concatenated in the wrong order.",
)
glu.wrong(
    "gate_slope_missing",
    0,
    lambda r, dy: glu_backward(r, dy, slope=False),
    "σ'(b) is missing.",
)
glu.wrong(
    "gate_gradient_zero",
    0,
    lambda r, dy: (glu_backward(r, dy)[0].at[:, 5:].set(0),),
    "The gate gets no gradient.",
)


def swiglu_f(params, x):
    return (jax.nn.silu(x @ params["gate"]) * (x @ params["up"])) @ params["down"]


def swiglu_args(dtype):
    params = {
        "gate": normal(dtype, 5, 7, seed=1, scale=0.5),
        "up": normal(dtype, 5, 7, seed=2, scale=0.5),
        "down": normal(dtype, 7, 3, seed=3, scale=0.5),
    }
    return params, normal(dtype, 2, 5)


def swiglu_backward(residuals, dy, paths=("gate", "up"), swap=False, silu_at="x"):
    p, x = residuals
    g, u = x @ p["gate"], x @ p["up"]
    h = jax.nn.silu(g) * u
    dh = dy @ p["down"].T
    dg = dh * u * silu_slope(g if silu_at == "x" else jax.nn.silu(g))
    du = dh * jax.nn.silu(g)
    dx = sum({"gate": dg @ p["gate"].T, "up": du @ p["up"].T}[k] for k in paths)
    dp = {"gate": x.T @ dg, "up": x.T @ du, "down": h.T @ dy}
    if swap:
        dp["gate"], dp["up"] = dp["up"], dp["gate"]
    return dp, dx


GATE, UP = "args[0]['gate']", "args[0]['up']"
swiglu = Family("swiglu", swiglu_f, swiglu_args)
swiglu.right("recomputed", swiglu_backward)
swiglu.imprecise(
    "bfloat16_inside",
    (GATE, UP, "args[0]['down']", 1),
    lambda r, dy: jax.tree.map(
        lambda a: a.astype(dy.dtype),
        swiglu_backward(
            jax.tree.map(lambda a: a.astype(narrow.bf16), r), dy.astype(narrow.bf16)
        ),
    ),
    "The backward runs in bfloat16.",
    ("float32",),
)
swiglu.wrong(
    "gate_path_missing",
    1,
    lambda r, dy: swiglu_backward(r, dy, ("up",)),
    "dx lacks the gate's path.",
)
swiglu.wrong(
    "up_path_missing",
    1,
    lambda r, dy: swiglu_backward(r, dy, ("gate",)),
    "dx lacks the up projection's path.",
)
swiglu.wrong(
    "gradients_swapped",
    (GATE, UP),
    lambda r, dy: swiglu_backward(r, dy, swap=True),
    "The two equal shapes are exchanged.",
)
swiglu.wrong(
    "slope_at_activation",
    (GATE, 1),
    lambda r, dy: swiglu_backward(r, dy, silu_at="y"),
    "silu' is taken at the activation.",
)

# dropout, with a key as an argument


def dropout_f(key, x, rate=0.3):
    keep = jax.random.bernoulli(key, 1 - rate, x.shape)
    return jnp.where(keep, x / (1 - rate), 0)


def dropout_args(dtype):
    return jax.random.key(7), normal(dtype, 6, 5)


def dropout_backward(residuals, dy, rate=0.3, salt=0):
    key, _ = residuals
    key = jax.random.fold_in(key, salt) if salt else key
    keep = jax.random.bernoulli(key, 1 - rate, dy.shape)
    return None, jnp.where(keep, dy / (1 - rate), 0)


dropout = Family("dropout", dropout_f, dropout_args)
dropout.right("mask_drawn_again", dropout_backward)
dropout.right(
    "stored_mask",
    lambda keep, dy: (None, dy * keep / 0.7),
    forward=lambda key, x: (dropout_f(key, x), jax.random.bernoulli(key, 0.7, x.shape)),
)
dropout.wrong(
    "no_rescaling",
    1,
    lambda r, dy: (None, 0.7 * dropout_backward(r, dy)[1]),
    "1/(1-p) is missing.",
)
dropout.wrong("no_mask", 1, lambda r, dy: (None, dy / 0.7), "The mask is lost.")
dropout.wrong(
    "another_mask",
    1,
    lambda r, dy: dropout_backward(r, dy, salt=1),
    "The mask is drawn from another key.",
)
dropout.wrong(
    "mask_from_output",
    1,
    lambda y, dy: (None, dy * (y > 0) / 0.7),
    "Kept negative entries are dropped.",
    save="y",
)

# maxout: the larger of two affine pieces

maxout = Family(
    "maxout", lambda x: x.reshape(4, 3, 2).max(-1), lambda d: (normal(d, 4, 6),)
)


def maxout_backward(r, dy):
    x = r[0].reshape(4, 3, 2)
    hit = jax.nn.one_hot(jnp.argmax(x, -1), 2, dtype=dy.dtype)
    return ((hit * dy[..., None]).reshape(4, 6),)


def tied_pairs(dtype):
    x = normal(dtype, 4, 6)
    return (x.at[:, 1].set(x[:, 0]),)


maxout.right("one_hot", maxout_backward)
maxout.wrong(
    "all_of_a_tie_where_none",
    0,
    lambda r, dy: (
        (dy[..., None] * (r[0].reshape(4, 3, 2) == r[1][..., None])).reshape(4, 6),
    ),
    "Each of the tied takes all, and none is tied.",
    forward=lambda x: (x.reshape(4, 3, 2).max(-1), (x, x.reshape(4, 3, 2).max(-1))),
    visible_at="other values",
    elsewhere=tied_pairs,
)
maxout.right(
    "first_of_a_tie",
    maxout_backward,
    "The first maximum takes all of dy.",
    args=tied_pairs,
    kink=True,
)
maxout.wrong(
    "all_of_a_tie",
    0,
    lambda r, dy: (
        (
            dy[..., None]
            * (r[0].reshape(4, 3, 2) == r[0].reshape(4, 3, 2).max(-1, keepdims=True))
        ).reshape(4, 6),
    ),
    "Each of two equal maxima gets all of dy.",
    args=tied_pairs,
)
maxout.wrong(
    "to_the_minimum",
    0,
    lambda r, dy: (
        (
            dy[..., None]
            * jax.nn.one_hot(jnp.argmin(r[0].reshape(4, 3, 2), -1), 2, dtype=dy.dtype)
        ).reshape(4, 6),
    ),
    "argmin for argmax.",
)
