"""Losses of regression, margins and likelihoods."""

import functools

import jax
import jax.numpy as jnp
import optax
from jax import lax

from tests.zoo.case import (
    HALF,
    WIDE,
    Family,
    array,
    narrow,
    normal,
    one_entry,
    ones_for,
    swapped,
    uniform,
    with_cotangent,
    without,
)


def pair(dtype):
    return normal(dtype, 5, 3), normal(dtype, 5, 3, seed=1)


def equal_pair(dtype):
    a, b = pair(dtype)
    return a, b.at[0].set(a[0]).at[2, 1].set(a[2, 1])


# mean squared error


def mse_backward(r, dy):
    p, t = r
    d = 2 * dy * (p - t) / p.size
    return d, -d


mse = Family("mse", lambda p, t: jnp.mean((p - t) ** 2), pair)
mse.right("two_over_size", mse_backward)
mse.right(
    "stored_difference",
    lambda e, dy: (dy * e * (2 / e.size), -dy * e * (2 / e.size)),
    forward=lambda p, t: (jnp.mean(jnp.square(p - t)), p - t),
)
mse.right(
    "vmapped",
    lambda r, dy: jax.vmap(lambda p, t: (2 / 15 * dy * (p - t), 2 / 15 * dy * (t - p)))(
        *r
    ),
)
mse.right(
    "tiny_scale",
    lambda r, dy: tuple(1e-12 * v for v in mse_backward(r, dy)),
    forward=lambda p, t: (1e-12 * jnp.mean((p - t) ** 2), (p, t)),
    dtypes=("float32", "float64", "bfloat16"),
)
mse.imprecise(
    "difference_in_bfloat16",
    (0, 1),
    lambda e, dy: (
        2 * dy * e.astype(dy.dtype) / e.size,
        -2 * dy * e.astype(dy.dtype) / e.size,
    ),
    "p - t is stored in bfloat16.",
    ("float32",),
    forward=lambda p, t: (jnp.mean((p - t) ** 2), (p - t).astype(narrow.bf16)),
)
mse.imprecise(
    "operands_rounded_before_the_difference",
    (0, 1),
    lambda r, dy: (lambda e: (2 * dy * e / e.size, -2 * dy * e / e.size))(
        (r[0].astype(narrow.bf16) - r[1].astype(narrow.bf16)).astype(dy.dtype)
    ),
    "p and t are rounded to bfloat16 before they are subtracted.",
    ("float32",),
)
mse.wrong(
    "divided_by_batch",
    (0, 1),
    lambda r, dy: tuple(3 * v for v in mse_backward(r, dy)),
    "1/N for 1/(N D).",
)
mse.wrong(
    "divided_by_batch_of_one_column",
    (0, 1),
    lambda r, dy: (
        2 * dy * (r[0] - r[1]) / len(r[0]),
        2 * dy * (r[1] - r[0]) / len(r[0]),
    ),
    "1/N for 1/(N D), and D is 1.",
    args=lambda d: (normal(d, 5, 1), normal(d, 5, 1, seed=1)),
    visible_at="other shape",
    elsewhere=pair,
)
mse.wrong(
    "two_forgotten",
    (0, 1),
    lambda r, dy: tuple(v / 2 for v in mse_backward(r, dy)),
    "The 2 is missing.",
)
mse.wrong(
    "no_mean",
    (0, 1),
    lambda r, dy: tuple(v * 15 for v in mse_backward(r, dy)),
    "The sum's gradient.",
)
mse.wrong(
    "target_sign", 1, lambda r, dy: (mse_backward(r, dy)[0],) * 2, "dt has dp's sign."
)
mse.wrong("no_target_gradient", 1, without(mse_backward, 1), "None for the target.")
mse.wrong(
    "cotangent_ignored",
    (0, 1),
    with_cotangent(mse_backward, ones_for),
    "dloss is taken for 1.",
)
mse.wrong(
    "one_entry_of_40000",
    0,
    one_entry(mse_backward, 0, (17, 123), 1.5),
    "One entry of 40,000 is half too large.",
    args=lambda d: (normal(d, 200, 200), normal(d, 200, 200, seed=1)),
    dtypes=WIDE,
)
mse.wrong(
    "absolute_cotangent", (0, 1), with_cotangent(mse_backward, jnp.abs), "|dloss|."
)

# mean absolute error and Huber


def mae_backward(r, dy, at_zero=0):
    p, t = r
    s = jnp.where(p > t, 1, jnp.where(p < t, -1, at_zero))
    return dy * s / p.size, -dy * s / p.size


