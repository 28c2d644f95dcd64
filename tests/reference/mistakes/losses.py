"""Planted in losses."""

import jax.numpy as jnp
import numpy as np

from tests.reference.mistakes.case import Planted, normal, whole

IGNORE = -1


# Cross-entropy on logits, the mean over the labels that are not ignored.


def labelled():
    labels = np.array(whole(11, seed=31, below=5))
    labels[[2, 7, 8]] = IGNORE
    return normal(11, 5, seed=30), jnp.asarray(labels)


def log_softmax(z):
    z = z - jnp.max(z, axis=-1, keepdims=True)
    return z - jnp.log(jnp.sum(jnp.exp(z), axis=-1, keepdims=True))  # @logp_z


def ce_forward(logits, labels):
    valid = labels != IGNORE
    logp = log_softmax(logits)
    at = jnp.take_along_axis(logp, jnp.where(valid, labels, 0)[:, None], axis=-1)[:, 0]
    n = jnp.maximum(jnp.sum(valid), 1)
    return -jnp.sum(jnp.where(valid, at, 0)) / n, (logp, labels)


def ce_backward(residuals, dloss, masked=True, n=None, shift=1.0, onehot=1.0):
    logp, labels = residuals
    valid = labels != IGNORE
    hot = (labels[:, None] == jnp.arange(logp.shape[-1])[None, :]).astype(logp.dtype)
    d = shift * jnp.exp(logp) - onehot * hot
    d = jnp.where(valid[:, None], d, 0) if masked else d
    n = jnp.maximum(jnp.sum(valid), 1) if n is None else n
    return dloss * d / n, None


ce = Planted("cross_entropy", __file__, ce_forward, labelled)
ce.right("as_it_is", ce_backward)
ce.wrong(
    "divided_by_all_labels",
    "C4 C8",
    ["scale: count(args[1]"],
    lambda r, dy: ce_backward(r, dy, n=r[0].shape[0]),
)
ce.wrong(
    "not_divided",
    "C4 C8",
    ["scale: count(args[1]"],
    lambda r, dy: ce_backward(r, dy, n=1),
)
ce.wrong(
    "ignored_rows_not_masked",
    "C8",
    ["mask: args[1]"],
    lambda r, dy: ce_backward(r, dy, masked=False),
)
ce.wrong("dloss_ignored", "C1", ["cotangent: ones"], lambda r, dy: ce_backward(r, 1.0))
ce.wrong("sign", "C3", ["sign: all"], lambda r, dy: ce_backward(r, -dy))


@ce.wrong("onehot_forgotten", "C2", ["path: @logp_z missing"])
def _ce_hot(residuals, dloss):
    return ce_backward(residuals, dloss, onehot=0.0)


@ce.wrong(
    "log_probabilities_for_probabilities",
    "C9",
    ["residual: exp", "edit: @ce_exp", "residual: residuals[0]"],
)
def _ce_exp(residuals, dloss):
    logp, labels = residuals
    valid = labels != IGNORE
    hot = (labels[:, None] == jnp.arange(logp.shape[-1])[None, :]).astype(logp.dtype)
    d = jnp.where(valid[:, None], logp - hot, 0)  # @ce_exp
    return dloss * d / jnp.maximum(jnp.sum(valid), 1), None


# Label smoothing

EPSILON = 0.1


def smooth_args():
    return normal(7, 5, seed=32), whole(7, seed=33, below=5)


def smooth_forward(logits, labels):
    logp = log_softmax(logits)
    hot = (labels[:, None] == jnp.arange(5)[None, :]).astype(logp.dtype)
    target = (1 - EPSILON) * hot + EPSILON / 5  # @smooth_target
    return -jnp.mean(jnp.sum(target * logp, axis=-1)), (logp, hot)


smooth = Planted("label_smoothing", __file__, smooth_forward, smooth_args)


@smooth.wrong("uniform_part_lost", "C8", ["edit: @smooth_lost", "path: missing"])
def _smooth_lost(residuals, dloss):
    logp, hot = residuals
    d = jnp.exp(logp) - (1 - EPSILON) * hot  # @smooth_lost
    return dloss * d / logp.shape[0], None


@smooth.wrong(
    "epsilon_not_divided", "C8", ["edit: @smooth_whole", "path: scaled", "product: 1"]
)
def _smooth_whole(residuals, dloss):
    logp, hot = residuals
    d = jnp.exp(logp) - (1 - EPSILON) * hot - EPSILON  # @smooth_whole
    return dloss * d / logp.shape[0], None


# Mean squared error


def pair():
    return normal(5, 3, seed=34), normal(5, 3, seed=35)


def mse_forward(prediction, target):
    e = prediction - target
    return jnp.mean(e**2), e


