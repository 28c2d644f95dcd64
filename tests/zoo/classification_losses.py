"""Cross entropies and their kin."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax

from tests.zoo.case import (
    Family,
    mean_of,
    narrow,
    normal,
    ones_for,
    swapped,
    uniform,
    with_cotangent,
    without,
)

# cross entropy with integer labels


def xent_f(logits, labels):
    logp = jax.nn.log_softmax(logits, axis=-1)
    return -jnp.take_along_axis(logp, labels[:, None], axis=-1).mean()


def xent_args(dtype):
    return normal(dtype, 5, 4), jnp.array([0, 3, 1, 3, 2])


def xent_backward(r, dy, divide=True):
    logits, labels = r
    p = jax.nn.softmax(logits, -1) - jax.nn.one_hot(
        labels, logits.shape[-1], dtype=logits.dtype
    )
    return dy * p / len(labels) if divide else dy * p, None


def float0(labels):
    return np.zeros(labels.shape, jax.dtypes.float0)


xent = Family("cross_entropy", xent_f, xent_args)
xent.right("softmax_minus_one_hot", xent_backward)
xent.right(
    "scatter",
    lambda r, dy: (
        jax.nn.softmax(r[0], -1).at[jnp.arange(len(r[1])), r[1]].add(-1)
        * (dy / len(r[1])),
        float0(r[1]),
    ),
)
xent.right(
    "stored_probabilities",
    lambda r, dy: (
        dy / r[0].shape[0] * (r[0] - (r[1][:, None] == jnp.arange(r[0].shape[1]))),
        None,
    ),
    forward=lambda x, t: (xent_f(x, t), (jax.nn.softmax(x), t)),
)
xent.right(
    "logits_1e4",
    xent_backward,
    "Saturated rows.",
    args=lambda d: (
        xent_args(d)[0].at[0, 1].set(1e4).at[2, 1].set(1e4).at[3].add(-1e4),
        xent_args(d)[1],
    ),
)
xent.right(
    "optax_forward",
    xent_backward,
    forward=lambda x, t: (
        optax.softmax_cross_entropy_with_integer_labels(x, t).mean(),
        (x, t),
    ),
)
xent.wrong(
    "not_divided_by_batch",
    0,
    functools.partial(xent_backward, divide=False),
    "1/N is missing.",
)
xent.wrong(
    "divided_by_classes",
    0,
    lambda r, dy: (5 / 4 * xent_backward(r, dy)[0], None),
    "1/C for 1/N.",
)
xent.wrong(
    "negated",
    0,
    lambda r, dy: (-xent_backward(r, dy)[0], None),
    "one-hot minus softmax.",
)
xent.wrong(
    "softmax_over_the_batch",
    0,
    lambda r, dy: (
        dy
        / len(r[1])
        * (jax.nn.softmax(r[0], 0) - jax.nn.one_hot(r[1], 4, dtype=dy.dtype)),
        None,
    ),
    "The softmax runs over the wrong axis.",
)
xent.wrong(
    "one_hot_missing",
    0,
    lambda r, dy: (dy / len(r[1]) * jax.nn.softmax(r[0], -1), None),
    "The label is not subtracted.",
)
xent.wrong(
    "target_entry_only",
    0,
    lambda r, dy: (
        xent_backward(r, dy)[0] * jax.nn.one_hot(r[1], 4, dtype=dy.dtype),
        None,
    ),
    "Only the label's column gets a gradient.",
)
xent.wrong(
    "cotangent_ignored",
    0,
    with_cotangent(xent_backward, ones_for),
    "dloss is taken for 1.",
)
xent.wrong(
    "label_of_next_row",
    0,
    lambda r, dy: xent_backward((r[0], jnp.roll(r[1], 1)), dy),
    "The labels are shifted by a row.",
)
xent.wrong(
    "first_label_for_all",
    0,
    lambda r, dy: xent_backward((r[0], jnp.full_like(r[1], r[1][0])), dy),
    "Every row uses the first label, and all are equal.",
    args=lambda d: (normal(d, 3, 4), jnp.array([2, 2, 2])),
    visible_at="other values",
    elsewhere=xent_args,
)
xent.imprecise(
    "no_maximum_subtracted",
    0,
    lambda r, dy: (
        dy
        / len(r[1])
        * (
            jnp.exp(r[0]) / jnp.exp(r[0]).sum(-1, keepdims=True)
            - jax.nn.one_hot(r[1], 4, dtype=dy.dtype)
        ),
        None,
    ),
    "exp overflows.",
    ("float32", "bfloat16", "float16"),
    args=lambda d: (normal(d, 5, 4, shift=100.0), xent_args(d)[1]),
)
xent.imprecise(
    "softmax_in_bfloat16_before_minus_one",
    0,
    lambda r, dy: (
        dy
        / len(r[1])
        * (
            jax.nn.softmax(r[0]).astype(narrow.bf16).astype(dy.dtype)
            - jax.nn.one_hot(r[1], 4, dtype=dy.dtype)
        ),
        None,
    ),
    "p is rounded to bfloat16 before 1 is subtracted.",
    ("float32",),
)

# cross entropy with ignored labels


def ignoring_f(logits, labels):
    valid = labels != -1
    logp = jax.nn.log_softmax(logits, axis=-1)
    picked = jnp.take_along_axis(logp, jnp.where(valid, labels, 0)[:, None], -1)[:, 0]
    return -jnp.sum(jnp.where(valid, picked, 0)) / jnp.maximum(valid.sum(), 1).astype(
        logits.dtype
    )


def ignoring_args(dtype):
    return normal(dtype, 6, 4), jnp.array([0, -1, 3, 2, -1, 2])


def ignoring_backward(r, dy, mask=True, count=True):
    logits, labels = r
    valid = labels != -1
    d = jax.nn.softmax(logits, -1) - jax.nn.one_hot(
        labels if count != "wrap" else labels % 4, 4, dtype=dy.dtype
    )
    d = d * valid[:, None] if mask else d
    n = jnp.maximum(valid.sum(), 1) if count is not False else len(labels)
    return d * dy / jnp.asarray(n, dy.dtype), None


ignoring = Family("cross_entropy_ignore", ignoring_f, ignoring_args)
ignoring.right("masked", ignoring_backward)
ignoring.right(
    "all_ignored",
    ignoring_backward,
    "No valid row: the loss and its gradient are 0.",
    args=lambda d: (normal(d, 3, 4), jnp.array([-1, -1, -1])),
)
ignoring.right(
    "where",
    lambda r, dy: (
        jnp.where((r[1] >= 0)[:, None], ignoring_backward(r, dy, mask=False)[0], 0),
        None,
    ),
)
ignoring.wrong(
    "mask_lost",
    0,
    functools.partial(ignoring_backward, mask=False),
    "Ignored rows get the softmax.",
)
ignoring.wrong(
    "mask_lost_where_none_is_ignored",
    0,
    functools.partial(ignoring_backward, mask=False),
    "Ignored rows get the softmax, and none is given.",
    args=lambda d: (normal(d, 3, 4), jnp.array([0, 3, 1])),
    visible_at="other values",
    elsewhere=ignoring_args,
)
ignoring.wrong(
    "divided_by_all_rows",
    0,
    functools.partial(ignoring_backward, count=False),
    "N counts the ignored rows.",
)

# label smoothing


def smooth_f(logits, labels, alpha=0.1):
    t = (
        jax.nn.one_hot(labels, logits.shape[-1], dtype=logits.dtype) * (1 - alpha)
        + alpha / logits.shape[-1]
    )
    return -(t * jax.nn.log_softmax(logits)).sum(-1).mean()


def smooth_backward(r, dy, alpha=0.1, spread_over=4):
    logits, labels = r
    t = jax.nn.one_hot(labels, 4, dtype=dy.dtype) * (1 - alpha) + alpha / spread_over
    return dy * (jax.nn.softmax(logits) - t) / len(labels), None


smooth = Family("label_smoothing", smooth_f, xent_args)
smooth.right("softmax_minus_smoothed", smooth_backward)
smooth.right(
    "two_losses",
    lambda r, dy: (
        0.9 * xent_backward(r, dy)[0]
        + 0.1 * dy * (jax.nn.softmax(r[0]) - 0.25) / len(r[1]),
        None,
    ),
)
smooth.wrong("no_smoothing", 0, xent_backward, "The smoothing is forgotten.")
smooth.wrong(
    "classes_minus_one",
    0,
    functools.partial(smooth_backward, spread_over=3),
    "α/(C-1) for α/C.",
)
smooth.wrong(
    "alpha_0.1001",
    0,
    functools.partial(smooth_backward, alpha=0.1001),
    "α is off by 1e-4.",
)

# soft targets, with a gradient for the target too


def soft_backward(r, dy, mass=True):
    x, t = r
    total = t.sum(-1, keepdims=True) if mass else 1
    return dy * (jax.nn.softmax(x) * total - t), -dy * jax.nn.log_softmax(x)


def soft_args(dtype):
    return normal(dtype, 3, 4), uniform(dtype, 3, 4, seed=1, low=0.1)


soft = Family(
    "soft_cross_entropy", lambda x, t: -(t * jax.nn.log_softmax(x)).sum(), soft_args
)
soft.right("with_mass", soft_backward)
soft.wrong(
    "mass_taken_for_1",
    0,
    functools.partial(soft_backward, mass=False),
    "Σ t = 1 is assumed, and it is not.",
)
soft.wrong(
    "target_gets_softmax",
    1,
    lambda r, dy: (soft_backward(r, dy)[0], -dy * jax.nn.softmax(r[0])),
    "The logarithm is missing in dt.",
)
soft.wrong(
    "target_gets_nothing",
    1,
    lambda r, dy: (soft_backward(r, dy)[0], jnp.zeros_like(r[1])),
    "Zeros for the target.",
)

# binary cross entropy


def bce_args(dtype):
    return normal(dtype, 4, 3, scale=2.0), uniform(dtype, 4, 3, seed=1)


def bce_backward(r, dy):
    x, t = r
    return dy * (jax.nn.sigmoid(x) - t), -dy * x


bce = Family(
    "bce_with_logits",
    lambda x, t: jnp.maximum(x, 0) - x * t + jnp.log1p(jnp.exp(-jnp.abs(x))),
    bce_args,
)
bce.right("sigmoid_minus_target", bce_backward)
bce.right(
    "optax_forward",
    bce_backward,
    forward=lambda x, t: (optax.sigmoid_binary_cross_entropy(x, t), (x, t)),
)
bce.right(
    "softplus_forward",
    bce_backward,
    forward=lambda x, t: (jax.nn.softplus(x) - x * t, (x, t)),
)
bce.wrong(
    "target_minus_sigmoid",
    0,
    lambda r, dy: (-bce_backward(r, dy)[0], bce_backward(r, dy)[1]),
    "The sign.",
)
bce.wrong(
    "no_sigmoid",
    0,
    lambda r, dy: (dy * (r[0] - r[1]), -dy * r[0]),
    "The sigmoid is missing.",
)
bce.wrong(
    "squared_error_through_sigmoid",
    0,
    lambda r, dy: (lambda s: (dy * (s - r[1]) * s * (1 - s), -dy * r[0]))(
        jax.nn.sigmoid(r[0])
    ),
    "σ' does not cancel.",
)
bce.wrong(
    "mean_cotangent",
    0,
    lambda r, dy: (bce_backward(r, mean_of(dy))[0], -dy * r[0]),
    "The mean of dy stands for dy.",
)
bce.wrong("target_none", 1, without(bce_backward, 1), "None for the target.")


def probability_backward(r, dy):
    p, t = r
    return dy * (p - t) / (p * (1 - p)), dy * (jnp.log1p(-p) - jnp.log(p))


bce_p = Family(
    "bce_of_probability",
    lambda p, t: -t * jnp.log(p) - (1 - t) * jnp.log1p(-p),
    lambda d: (uniform(d, 7, low=0.1, high=0.9), uniform(d, 7, seed=1)),
)
bce_p.right("common_denominator", probability_backward)
bce_p.right(
    "two_terms",
    lambda r, dy: (
        dy * ((1 - r[1]) / (1 - r[0]) - r[1] / r[0]),
        dy * jnp.log(1 / r[0] - 1),
    ),
)
bce_p.wrong(
    "no_denominator",
    0,
    lambda r, dy: (dy * (r[0] - r[1]), probability_backward(r, dy)[1]),
    "The formula for logits.",
)
bce_p.wrong(
    "one_minus_p_forgotten",
    0,
    lambda r, dy: (dy * (r[0] - r[1]) / r[0], probability_backward(r, dy)[1]),
    "1-p is missing in the denominator.",
)

# Kullback-Leibler, with logarithms as inputs


def kl_f(logp, logq):
    return jnp.sum(jnp.exp(logp) * (logp - logq))


def kl_backward(r, dy, entropy=True):
    logp, logq = r
    p = jnp.exp(logp)
    return dy * p * ((logp - logq) + (1 if entropy else 0)), -dy * p


def log_probabilities(dtype):
    return tuple(
        jax.nn.log_softmax(normal("float64", 3, 4, seed=s)).astype(dtype)
        for s in (0, 1)
    )


kl = Family("kl_divergence", kl_f, log_probabilities)
kl.right("product_rule", kl_backward)
kl.right(
    "stored_ratio",
    lambda r, dy: (dy * (r[0] + r[1]), -dy * r[0]),
    forward=lambda a, b: (kl_f(a, b), (jnp.exp(a), jnp.exp(a) * (a - b))),
)
kl.wrong(
    "plus_one_forgotten",
    0,
    functools.partial(kl_backward, entropy=False),
    "d(p log p) = p (log p + 1).",
)
kl.wrong(
    "q_for_p",
    1,
    lambda r, dy: (kl_backward(r, dy)[0], -dy * jnp.exp(r[1])),
    "-q for -p.",
)
kl.wrong(
    "swapped", (0, 1), swapped(kl_backward, 0, 1), "The two gradients are exchanged."
)