mae = Family("mae", lambda p, t: jnp.abs(p - t).mean(), pair)
mae.right("sign", mae_backward)
for tie in (0, 1, -1, 0.5):
    mae.right(
        f"slope_{tie}_at_equality",
        lambda r, dy, c=tie: (mae_backward(r, dy, c)[0], None),
        "Every slope from -1 to 1 is a subgradient.",
        forward=lambda p, t: (jnp.abs(p - lax.stop_gradient(t)).mean(), (p, t)),
        args=equal_pair,
        kink=True,
    )
mae.wrong(
    "slope_2_at_equality",
    (0, 1),
    lambda r, dy: mae_backward(r, dy, 2),
    "2 is no subgradient of |.| at 0.",
    args=equal_pair,
)
mae.wrong("square_loss", (0, 1), mse_backward, "The gradient of the squared error.")
mae.wrong(
    "not_averaged",
    (0, 1),
    lambda r, dy: tuple(15 * v for v in mae_backward(r, dy)),
    "1/n is missing.",
)


def huber_backward(r, dy, delta=1.0, linear=True):
    e = r[0] - r[1]
    d = jnp.where(jnp.abs(e) <= delta, e, delta * jnp.sign(e)) if linear else e
    d = dy * d / e.size
    return d, -d


huber = Family("huber", lambda p, t: optax.losses.huber_loss(p, t).mean(), pair)
huber.right("where", huber_backward)
huber.right(
    "clip",
    lambda r, dy: (
        dy * jnp.clip(r[0] - r[1], -1, 1) / r[0].size,
        dy * jnp.clip(r[1] - r[0], -1, 1) / r[0].size,
    ),
)
huber.wrong(
    "threshold",
    (0, 1),
    functools.partial(huber_backward, delta=1.5),
    "The threshold of the backward is 1.5.",
)
huber.wrong(
    "never_linear",
    (0, 1),
    functools.partial(huber_backward, linear=False),
    "The linear branch is forgotten.",
)
huber.wrong(
    "never_linear_for_small_errors",
    (0, 1),
    functools.partial(huber_backward, linear=False),
    "The linear branch is forgotten, and no given error is large.",
    args=lambda d: (uniform(d, 5, 3, high=0.4), uniform(d, 5, 3, seed=1, high=0.4)),
    visible_at="other values",
    elsewhere=pair,
)
huber.wrong(
    "cotangent_missing",
    (0, 1),
    with_cotangent(huber_backward, ones_for),
    "dloss is ignored.",
)

log_cosh = Family(
    "log_cosh",
    lambda p, t: jnp.sum(jnp.logaddexp(p - t, t - p) - jnp.log(2.0).astype(p.dtype)),
    pair,
)
log_cosh.right(
    "tanh", lambda r, dy: (dy * jnp.tanh(r[0] - r[1]), dy * jnp.tanh(r[1] - r[0]))
)
log_cosh.wrong(
    "sinh",
    (0, 1),
    lambda r, dy: (dy * jnp.sinh(r[0] - r[1]), dy * jnp.sinh(r[1] - r[0])),
    "The division by cosh is missing.",
)
log_cosh.imprecise(
    "sinh_over_cosh",
    (0, 1),
    lambda r, dy: (lambda t: (dy * t, -dy * t))(
        jnp.sinh(r[0] - r[1]) / jnp.cosh(r[0] - r[1])
    ),
    "sinh/cosh overflows at 100.",
    ("float32", "bfloat16", "float16"),
    args=lambda d: (array(d, 150.0, 1.0), array(d, -10.0, 2.0)),
)

quantile = Family(
    "quantile", lambda p, t: jnp.mean(jnp.maximum(0.9 * (t - p), -0.1 * (t - p))), pair
)
quantile.right(
    "where",
    lambda r, dy: (lambda d: (d, -d))(
        dy * jnp.where(r[1] > r[0], -0.9, 0.1).astype(dy.dtype) / r[0].size
    ),
)
quantile.wrong(
    "sides_swapped",
    (0, 1),
    lambda r, dy: (lambda d: (d, -d))(
        dy * jnp.where(r[1] > r[0], -0.1, 0.9).astype(dy.dtype) / r[0].size
    ),
    "τ and 1-τ exchanged.",
)
quantile.wrong(
    "median", (0, 1), lambda r, dy: mae_backward(r, dy / 2), "τ = ½ is assumed."
)

# margins