mse = Planted("mse", __file__, mse_forward, pair)
mse.right("as_it_is", lambda e, dy: (2 * e * dy / e.size, -2 * e * dy / e.size))
mse.wrong(
    "two_forgotten",
    "C4",
    ["scale: 1/2"],
    lambda e, dy: (e * dy / e.size, -e * dy / e.size),
)
mse.wrong(
    "mean_over_the_batch_alone",
    "C4",
    ["scale: args[0].shape[1]"],
    lambda e, dy: (2 * e * dy / len(e), -2 * e * dy / len(e)),
)
mse.wrong(
    "not_divided",
    "C4",
    ["scale: args[0].size", "scale: args[0].shape[0] args[0].shape[1]"],
    lambda e, dy: (2 * e * dy, -2 * e * dy),
)
mse.wrong(
    "target_with_the_sign_of_prediction",
    "C3",
    ["sign: all"],
    lambda e, dy: (2 * e * dy / e.size, 2 * e * dy / e.size),
)
mse.wrong(
    "sum_in_the_gradient",
    "C5",
    ["product: sum"],
    lambda e, dy: (
        2 * jnp.sum(e) * jnp.ones_like(e) * dy / e.size,
        -2 * e * dy / e.size,
    ),
)

# Huber

DELTA = 0.6


def huber_forward(prediction, target):
    e = prediction - target
    small = 0.5 * e**2
    large = DELTA * (jnp.abs(e) - 0.5 * DELTA)  # @huber_large
    return jnp.sum(jnp.where(jnp.abs(e) <= DELTA, small, large)), e  # @huber_where


huber = Planted("huber", __file__, huber_forward, pair)


def huber_backward(e, dy):
    d = jnp.clip(e, -DELTA, DELTA) * dy
    return d, -d


huber.right("as_it_is", huber_backward)


@huber.wrong("not_clipped", "C11", ["edit: @huber_e", "branch: @huber_where"])
def _huber_e(e, dy):
    return e * dy, -e * dy  # @huber_e


@huber.wrong(
    "delta_forgotten_outside", "C11", ["edit: @huber_sign", "path: @huber_large scaled"]
)
def _huber_sign(e, dy):
    d = jnp.where(jnp.abs(e) <= DELTA, e, jnp.sign(e)) * dy  # @huber_sign
    return d, -d


huber.wrong(
    "dloss_ignored", "C1", ["cotangent: ones"], lambda e, dy: huber_backward(e, 1.0)
)

# Gaussian negative log-likelihood, its variance as a logarithm


def nll_args():
    return normal(7, seed=36), normal(7, seed=37), normal(7, seed=38)


def nll_forward(mean, logvar, y):
    e = y - mean
    precision = jnp.exp(-logvar)
    return jnp.mean(0.5 * (e**2 * precision + logvar)), (e, precision)  # @nll


def nll_backward(residuals, dy):
    e, precision = residuals
    n = e.shape[0]
    dmean = -e * precision * dy / n
    return dmean, 0.5 * (1 - e**2 * precision) * dy / n, -dmean


nll = Planted("gaussian_nll", __file__, nll_forward, nll_args)
nll.right("as_it_is", nll_backward)


@nll.wrong(
    "gradient_of_the_variance_itself",
    "C4",
    ["factor: extra residuals[1]", "factor: exp(-args[1])", "factor: exp(args[1])"],
)
def _nll_variance(residuals, dy):
    dmean, dlogvar, de = nll_backward(residuals, dy)
    return dmean, dlogvar * residuals[1], de


@nll.wrong("log_determinant_lost", "C2", ["path: @nll missing", "product: 1"])
def _nll_logdet(residuals, dy):
    e, precision = residuals
    dmean, _, de = nll_backward(residuals, dy)
    return dmean, -0.5 * e**2 * precision * dy / e.shape[0], de


@nll.wrong("precision_forgotten", "C2", ["factor: missing", "edit: @nll_mean"])
def _nll_precision(residuals, dy):
    e, precision = residuals
    _, dlogvar, _ = nll_backward(residuals, dy)
    n = e.shape[0]
    return -e * dy / n, dlogvar, e * precision * dy / n  # @nll_mean


# Cosine similarity of two rows


def cosine_forward(a, b):
    na = jnp.sqrt(jnp.sum(a**2, axis=-1, keepdims=True))  # @cos_na
    nb = jnp.sqrt(jnp.sum(b**2, axis=-1, keepdims=True))  # @cos_nb
    c = jnp.sum(a * b, axis=-1, keepdims=True) / (na * nb)  # @cos_c
    return c[:, 0], (a, b, na, nb, c)


def cosine_backward(residuals, dc):
    a, b, na, nb, c = residuals
    d = dc[:, None]
    return d * (b / (na * nb) - c * a / na**2), d * (a / (na * nb) - c * b / nb**2)


cosine = Planted("cosine", __file__, cosine_forward, pair)
cosine.right("as_it_is", cosine_backward)


@cosine.wrong(
    "norms_held_constant",
    "C2",
    ["path: @cos_na missing", "path: @cos_nb missing", "path: @cos_c missing"],
)
def _cos_constant(residuals, dc):
    a, b, na, nb, _ = residuals
    d = dc[:, None]
    return d * b / (na * nb), d * a / (na * nb)


@cosine.wrong(
    "norm_of_the_other",
    "C9",
    ["residual: residuals[3] residuals[2]", "edit: @cos_norm"],
)
def _cos_norm(residuals, dc):
    a, b, na, nb, c = residuals
    d = dc[:, None]
    da = d * (b / (na * nb) - c * a / nb**2)  # @cos_norm
    return da, cosine_backward(residuals, dc)[1]
