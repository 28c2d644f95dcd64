"""Entries of the losses."""

import jax
import jax.numpy as jnp

from purefw.losses.cosine_similarity import cosine_similarity
from purefw.losses.ctc import CTCTarget, ctc
from purefw.losses.dice import dice
from purefw.losses.focal import focal
from purefw.losses.gaussian_negative_log_likelihood import (
    Gaussian,
    gaussian_negative_log_likelihood,
)
from purefw.losses.hinge import hinge
from purefw.losses.huber import huber
from purefw.losses.info_nce import Pairs, info_nce
from purefw.losses.jensen_shannon import jensen_shannon
from purefw.losses.kl_divergence import kl_divergence
from purefw.losses.log_cosh import log_cosh
from purefw.losses.logistic_loss_on_logits import logistic_loss_on_logits
from purefw.losses.multiclass_hinge import multiclass_hinge
from purefw.losses.negative_log_likelihood import negative_log_likelihood
from purefw.losses.poisson import poisson
from purefw.losses.quantile import quantile
from purefw.losses.softmax_cross_entropy import softmax_cross_entropy
from purefw.losses.squared_error import squared_error
from purefw.losses.total_variation import total_variation
from purefw.losses.triplet import Triplet, triplet
from reference.registry.entry import LossEntry


def pair(*shape: int, scale: float = 1.0):
    """A draw of a prediction and a target of one shape, independent."""
    return lambda key: tuple(scale * jax.random.normal(key, (2, *shape)))


def given(prediction, target):
    """The same prediction (floats) and target (floats, where it is a list) always."""
    return lambda key: (
        jnp.array(prediction, float),
        jnp.array(target, float) if isinstance(target, list) else jnp.array(target),
    )


def labelled(*shape: int, ignored: int | None = None, scale: float = 1.0):
    """Scores (..., k) and labels below k; every second one is `ignored` where given."""

    def draw(key):
        a, b = jax.random.split(key)
        labels = jax.random.randint(b, shape[:-1], 0, shape[-1])
        if ignored is not None:
            labels = labels.reshape(-1).at[::2].set(ignored).reshape(shape[:-1])
        return scale * jax.random.normal(a, shape), labels

    return draw


def binary(*shape: int, scale: float = 1.0):
    """Logits and labels 0.0 and 1.0."""

    def draw(key):
        a, b = jax.random.split(key)
        label = jax.random.bernoulli(b, 0.4, shape)
        return scale * jax.random.normal(a, shape), label.astype(float)

    return draw


def signed(*shape: int):
    """Scores and labels -1.0 and 1.0."""

    def draw(key):
        score, label = binary(*shape)(key)
        return score, 2 * label - 1

    return draw


def soft(*shape: int, scale: float = 1.0, zeros: bool = False, log: bool = False):
    """Logits (or log-probabilities) and target probabilities, some of them 0."""

    def draw(key):
        a, b = jax.random.split(key)
        z = scale * jax.random.normal(a, shape)
        target = jax.random.dirichlet(b, jnp.ones(shape[-1]), shape[:-1])
        if zeros:
            target = target.at[..., 0].set(0)
            target = target / target.sum(axis=-1, keepdims=True)
        return (jax.nn.log_softmax(z) if log else z), target

    return draw


def simplex(*shape: int):
    """Two distributions in each row."""
    return lambda key: tuple(
        jax.random.dirichlet(key, jnp.ones(shape[-1]), (2, *shape[:-1]))
    )


def several(container, *shape: int, scale: float = 1.0):
    """A prediction of several arrays of one shape, and no target."""
    n = len(container._fields)
    return lambda key: (container(*scale * jax.random.normal(key, (n, *shape))), ())


def gaussian(*shape: int):
    """Mean, variance around 1 and target."""

    def draw(key):
        mean, spread, target = jax.random.normal(key, (3, *shape))
        return Gaussian(mean, jnp.exp(spread)), target

    return draw


def spelled(labels, frames, lengths, t: int, k: int, scale: float = 1.0):
    """Logits (b, t, k) for the given labels."""
    target = tuple(map(tuple, labels)), tuple(frames), tuple(lengths)

    def draw(key):
        logits = scale * jax.random.normal(key, (len(labels), t, k))
        return logits, CTCTarget(*map(jnp.array, target))

    return draw


