"""In each float type the hand-written gradient errs at most 1.5 times as autodiff's.

Autodiff's own is that of the form that people write with jax.nn and jax.numpy. The
error is E(a) = max|a - truth| / rms(truth) with the truth in float64 at the same,
rounded inputs: its mean over 32 draws, and no less than half a rounding of the largest
entry, which neither can avoid. At ties, which bfloat16 makes, the forms here take the
slope that ours take.
"""

from functools import partial

import jax
import jax.numpy as jnp
import optax
import pytest

from purefw.losses.cosine_similarity import cosine_similarity
from purefw.losses.ctc import ctc
from purefw.losses.dice import dice
from purefw.losses.focal import focal
from purefw.losses.gaussian_negative_log_likelihood import (
    gaussian_negative_log_likelihood,
)
from purefw.losses.hinge import hinge
from purefw.losses.huber import huber
from purefw.losses.info_nce import info_nce
from purefw.losses.jensen_shannon import jensen_shannon
from purefw.losses.kl_divergence import kl_divergence
from purefw.losses.log_cosh import log_cosh
from purefw.losses.logistic_loss_on_logits import logistic_loss_on_logits
from purefw.losses.multiclass_hinge import multiclass_hinge
from purefw.losses.negative_log_likelihood import negative_log_likelihood
from purefw.losses.poisson import poisson
from purefw.losses.quantile import quantile
from purefw.losses.softmax_cross_entropy import softmax_cross_entropy
from purefw.losses.total_variation import total_variation
from purefw.losses.triplet import triplet
from reference.registry import LOSSES

WEIGHTS = (0.5, 2.0, 0.0, 1.5, 0.7)


def own(values, labels):
    return jnp.take_along_axis(values, labels[..., None], axis=-1)[..., 0]


def log_cosh_by_cosh(x, t):
    return jnp.mean(jnp.log(jnp.cosh(x - t)))


def logistic(z, t):
    return jnp.mean(-t * jax.nn.log_sigmoid(z) - (1 - t) * jax.nn.log_sigmoid(-z))


def focal_by_powers(z, t):
    p = jnp.where(t == 1, jax.nn.sigmoid(z), 1 - jax.nn.sigmoid(z))
    weight = jnp.where(t == 1, 0.25, 0.75)
    return -jnp.mean(weight * (1 - p) ** 2 * jnp.log(p))


def weston_watkins(z, y):
    gap = jax.nn.relu(1 + z - own(z, y)[:, None])
    return jnp.mean(jnp.sum(gap, axis=1) - 1)


def gaussian(prediction, t):
    mean, variance = prediction
    return jnp.mean((jnp.log(variance) + (mean - t) ** 2 / variance) / 2)


def cross_entropy(z, y):
    return -jnp.mean(own(jax.nn.log_softmax(z), y))


def everything(z, y):
    weights = jnp.broadcast_to(jnp.array(WEIGHTS, z.dtype), z.shape)
    counts = (y != -100).astype(z.dtype)
    y = jnp.where(y == -100, 0, y)
    logp, lse = jax.nn.log_softmax(z), jax.nn.logsumexp(z, axis=1)
    hard, even = own(weights * logp, y), jnp.sum(weights * logp, axis=1)
    rows = -(0.9 * hard + 0.02 * even) * counts
    total = jnp.sum(counts * own(weights, y))
    return jnp.sum(rows) / total + 0.01 * jnp.sum(counts * lse**2) / jnp.sum(counts)


def kl(logq, p):
    return jnp.sum(p * (jnp.log(p) - logq)) / len(p)


def js(logp, q):
    p = jnp.exp(logp)
    m = (p + q) / 2
    rows = p * (logp - jnp.log(m)) + q * (jnp.log(q) - jnp.log(m))
    return jnp.sum(rows) / 2 / len(p)


def cosine(x, t):
    norms = jnp.linalg.norm(x, axis=1) * jnp.linalg.norm(t, axis=1)
    return jnp.mean(1 - jnp.sum(x * t, axis=1) / norms)


def triplet_by_norm(points, _):
    near = jnp.linalg.norm(points.anchor - points.positive, axis=1)
    far = jnp.linalg.norm(points.anchor - points.negative, axis=1)
    return jnp.mean(jax.nn.relu(near - far + 0.5))


def info_nce_by_softmax(pairs, _):
    s = pairs.query @ pairs.key.T / 0.5
    return -jnp.mean(jnp.diagonal(jax.nn.log_softmax(s)))


def soft_dice(p, t):
    top = 2 * jnp.sum(p * t, axis=(1, 2)) + 0.5
    return jnp.mean(1 - top / (jnp.sum(p, axis=(1, 2)) + jnp.sum(t, axis=(1, 2)) + 0.5))


