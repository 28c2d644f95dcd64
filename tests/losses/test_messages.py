"""Each loss says what is wrong with its arguments, and with what value."""

import jax.numpy as jnp
import pytest

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
from purefw.losses.total_variation import total_variation
from purefw.losses.triplet import Triplet, triplet

ENTRYWISE = (huber, log_cosh, quantile, poisson, logistic_loss_on_logits, focal, hinge)
ROWWISE = (kl_divergence, jensen_shannon, total_variation, cosine_similarity, dice)
LABELLED = (multiclass_hinge, negative_log_likelihood, softmax_cross_entropy)
STRUCTURED = (triplet, info_nce, gaussian_negative_log_likelihood, ctc)
ALL = ENTRYWISE + ROWWISE + LABELLED + STRUCTURED
FLOATS, INTS = jnp.ones((2, 3)), jnp.ones((2, 3), int)
WEIGHTED = softmax_cross_entropy(class_weights=(1.0, 2.0))

OPTIONS = {
    r"huber: delta must be positive, got 0": lambda: huber(delta=0.0),
    r"quantile: q must lie strictly between 0 and 1, got 1": lambda: quantile(q=1.0),
    r"focal: gamma must be at least 0, got -1": lambda: focal(gamma=-1.0),
    r"focal: alpha must lie strictly within 0 and 1, got 0": lambda: focal(alpha=0.0),
    r"triplet: margin must be positive, got nan": lambda: triplet(margin=float("nan")),
    r"info_nce: temperature must be positive, got 0": lambda: info_nce(temperature=0.0),
    r"dice: smooth must be positive, got 0": lambda: dice(smooth=0.0),
    r"ctc: blank must be at least 0, got -1": lambda: ctc(blank=-1),
    r"label_smoothing must lie within \[0, 1\], got 1.5": (
        lambda: softmax_cross_entropy(label_smoothing=1.5)
    ),
    r"z_loss must be at least 0, got -1": lambda: softmax_cross_entropy(z_loss=-1.0),
    r"class_weights must not be negative, got \(1.0, -1.0\)": (
        lambda: softmax_cross_entropy(class_weights=(1.0, -1.0))
    ),
}


def spell(**changes):
    target = CTCTarget(jnp.ones((2, 1), int), jnp.array([4, 4]), jnp.array([1, 1]))
    return target._replace(**changes)


INPUTS = {
    r"triplet: negative must have the anchor's shape \(2, 3\), got \(2, 2\)": (
        triplet(),
        Triplet(FLOATS, FLOATS, FLOATS[:, :2]),
        (),
    ),
    r"triplet: prediction must have shape \(..., k\)": (
        triplet(),
        Triplet(*jnp.ones(3)),
        (),
    ),
    r"info_nce: query and key must .*, got \(2, 3\) and \(3,\)": (
        info_nce(),
        Pairs(FLOATS, FLOATS[0]),
        (),
    ),
    r"variance must have the mean's shape \(2, 3\), got \(2, 1\)": (
        gaussian_negative_log_likelihood(),
        Gaussian(FLOATS, FLOATS[:, :1]),
        FLOATS,
    ),
    r"gaussian.*: target must have the prediction's shape \(2, 3\), got \(3,\)": (
        gaussian_negative_log_likelihood(),
        Gaussian(FLOATS, FLOATS),
        FLOATS[0],
    ),
    r"ignore_index must be None for soft targets, got -1": (
        softmax_cross_entropy(ignore_index=-1),
        FLOATS,
        FLOATS,
    ),
    r"class_weights must be 3 numbers, one a class, got 2": (
        WEIGHTED,
        FLOATS,
        INTS[:, 0],
    ),
    r"target must .*, or have the logits' shape \(2, 3\), got \(2, 2\)": (
        softmax_cross_entropy(),
        FLOATS,
        FLOATS[:, :2],
    ),
    r"ctc: logits must have shape \(b, t, k\) and not be empty, got \(2, 3\)": (
        ctc(),
        FLOATS,
        spell(),
    ),
    r"ctc: blank must be one of 3 classes, got 3": (
        ctc(blank=3),
        jnp.ones((2, 4, 3)),
        spell(),
    ),
    r"ctc: labels must have shape \(2, n\), got \(2,\)": (
        ctc(),
        jnp.ones((2, 4, 3)),
        spell(labels=jnp.array([1, 1])),
    ),
    r"ctc: logit_lengths must have shape \(2,\), got \(3,\)": (
        ctc(),
        jnp.ones((2, 4, 3)),
        spell(logit_lengths=jnp.array([4, 4, 4])),
    ),
    r"ctc: label_lengths must hold integers, got float": (
        ctc(),
        jnp.ones((2, 4, 3)),
        spell(label_lengths=jnp.ones(2)),
    ),
}


@pytest.mark.parametrize("constructor", ALL)
def test_a_reduction_of_another_name_is_refused(constructor, untyped):
    name = constructor.__name__
    with pytest.raises(ValueError, match=f"{name}: reduction must be .*, got 'max'"):
        constructor("max")


@pytest.mark.parametrize("constructor", ENTRYWISE + ROWWISE)
def test_a_target_of_another_shape_is_refused(constructor, untyped):
    who = constructor.__name__
    message = rf"{who}: target must have the prediction's shape \(2, 3\), got \(1, 3\)"
    with pytest.raises(ValueError, match=message):
        constructor().forward(FLOATS, FLOATS[:1])
    with pytest.raises(ValueError, match=f"{who}: prediction must .*not be empty"):
        constructor().forward(FLOATS[:0], FLOATS[:0])


@pytest.mark.parametrize("constructor", ROWWISE)
def test_a_prediction_without_rows_is_refused(constructor, untyped):
    message = rf"{constructor.__name__}: prediction must have shape .*, got shape \(\)"
    with pytest.raises(ValueError, match=message):
        constructor().forward(jnp.array(1.0), jnp.array(1.0))


@pytest.mark.parametrize("constructor", LABELLED)
def test_labels_of_another_shape_are_refused(constructor, untyped):
    who = constructor.__name__
    with pytest.raises(ValueError, match=rf"{who}: target must .* \(2,\), .* \(3,\)"):
        constructor().forward(FLOATS, INTS[0])
    with pytest.raises(ValueError, match=f"{who}: .* must .*not be empty"):
        constructor().forward(FLOATS[:0], INTS[:0, 0])


@pytest.mark.parametrize("constructor", [multiclass_hinge, negative_log_likelihood])
def test_labels_that_are_not_integers_are_refused(constructor, untyped):
    message = f"{constructor.__name__}: target must be integer labels, got float"
    with pytest.raises(ValueError, match=message):
        constructor().forward(FLOATS, FLOATS[:, 0])


@pytest.mark.parametrize("message", OPTIONS)
def test_an_option_out_of_range_is_refused(message, untyped):
    with pytest.raises(ValueError, match=message):
        OPTIONS[message]()


@pytest.mark.parametrize("message", INPUTS)
def test_inputs_that_do_not_fit_are_refused(message, untyped):
    loss, prediction, target = INPUTS[message]
    with pytest.raises(ValueError, match=message):
        loss.forward(prediction, target)
