"""What the losses are judged on: draws of a prediction and a target from a key."""

import jax
import jax.numpy as jnp

from purefw.losses.ctc import CTCTarget
from purefw.losses.gaussian_negative_log_likelihood import Gaussian
from purefw.losses.linear_cross_entropy import LinearScores
from reference import chance


def pair(*shape: int, scale: float = 1.0):
    """A draw of a prediction and a target of one shape, independent."""
    return lambda key: tuple(scale * chance.normal(key, (2, *shape)))


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
        labels = chance.randint(b, shape[:-1], 0, shape[-1])
        if ignored is not None:
            labels = labels.reshape(-1).at[::2].set(ignored).reshape(shape[:-1])
        return scale * chance.normal(a, shape), labels

    return draw


def layered(*rows: int, width: int, classes: int, scale: float = 1.0):
    """A linear layer with its input, and labels."""

    def draw(key):
        x, weight, bias, label = jax.random.split(key, 4)
        scores = LinearScores(
            scale * chance.normal(x, (*rows, width)),
            chance.normal(weight, (width, classes)),
            chance.normal(bias, (classes,)),
        )
        return scores, chance.randint(label, rows, 0, classes)

    return draw


def judged(*shape: int, scale: float = 1.0):
    """Probabilities (..., k) and labels below k."""

    def draw(key):
        scores, labels = labelled(*shape, scale=scale)(key)
        return jax.nn.softmax(scores), labels

    return draw


def binary(*shape: int, scale: float = 1.0):
    """Logits and labels 0.0 and 1.0."""

    def draw(key):
        a, b = jax.random.split(key)
        label = chance.bernoulli(b, 0.4, shape)
        return scale * chance.normal(a, shape), label.astype(float)

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
        z = scale * chance.normal(a, shape)
        target = chance.dirichlet(b, jnp.ones(shape[-1]), shape[:-1])
        if zeros:
            target = target.at[..., 0].set(0)
            target = target / target.sum(axis=-1, keepdims=True)
        return (jax.nn.log_softmax(z) if log else z), target

    return draw


def simplex(*shape: int):
    """Two distributions in each row."""
    return lambda key: tuple(
        chance.dirichlet(key, jnp.ones(shape[-1]), (2, *shape[:-1]))
    )


def several(container, *shape: int, scale: float = 1.0):
    """A prediction of several arrays of one shape, and no target."""
    n = len(container._fields)
    return lambda key: (container(*scale * chance.normal(key, (n, *shape))), ())


def gaussian(*shape: int):
    """Mean, variance around 1 and target."""

    def draw(key):
        mean, spread, target = chance.normal(key, (3, *shape))
        return Gaussian(mean, jnp.exp(spread)), target

    return draw


def spelled(labels, frames, lengths, t: int, k: int, scale: float = 1.0):
    """Logits (b, t, k) for the given labels."""
    target = tuple(map(tuple, labels)), tuple(frames), tuple(lengths)

    def draw(key):
        logits = scale * chance.normal(key, (len(labels), t, k))
        return logits, CTCTarget(*map(jnp.array, target))

    return draw


def two_classes(*shape: int, soft: bool = False):
    """A draw of probabilities inside (0, 1) and targets: 0 or 1, or between them."""

    def draw(key):
        prediction_key, target_key = jax.random.split(key)
        prediction = chance.uniform(prediction_key, shape, minval=0.01, maxval=0.99)
        target = chance.uniform(target_key, shape)
        return prediction, target if soft else jnp.round(target)

    return draw


def right_and_certain(key):
    """Probabilities 0 and 1 that their targets confirm, beside an uncertain one."""
    return jnp.array([0.0, 1.0, 0.25]), jnp.array([0.0, 1.0, 1.0])