hinge = Family(
    "hinge",
    lambda x, t: jnp.maximum(0, 1 - t * x).mean(),
    lambda d: (normal(d, 8, scale=2.0), jnp.sign(normal(d, 8, seed=1))),
)


def hinge_backward(r, dy, on=jnp.greater, at=1):
    x, t = r
    active = on(at - t * x, 0).astype(dy.dtype)
    return -dy * t * active / x.size, -dy * x * active / x.size


hinge.right("gate", hinge_backward)
hinge.right(
    "closed_gate",
    lambda r, dy: (hinge_backward(r, dy, jnp.greater_equal)[0], None),
    "At margin 1 both gates are subgradients.",
    forward=lambda x, t: (jnp.maximum(0, 1 - lax.stop_gradient(t) * x).mean(), (x, t)),
    args=lambda d: (array(d, 1.0, -1.0, 0.5, 2.0), array(d, 1.0, -1.0, 1.0, 1.0)),
    kink=True,
)
hinge.wrong(
    "perceptron",
    (0, 1),
    functools.partial(hinge_backward, at=0),
    "The margin 1 is forgotten in the gate.",
)
hinge.wrong(
    "ungated",
    (0, 1),
    lambda r, dy: (-dy * r[1] / 8, -dy * r[0] / 8),
    "Points beyond the margin push too.",
)
hinge.wrong(
    "label_missing",
    0,
    lambda r, dy: (hinge_backward(r, dy)[0] * r[1], hinge_backward(r, dy)[1]),
    "t is missing.",
)

triplet = Family(
    "triplet",
    lambda a, p, n: jnp.maximum(((a - p) ** 2).sum(-1) - ((a - n) ** 2).sum(-1) + 1, 0),
    lambda d: tuple(normal(d, 6, 3, seed=s) for s in range(3)),
)


def triplet_backward(r, dy, gate=True, anchor=(1, -1)):
    a, p, n = r
    on = (((a - p) ** 2).sum(-1) - ((a - n) ** 2).sum(-1) + 1 > 0).astype(dy.dtype)
    w = 2 * (dy * on if gate else dy)[:, None]
    return w * (anchor[0] * (a - p) + anchor[1] * (a - n)), -w * (a - p), w * (a - n)


triplet.right("three_differences", triplet_backward)
triplet.right(
    "cancelled",
    lambda r, dy: (
        2 * (dy * (r[1] > 0))[:, None] * (r[0][2] - r[0][1]),
        *triplet_backward(r[0], dy)[1:],
    ),
    save="xy",
)
triplet.wrong(
    "ungated",
    (0, 1, 2),
    functools.partial(triplet_backward, gate=False),
    "Satisfied triplets push too.",
)
triplet.wrong(
    "negative_missing_for_anchor",
    0,
    functools.partial(triplet_backward, anchor=(1, 0)),
    "The anchor's path to the negative.",
)
triplet.wrong(
    "positive_and_negative_swapped",
    (1, 2),
    swapped(triplet_backward, 1, 2),
    "The two are exchanged.",
)

# cosine similarity


def cosine_f(a, b):
    return (a * b).sum(-1) / (jnp.linalg.norm(a, axis=-1) * jnp.linalg.norm(b, axis=-1))


def cosine_backward(r, dy, projected=True, norms="ab"):
    a, b = r
    na, nb = (
        jnp.linalg.norm(a, axis=-1, keepdims=True),
        jnp.linalg.norm(b, axis=-1, keepdims=True),
    )
    c = (a * b).sum(-1, keepdims=True) / (na * nb)
    d = dy[:, None]
    da = d * (b / (na * nb) - (c * a / na**2 if projected else 0))
    return da, d * (a / (na * nb) - c * b / (nb**2 if norms == "ab" else na**2))


cosine = Family("cosine_similarity", cosine_f, pair)
cosine.right("projected", cosine_backward)
cosine.right(
    "unit_vectors",
    lambda r, dy: (
        lambda na, nb: (
            lambda u, v: (
                lambda c: (
                    dy[:, None] * (v - c * u) / na,
                    dy[:, None] * (u - c * v) / nb,
                )
            )((u * v).sum(-1, keepdims=True))
        )(r[0] / na, r[1] / nb)
    )(*(jnp.sqrt((v * v).sum(-1, keepdims=True)) for v in r)),
)
cosine.wrong(
    "norm_constant",
    0,
    functools.partial(cosine_backward, projected=False),
    "The norm of a is taken for a constant.",
)
cosine.wrong(
    "norm_of_the_other",
    1,
    functools.partial(cosine_backward, norms="aa"),
    "|a| for |b| in db.",
)