VALUES = {
    "squared_error_mean": LossEntry(
        squared_error("mean"),
        {"typical": pair(5, 3), "one": pair(1), "far": pair(7, scale=1e3)},
    ),
    "squared_error_sum": LossEntry(
        squared_error("sum"), {"typical": pair(5, 3), "one_row": pair(1, 2)}
    ),
    "huber": LossEntry(
        huber(delta=0.7),
        {
            "typical": pair(5, 3),
            "one": pair(1),
            "tie": given([0.0, 0.5, -0.5, 9.0, 2.0], [0.0, 1.2, -1.2, 8.3, 2.0]),
            "far": pair(7, scale=1e4),
        },
    ),
    "huber_sum": LossEntry(huber("sum"), {"typical": pair(5, 3)}),
    "log_cosh": LossEntry(
        log_cosh(),
        {
            "typical": pair(5, 3),
            "one": pair(1),
            "tie": given([0.0, 1.0], [0.0, 1.0]),
            "far": pair(7, scale=1e4),
        },
    ),
    "log_cosh_sum": LossEntry(log_cosh("sum"), {"typical": pair(5, 3)}),
    "quantile": LossEntry(
        quantile(q=0.9),
        {
            "typical": pair(5, 3),
            "one": pair(1),
            "tie": given([0.0, 1.0, 2.0], [0.0, 1.0, 3.0]),
            "far": pair(7, scale=1e4),
        },
    ),
    "quantile_sum": LossEntry(quantile("sum", q=0.2), {"typical": pair(5, 3)}),
    "poisson": LossEntry(
        poisson(),
        {
            "typical": lambda key: (
                jax.random.normal(key, (5, 3)),
                jnp.arange(15.0).reshape(5, 3),
            ),
            "one": given([0.3], [2.0]),
            "none_counted": given([-30.0, 0.0, 2.0], [0.0, 0.0, 0.0]),
            "large": given([-1e4, 80.0], [1.0, 1e3]),
        },
    ),
    "poisson_sum": LossEntry(
        poisson("sum"), {"typical": given([0.1, 2.0], [3.0, 7.0])}
    ),
    "gaussian_negative_log_likelihood": LossEntry(
        gaussian_negative_log_likelihood(),
        {
            "typical": gaussian(5, 3),
            "one": gaussian(1),
            "sharp": lambda key: (
                Gaussian(jnp.array([1.0, 2.0]), jnp.array([1e-6, 1e6])),
                jnp.array([1.0, 2.5]),
            ),
        },
    ),
    "gaussian_negative_log_likelihood_sum": LossEntry(
        gaussian_negative_log_likelihood("sum"), {"typical": gaussian(5, 3)}
    ),
}

