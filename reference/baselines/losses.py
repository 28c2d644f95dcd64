"""The losses as people write them with jax.nn, jax.numpy and Optax.

`LOSS_FORMS` maps names of the registry to `form(prediction, target) -> loss`; the
derivative is autodiff's. At ties the forms take the slope that ours take.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array

WEIGHTS = (0.5, 2.0, 0.0, 1.5, 0.7)


def own(values: Any, labels: Any) -> Array:
    """The entry of each row that its label names."""
    return jnp.take_along_axis(values, labels[..., None], axis=-1)[..., 0]


def log_cosh(x: Any, t: Any) -> Array:
    """By its name; it overflows far away."""
    return jnp.mean(jnp.log(jnp.cosh(x - t)))


def logistic_on_logits(z: Any, t: Any) -> Array:
    """As optax.sigmoid_binary_cross_entropy."""
    return jnp.mean(-t * jax.nn.log_sigmoid(z) - (1 - t) * jax.nn.log_sigmoid(-z))


def focal(z: Any, t: Any) -> Array:
    """As in the paper, by powers of the probability; gamma 2, alpha 1/4."""
    p = jnp.where(t == 1, jax.nn.sigmoid(z), 1 - jax.nn.sigmoid(z))
    weight = jnp.where(t == 1, 0.25, 0.75)
    return -jnp.mean(weight * (1 - p) ** 2 * jnp.log(p))


def weston_watkins(z: Any, y: Any) -> Array:
    """The label's own gap is 1 and taken off."""
    gap = jnp.maximum(1 + z - own(z, y)[:, None], 0)
    return jnp.mean(jnp.sum(gap, axis=1) - 1)


def gaussian(prediction: Any, t: Any) -> Array:
    """With the variance predicted, without the constant."""
    mean, variance = prediction
    return jnp.mean((jnp.log(variance) + (mean - t) ** 2 / variance) / 2)


def cross_entropy(z: Any, y: Any) -> Array:
    """By jax.nn.log_softmax."""
    return -jnp.mean(own(jax.nn.log_softmax(z), y))


def linear_cross_entropy(layer: Any, y: Any) -> Array:
    """The layer's product, then Optax."""
    z = layer.x @ layer.weight + layer.bias
    return optax.softmax_cross_entropy_with_integer_labels(z, y).mean()


def everything(z: Any, y: Any) -> Array:
    """Smoothing, class weights, ignored rows and the z-loss."""
    weights = jnp.broadcast_to(jnp.array(WEIGHTS, z.dtype), z.shape)
    counts = (y != -100).astype(z.dtype)
    y = jnp.where(y == -100, 0, y)
    logp, lse = jax.nn.log_softmax(z), jax.nn.logsumexp(z, axis=1)
    hard, even = own(weights * logp, y), jnp.sum(weights * logp, axis=1)
    rows = -(0.9 * hard + 0.02 * even) * counts
    total = jnp.sum(counts * own(weights, y))
    return jnp.sum(rows) / total + 0.01 * jnp.sum(counts * lse**2) / jnp.sum(counts)


def kl(logq: Any, p: Any) -> Array:
    """By rows, of log-probabilities."""
    return jnp.sum(p * (jnp.log(p) - logq)) / len(p)


def jensen_shannon(logp: Any, q: Any) -> Array:
    """Twice a Kullback-Leibler divergence to the middle."""
    p = jnp.exp(logp)
    m = (p + q) / 2
    rows = p * (logp - jnp.log(m)) + q * (jnp.log(q) - jnp.log(m))
    return jnp.sum(rows) / 2 / len(p)


def cosine(x: Any, t: Any) -> Array:
    """One minus the cosine of each row."""
    norms = jnp.linalg.norm(x, axis=1) * jnp.linalg.norm(t, axis=1)
    return jnp.mean(1 - jnp.sum(x * t, axis=1) / norms)


def triplet(points: Any, _: Any) -> Array:
    """By the norms of the differences; margin 1/2."""
    near = jnp.linalg.norm(points.anchor - points.positive, axis=1)
    far = jnp.linalg.norm(points.anchor - points.negative, axis=1)
    return jnp.mean(jax.nn.relu(near - far + 0.5))


def info_nce(pairs: Any, _: Any) -> Array:
    """The diagonal of a softmax over keys; temperature 1/2."""
    s = pairs.query @ pairs.key.T / 0.5
    return -jnp.mean(jnp.diagonal(jax.nn.log_softmax(s)))


def dice(p: Any, t: Any) -> Array:
    """One overlap a row; smooth 1/2."""
    top = 2 * jnp.sum(p * t, axis=(1, 2)) + 0.5
    return jnp.mean(1 - top / (jnp.sum(p, axis=(1, 2)) + jnp.sum(t, axis=(1, 2)) + 0.5))


def ctc(logits: Any, target: Any) -> Array:
    """Optax's, with its padding instead of lengths."""
    labels, frames, lengths = target
    unread = jnp.arange(logits.shape[1])[None, :] >= frames[:, None]
    padding = jnp.arange(labels.shape[1])[None, :] >= lengths[:, None]
    unread, padding = unread.astype(logits.dtype), padding.astype(logits.dtype)
    return optax.ctc_loss(logits, unread, labels, padding, log_epsilon=-6e4).mean()


def quantile(x: Any, t: Any) -> Array:
    """The pinball loss of q = 0.9."""
    return jnp.mean(jnp.maximum(0.9 * (t - x), -0.1 * (t - x)))


def logistic(p: Any, t: Any) -> Array:
    """On probabilities."""
    return -jnp.mean(t * jnp.log(p) + (1 - t) * jnp.log1p(-p))


def total_variation(p: Any, q: Any) -> Array:
    """Half the absolute differences, of slope 0 at a tie."""
    return jnp.sum(jnp.maximum(p - q, q - p)) / 2 / len(p)


LOSS_FORMS: dict[str, Callable[[Any, Any], Array]] = {
    "squared_error_mean": lambda x, t: jnp.mean((x - t) ** 2),
    "huber": lambda x, t: optax.huber_loss(x, t, delta=0.7).mean(),
    "log_cosh": log_cosh,
    "quantile": quantile,
    "poisson": lambda z, t: jnp.mean(jnp.exp(z) - t * z),
    "gaussian_negative_log_likelihood": gaussian,
    "logistic_loss_mean": logistic,
    "logistic_loss_on_logits": logistic_on_logits,
    "focal": focal,
    "hinge": lambda z, t: jnp.mean(jnp.maximum(1 - t * z, 0)),
    "multiclass_hinge": weston_watkins,
    "negative_log_likelihood": lambda logp, y: -jnp.mean(own(logp, y)),
    "cross_entropy_mean": lambda p, y: -jnp.mean(jnp.log(own(p, y))),
    "linear_cross_entropy": linear_cross_entropy,
    "softmax_cross_entropy": cross_entropy,
    "softmax_cross_entropy_with_everything_mean": everything,
    "kl_divergence": kl,
    "jensen_shannon": jensen_shannon,
    "total_variation": total_variation,
    "cosine_similarity": cosine,
    "triplet": triplet,
    "info_nce": info_nce,
    "dice": dice,
    "ctc": ctc,
}