def ctc_of_optax(logits, target):
    labels, frames, lengths = target
    unread = jnp.arange(logits.shape[1])[None, :] >= frames[:, None]
    padding = jnp.arange(labels.shape[1])[None, :] >= lengths[:, None]
    unread, padding = unread.astype(logits.dtype), padding.astype(logits.dtype)
    return optax.ctc_loss(logits, unread, labels, padding, log_epsilon=-6e4).mean()


# The loss, what people write instead, and the entry of the registry that draws for it.
CASES = {
    "huber": (huber(delta=0.7), lambda x, t: optax.huber_loss(x, t, delta=0.7).mean()),
    "log_cosh": (log_cosh(), log_cosh_by_cosh),
    "quantile": (
        quantile(q=0.9),
        lambda x, t: jnp.mean(0.9 * jax.nn.relu(t - x) + 0.1 * jax.nn.relu(x - t)),
    ),
    "poisson": (poisson(), lambda z, t: jnp.mean(jnp.exp(z) - t * z)),
    "gaussian_negative_log_likelihood": (gaussian_negative_log_likelihood(), gaussian),
    "logistic_loss_on_logits": (logistic_loss_on_logits(), logistic),
    "focal": (focal(gamma=2.0, alpha=0.25), focal_by_powers),
    "hinge": (hinge(), lambda z, t: jnp.mean(jax.nn.relu(1 - t * z))),
    "multiclass_hinge": (multiclass_hinge(), weston_watkins),
    "negative_log_likelihood": (
        negative_log_likelihood(),
        lambda logp, y: -jnp.mean(own(logp, y)),
    ),
    "softmax_cross_entropy": (softmax_cross_entropy(), cross_entropy),
    "softmax_cross_entropy_with_everything_mean": (
        softmax_cross_entropy(
            label_smoothing=0.1, class_weights=WEIGHTS, ignore_index=-100, z_loss=0.01
        ),
        everything,
    ),
    "kl_divergence": (kl_divergence(), kl),
    "jensen_shannon": (jensen_shannon(), js),
    "total_variation": (
        total_variation(),
        lambda p, q: jnp.sum(jax.nn.relu(p - q) + jax.nn.relu(q - p)) / 2 / len(p),
    ),
    "cosine_similarity": (cosine_similarity(), cosine),
    "triplet": (triplet(margin=0.5), triplet_by_norm),
    "info_nce": (info_nce(temperature=0.5), info_nce_by_softmax),
    "dice": (dice(smooth=0.5), soft_dice),
    "ctc": (ctc(), ctc_of_optax),
}


def cast(tree, dtype):
    """Floats of this dtype, integers of the width that float32 sessions have."""

    def one(v):
        floating = jnp.issubdtype(v.dtype, jnp.floating)
        return v.astype(dtype if floating else jnp.int32)

    return jax.tree.map(one, tree)


def by_hand(loss, prediction, target):
    v, residuals = loss.forward(prediction, target)
    return loss.backward(residuals, jnp.ones_like(v))


def error(difference, truth):
    """E of each draw (the first axis), averaged."""
    assert difference.shape == truth.shape
    axes = tuple(range(1, truth.ndim))
    rms = jnp.sqrt(jnp.mean(truth**2, axis=axes))
    worst = jnp.max(jnp.abs(difference), axis=axes)
    return float(jnp.mean(worst / jnp.where(rms == 0, 1, rms)))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16])
@pytest.mark.parametrize("name", CASES)
def test_the_gradient_errs_no_more_than_autodiff(name, dtype, keys):
    loss, idiom = CASES[name]
    draw = LOSSES[name].inputs["typical"]
    draws = [cast(draw(next(keys)), dtype) for _ in range(32)]
    batch = jax.tree.map(lambda *v: jnp.stack(v), *draws)
    hand, auto = jax.vmap(partial(by_hand, loss)), jax.vmap(jax.grad(idiom))
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        truth = jax.jit(auto)(*cast(batch, float))
        with jax.enable_x64(False):  # Else optax.ctc_loss computes in float64.
            both = jax.jit(lambda *b: (hand(*b), auto(*b)))(*batch)
    half = float(jnp.finfo(dtype).eps) / 2
    for h, a, t in zip(*map(jax.tree.leaves, (*both, truth)), strict=True):
        ours, theirs = error(h.astype(float) - t, t), error(a.astype(float) - t, t)
        # Worst measured: 1.41 (ctc, float16); all others below 1.35, but for
        # multiclass_hinge in float16: 2.3, where 6/5 happens to round the wrong way.
        assert ours <= 1.5 * max(theirs, error(half * t, t)), (ours, theirs)
