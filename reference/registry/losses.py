"""Entries of the losses."""

import jax
import jax.numpy as jnp

from purefw.losses.absolute_error import absolute_error
from purefw.losses.cross_entropy import cross_entropy
from purefw.losses.logistic_loss import logistic_loss
from purefw.losses.softmax_cross_entropy import softmax_cross_entropy
from purefw.losses.squared_error import squared_error
from reference.registry.entry import LossEntry


def pair(*shape: int, scale: float = 1.0):
    """A draw of a prediction and a target of one shape, independent."""
    return lambda key: tuple(scale * jax.random.normal(key, (2, *shape)))


def labelled(*shape: int, scale: float = 1.0, probabilities: bool = False):
    """A draw of logits, or of probabilities, of shape (..., n) and a label a row."""

    def draw(key):
        score_key, label_key = jax.random.split(key)
        scores = scale * jax.random.normal(score_key, shape)
        labels = jax.random.randint(label_key, shape[:-1], 0, shape[-1])
        return jax.nn.softmax(scores) if probabilities else scores, labels

    return draw


def two_classes(*shape: int, soft: bool = False):
    """A draw of probabilities inside (0, 1) and targets: 0 or 1, or between them."""

    def draw(key):
        prediction_key, target_key = jax.random.split(key)
        prediction = jax.random.uniform(prediction_key, shape, minval=0.01, maxval=0.99)
        target = jax.random.uniform(target_key, shape)
        return prediction, target if soft else jnp.round(target)

    return draw


def right_and_certain(key):
    """Probabilities 0 and 1 that their targets confirm, beside an uncertain one."""
    return jnp.array([0.0, 1.0, 0.25]), jnp.array([0.0, 1.0, 1.0])


LOSSES = {
    "absolute_error_mean": LossEntry(
        absolute_error("mean"),
        {
            "typical": pair(5, 3),
            "one": pair(1),
            "kink": lambda key: (
                jnp.array([1.0, 2.0, -3.0]),
                jnp.array([1.0, 5.0, 0.0]),
            ),
        },
    ),
    "absolute_error_sum": LossEntry(
        absolute_error("sum"), {"typical": pair(5, 3), "one_row": pair(1, 2)}
    ),
    "cross_entropy_mean": LossEntry(
        cross_entropy("mean"),
        {
            "typical": labelled(5, 7, probabilities=True),
            "one_row": labelled(1, 3, probabilities=True),
            "leading_axes": labelled(2, 3, 5, probabilities=True),
            "vector": labelled(3, probabilities=True),
            "near_zero": labelled(3, 5, scale=30.0, probabilities=True),
        },
    ),
    "cross_entropy_sum": LossEntry(
        cross_entropy("sum"), {"typical": labelled(5, 7, probabilities=True)}
    ),
    "logistic_loss_mean": LossEntry(
        logistic_loss("mean"),
        {
            "typical": two_classes(5, 3),
            "one": two_classes(1),
            "soft": two_classes(7, soft=True),
            "certain": right_and_certain,
        },
    ),
    "logistic_loss_sum": LossEntry(
        logistic_loss("sum"), {"typical": two_classes(5, 3)}
    ),
    "softmax_cross_entropy_mean": LossEntry(
        softmax_cross_entropy("mean"),
        {
            "typical": labelled(5, 7),
            "one_row": labelled(1, 3),
            "leading_axes": labelled(2, 3, 5),
            "vector": labelled(3),
            "far_apart": labelled(3, 5, scale=30.0),
            "tie": lambda key: (jnp.zeros((2, 3)), jnp.array([2, 0])),
        },
    ),
    "softmax_cross_entropy_sum": LossEntry(
        softmax_cross_entropy("sum"), {"typical": labelled(5, 7)}
    ),
    "squared_error_mean": LossEntry(
        squared_error("mean"),
        {"typical": pair(5, 3), "one": pair(1), "far": pair(7, scale=1e3)},
    ),
    "squared_error_sum": LossEntry(
        squared_error("sum"), {"typical": pair(5, 3), "one_row": pair(1, 2)}
    ),
}
