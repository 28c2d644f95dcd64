"""Planted later: sums, means and orders along the wrong axis, kept axes forgotten."""

from functools import partial

import jax.numpy as jnp

from tests.reference.mistakes.case import LATER, normal
from tests.reference.mistakes.case import Planted as AnyPlanted

Planted = partial(AnyPlanted, planted=LATER)


def wide():
    return (normal(5, 7, seed=91),)


def square():
    return (normal(5, 5, seed=92),)


# Centred rows


def centre_forward(x):
    return x - jnp.mean(x, axis=1, keepdims=True), ()


centre = Planted("centre", __file__, centre_forward, wide)
centre.right("as_it_is", lambda r, dy: (dy - jnp.mean(dy, axis=1, keepdims=True),))
centre.wrong(
    "mean_over_the_batch",
    "C6",
    ["edit: axis 1 for 0 @centre_batch"],
    lambda r, dy: (dy - jnp.mean(dy, axis=0, keepdims=True),),  # @centre_batch
)
centre.wrong(
    "mean_over_everything",
    "C6",
    ["edit: axis 1 for 0, 1 @centre_all"],
    lambda r, dy: (dy - jnp.mean(dy),),  # @centre_all
)
squared = Planted("centre_square", __file__, centre_forward, square)
squared.wrong(
    "axis_not_kept",
    "C5",
    ["edit: kept @centre_kept"],
    lambda r, dy: (dy - jnp.mean(dy, axis=1)[None, :],),  # @centre_kept
)

# Rows of length one


def unit_forward(x):
    n = jnp.sqrt(jnp.sum(x**2, axis=1, keepdims=True))
    return x / n, (x / n, n)


unit = Planted("unit_rows", __file__, unit_forward, wide)
unit.right(
    "as_it_is",
    lambda r, dy: ((dy - r[0] * jnp.sum(r[0] * dy, axis=1, keepdims=True)) / r[1],),
)


@unit.wrong("sum_over_the_batch", "C6", ["edit: axis 1 for 0 @unit_sum"])
def _unit(r, dy):
    y, n = r
    inner = jnp.sum(y * dy, axis=0, keepdims=True)  # @unit_sum
    return ((dy - y * inner) / n,)


# Log-softmax


def log_softmax_forward(z):
    z = z - jnp.max(z, axis=-1, keepdims=True)
    y = z - jnp.log(jnp.sum(jnp.exp(z), axis=-1, keepdims=True))  # @lse
    return y, y


logs = Planted("log_softmax", __file__, log_softmax_forward, wide)


@logs.wrong("sum_over_the_batch", "C6", ["edit: axis 1 for 0 @logs_sum"])
def _logs(y, dy):
    total = jnp.sum(dy, axis=0, keepdims=True)  # @logs_sum
    return (dy - jnp.exp(y) * total,)


logs.wrong(
    "softmax_backward",
    "C9",
    ["factor: extra exp", "edit: @lse"],
    lambda y, dy: (
        jnp.exp(y) * (dy - jnp.sum(jnp.exp(y) * dy, axis=-1, keepdims=True)),
    ),
)

# An affine map of square shapes


def affine_args():
    return normal(5, 3, seed=93), normal(3, 5, seed=94), normal(5, seed=95)


def affine_forward(x, w, b):
    return x @ w + b[None, :], (x, w)


affine = Planted("affine_square", __file__, affine_forward, affine_args)
affine.wrong(
    "db_over_the_outputs",
    "C6",
    ["edit: axis 0 for 1 @affine_db"],
    lambda r, dy: (
        dy @ r[1].T,
        r[0].T @ dy,
        jnp.sum(dy, axis=1),  # @affine_db
    ),
)

# Running sums


def running_forward(x):
    return jnp.cumsum(x, axis=1), ()


running = Planted("running_sum", __file__, running_forward, wide)
running.wrong(
    "along_the_batch",
    "C6",
    ["edit: axis 1 for 0 @running_axis"],
    lambda r, dy: (
        jnp.flip(jnp.cumsum(jnp.flip(dy, axis=1), axis=0), axis=1),  # @running_axis
    ),
)

# A norm over two axes


def instance_args():
    return (normal(2, 3, 5, seed=96), normal(5, seed=97, shift=1.0))


def instance_forward(x, scale):
    mean = jnp.mean(x, axis=1, keepdims=True)
    var = jnp.mean((x - mean) ** 2, axis=1, keepdims=True)
    inverse = 1 / jnp.sqrt(var + 1e-3)
    xhat = (x - mean) * inverse
    return xhat * scale[None, None, :], (xhat, inverse, scale)


instance = Planted("instance", __file__, instance_forward, instance_args)


def instance_backward(r, dy, first=1, second=1):
    xhat, inverse, scale = r
    d = dy * scale[None, None, :]
    one = jnp.mean(d, axis=first, keepdims=True)  # @instance_one
    two = jnp.mean(d * xhat, axis=second, keepdims=True)  # @instance_two
    return inverse * (d - one - xhat * two), jnp.sum(dy * xhat, axis=(0, 1))


instance.right("as_it_is", instance_backward)
instance.wrong(
    "mean_path_over_the_features",
    "C6",
    ["edit: axis 1 for 2 @instance_one"],
    partial(instance_backward, first=2),
)
instance.wrong(
    "variance_path_over_both",
    "C6",
    ["edit: axis 1 for 1, 2 @instance_two"],
    partial(instance_backward, second=(1, 2)),
)