# likelihoods

poisson = Family(
    "poisson_nll",
    lambda x, t: jnp.sum(jnp.exp(x) - t * x),
    lambda d: (normal(d, 6), uniform(d, 6, seed=1, high=5.0)),
)
poisson.right(
    "exp_minus_target", lambda r, dy: (dy * (jnp.exp(r[0]) - r[1]), -dy * r[0])
)
poisson.wrong(
    "rate_for_log_rate",
    0,
    lambda r, dy: (dy * (1 - r[1] / r[0]), -dy * r[0]),
    "The gradient for a rate, not for its logarithm.",
)


def gaussian_f(mean, logvar, t):
    return 0.5 * jnp.sum(logvar + (t - mean) ** 2 * jnp.exp(-logvar))


def gaussian_backward(r, dy, half=0.5, one=1.0):
    mean, logvar, t = r
    z = (t - mean) * jnp.exp(-logvar)
    return -dy * z, half * dy * (one - (t - mean) * z), dy * z


gaussian = Family(
    "gaussian_nll",
    gaussian_f,
    lambda d: (normal(d, 4, 2), normal(d, 4, 2, seed=1), normal(d, 4, 2, seed=2)),
)
gaussian.right("log_variance", gaussian_backward)
gaussian.wrong(
    "half", 1, functools.partial(gaussian_backward, half=1.0), "½ is missing."
)
gaussian.wrong(
    "log_determinant",
    1,
    functools.partial(gaussian_backward, one=0.0),
    "The log-determinant's gradient is missing.",
)
gaussian.wrong(
    "mean_sign",
    0,
    lambda r, dy: (-gaussian_backward(r, dy)[0], *gaussian_backward(r, dy)[1:]),
    "dmean is negated.",
)

# focal loss on logits, contrastive loss on similarities


def focal_f(x, gamma=2.0):
    p = jax.nn.sigmoid(x)
    return (1 - p) ** gamma * jax.nn.softplus(-x)


def focal_slope(r, dy, weight=True, gamma=2.0):
    (x,) = r
    p, q = jax.nn.sigmoid(x), jax.nn.sigmoid(-x)
    d = -(q ** (gamma + 1))
    if weight:
        d = d - gamma * q**gamma * p * jax.nn.softplus(-x)
    return (dy * d,)


focal = Family("focal", focal_f, lambda d: (normal(d, 9),), dtypes=WIDE + HALF)
focal.right("product_rule", focal_slope)
focal.wrong(
    "weight_constant",
    0,
    functools.partial(focal_slope, weight=False),
    "The weight (1-p)^γ is taken for a constant.",
)
focal.wrong(
    "gamma_1.999", 0, functools.partial(focal_slope, gamma=1.999), "γ is off by 1e-3."
)


def info_nce_f(a, b, t=0.5):
    s = a @ b.T / t
    return -jnp.mean(jnp.diag(jax.nn.log_softmax(s, axis=1)))


def info_nce_backward(r, dy, t=0.5, axis=1, transpose=True):
    a, b = r
    s = a @ b.T / t
    ds = dy * (jax.nn.softmax(s, axis=axis) - jnp.eye(len(a), dtype=dy.dtype)) / len(a)
    return ds @ b / t, (ds.T if transpose else ds) @ a / t


nce = Family(
    "info_nce", info_nce_f, lambda d: (normal(d, 4, 3), normal(d, 4, 3, seed=1))
)
nce.right("two_matmuls", info_nce_backward)
nce.wrong(
    "temperature_once",
    (0, 1),
    lambda r, dy: tuple(0.5 * v for v in info_nce_backward(r, dy)),
    "1/T of the outer derivative is missing.",
)
nce.wrong(
    "not_transposed",
    1,
    functools.partial(info_nce_backward, transpose=False),
    "The square dS is not transposed.",
)
nce.wrong(
    "columns_normalised",
    (0, 1),
    functools.partial(info_nce_backward, axis=0),
    "The softmax runs over the other axis.",
)
nce.imprecise(
    "similarities_in_bfloat16",
    (0, 1),
    lambda r, dy: tuple(
        v.astype(dy.dtype)
        for v in info_nce_backward(
            tuple(v.astype(narrow.bf16) for v in r), dy.astype(narrow.bf16)
        )
    ),
    "The whole backward runs in bfloat16.",
    ("float32",),
)