CLASSES = {
    "logistic_loss_on_logits": LossEntry(
        logistic_loss_on_logits(),
        {
            "typical": binary(5, 3),
            "one": binary(1),
            "soft": given([[0.3, -2.0], [5.0, 0.0]], [[0.2, 0.9], [0.5, 0.0]]),
            "zero": given([0.0, 0.0], [0.0, 1.0]),
            "large": binary(7, scale=1e4),
        },
    ),
    "logistic_loss_on_logits_sum": LossEntry(
        logistic_loss_on_logits("sum"), {"typical": binary(5, 3)}
    ),
    "focal": LossEntry(
        focal(gamma=2.0, alpha=0.25),
        {
            "typical": binary(5, 3),
            "one": binary(1),
            "zero": given([0.0, 0.0], [0.0, 1.0]),
            "large": binary(7, scale=1e4),
        },
    ),
    "focal_sum": LossEntry(
        focal("sum", gamma=0.5),
        {"typical": binary(5, 3), "large": binary(7, scale=1e4)},
    ),
    "hinge": LossEntry(
        hinge(),
        {
            "typical": signed(5, 3),
            "one": signed(1),
            "tie": given([1.0, -1.0, 1.0, 0.0], [1.0, -1.0, -1.0, 1.0]),
        },
    ),
    "hinge_sum": LossEntry(hinge("sum"), {"typical": signed(5, 3)}),
    "multiclass_hinge": LossEntry(
        multiclass_hinge(),
        {
            "typical": labelled(5, 7),
            "one_row": labelled(1, 3),
            "one_class": labelled(3, 1),
            "leading_axes": labelled(2, 3, 5),
            "tie": lambda key: (
                jnp.array([[2.0, 1.0, 3.0], [0.0, 0.0, 0.0]]),
                jnp.array([0, 2]),
            ),
        },
    ),
    "multiclass_hinge_sum": LossEntry(
        multiclass_hinge("sum"), {"typical": labelled(5, 7)}
    ),
    "negative_log_likelihood": LossEntry(
        negative_log_likelihood(),
        {
            "typical": labelled(5, 7),
            "one_row": labelled(1, 3),
            "leading_axes": labelled(2, 3, 5),
            "impossible": lambda key: (
                jnp.log(jnp.array([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]])),
                jnp.array([1, 0]),
            ),
        },
    ),
    "negative_log_likelihood_sum": LossEntry(
        negative_log_likelihood("sum"), {"typical": labelled(5, 7)}
    ),
    "softmax_cross_entropy": LossEntry(
        softmax_cross_entropy(),
        {
            "typical": labelled(5, 7),
            "one_row": labelled(1, 3),
            "one_class": labelled(3, 1),
            "leading_axes": labelled(2, 3, 5),
            "tie": lambda key: (jnp.zeros((2, 3)), jnp.array([0, 2])),
            "large": labelled(5, 3, scale=1e4),
            "soft": soft(5, 7),
            "soft_with_zeros": soft(5, 7, zeros=True, scale=30.0),
        },
    ),
    "softmax_cross_entropy_sum": LossEntry(
        softmax_cross_entropy("sum"), {"typical": labelled(5, 7), "soft": soft(5, 7)}
    ),
    **{
        f"softmax_cross_entropy_with_everything_{reduction}": LossEntry(
            softmax_cross_entropy(
                reduction,
                label_smoothing=0.1,
                class_weights=(0.5, 2.0, 0.0, 1.5, 0.7),
                ignore_index=-100,
                z_loss=0.01,
            ),
            {
                "typical": labelled(7, 5, ignored=-100),
                "none_ignored": labelled(3, 5),
                "leading_axes": labelled(2, 3, 5, ignored=-100),
                "all_ignored": labelled(1, 5, ignored=-100),
                "large": labelled(7, 5, ignored=-100, scale=100.0),
            },
        )
        for reduction in ("mean", "sum")
    },
    "softmax_cross_entropy_soft_with_everything": LossEntry(
        softmax_cross_entropy(
            label_smoothing=0.1, class_weights=(0.5, 2.0, 0.0, 1.5, 0.7), z_loss=0.01
        ),
        {"typical": soft(7, 5), "with_zeros": soft(3, 5, zeros=True)},
    ),
}

DISTRIBUTIONS = {
    "kl_divergence": LossEntry(
        kl_divergence(),
        {
            "typical": soft(5, 7, log=True),
            "one_row": soft(1, 3, log=True),
            "with_zeros": soft(5, 7, zeros=True, log=True),
            "impossible": given([[-0.5, -1.0, -jnp.inf]], [[0.5, 0.5, 0.0]]),
        },
    ),
    "kl_divergence_sum": LossEntry(
        kl_divergence("sum"), {"typical": soft(5, 7, log=True)}
    ),
    "jensen_shannon": LossEntry(
        jensen_shannon(),
        {
            "typical": soft(5, 7, log=True),
            "one_row": soft(1, 3, log=True),
            "with_zeros": soft(5, 7, zeros=True, log=True),
            "far": soft(5, 7, log=True, scale=100.0),
            "equal": given([[-jnp.inf, 0.0, -1.0]], [[0.0, 1.0, 0.4]]),
        },
    ),
    "jensen_shannon_sum": LossEntry(
        jensen_shannon("sum"), {"typical": soft(5, 7, log=True)}
    ),
    "total_variation": LossEntry(
        total_variation(),
        {
            "typical": simplex(5, 7),
            "one_row": simplex(1, 3),
            "tie": given([[0.5, 0.5, 0.0], [0.0, 1.0, 0.0]], [[0.5, 0.25, 0.25]] * 2),
        },
    ),
    "total_variation_sum": LossEntry(
        total_variation("sum"), {"typical": simplex(5, 7)}
    ),
    "dice": LossEntry(
        dice(smooth=0.5),
        {
            "typical": lambda key: tuple(jax.random.uniform(key, (2, 5, 3, 2))),
            "one_row": lambda key: tuple(jax.random.uniform(key, (2, 1, 7))),
            "vector": lambda key: tuple(jax.random.uniform(key, (2, 3))),
            "empty_mask": given([[0.0, 0.0], [1.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]),
        },
    ),
    "dice_sum": LossEntry(
        dice("sum"), {"typical": lambda key: tuple(jax.random.uniform(key, (2, 5, 3)))}
    ),
}

VECTORS = {
    "cosine_similarity": LossEntry(
        cosine_similarity(),
        {
            "typical": pair(5, 7),
            "one_row": pair(1, 3),
            "leading_axes": pair(2, 3, 5),
            "tie": given([[1.0, 1.0], [-2.0, 2.0]], [[1.0, 0.0], [3.0, 3.0]]),
            "zero_row": given([[0.0, 0.0], [1.0, 2.0]], [[1.0, 2.0], [0.0, 0.0]]),
            "large": pair(5, 7, scale=1e200),
            "small": pair(5, 7, scale=1e-100),
        },
    ),
    "cosine_similarity_sum": LossEntry(
        cosine_similarity("sum"), {"typical": pair(5, 7)}
    ),
    "triplet": LossEntry(
        triplet(margin=0.5),
        {
            "typical": several(Triplet, 7, 3),
            "one_row": several(Triplet, 1, 3),
            "far": several(Triplet, 7, 3, scale=1e4),
            "tie": lambda key: (
                Triplet(jnp.zeros((3, 2)), jnp.eye(3, 2), jnp.array([[0.0, 1.5]] * 3)),
                (),
            ),
            "coincident": lambda key: (Triplet(*jnp.ones((3, 2, 2))), ()),
        },
    ),
    "triplet_sum": LossEntry(triplet("sum"), {"typical": several(Triplet, 7, 3)}),
    "info_nce": LossEntry(
        info_nce(temperature=0.5),
        {
            "typical": several(Pairs, 5, 3),
            "one_row": several(Pairs, 1, 3),
            "equal_keys": lambda key: (
                Pairs(
                    jax.random.normal(key, (3, 2)),
                    jnp.array([[1.0, 2.0], [1.0, 2.0], [0.0, 3.0]]),
                ),
                (),
            ),
            "large": several(Pairs, 5, 3, scale=100.0),
        },
    ),
    "info_nce_sum": LossEntry(info_nce("sum"), {"typical": several(Pairs, 5, 3)}),
}

SEQUENCES = {
    "ctc": LossEntry(
        ctc(),
        {
            "typical": spelled([[1, 2, 3], [3, 1, 0]], [7, 5], [3, 2], 7, 5),
            "repeated": spelled([[1, 1, 2], [2, 2, 2]], [7, 5], [3, 3], 7, 3),
            "tight": spelled([[1, 1], [2, 1]], [3, 2], [2, 2], 5, 3),
            "one": spelled([[1]], [1], [1], 1, 2),
            "no_labels": spelled([[0, 0], [1, 2]], [3, 3], [0, 1], 3, 3),
            "no_frames": spelled([[0, 0], [1, 2]], [0, 3], [0, 2], 3, 3),
            "large": spelled([[1, 2, 2], [3, 1, 0]], [7, 5], [3, 2], 7, 5, scale=1e4),
        },
    ),
    "ctc_sum": LossEntry(
        ctc("sum", blank=2),
        {"typical": spelled([[1, 0, 3], [3, 3, 2]], [7, 5], [3, 2], 7, 5)},
    ),
}

LOSSES = {**VALUES, **CLASSES, **DISTRIBUTIONS, **VECTORS, **SEQUENCES}
