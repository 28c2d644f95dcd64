"""Autodiff refutes the mistakes that people make in each of these losses."""

import zlib
from functools import partial

import jax
import jax.numpy as jnp
import pytest

from reference.registry import LOSSES
from tests.refute import refuted_loss


def of_residuals(edit):
    """The backward after the residuals were edited: a wrong or stale one (C9, C11)."""
    return lambda backward: lambda residuals, dloss: backward(edit(residuals), dloss)


def without_smoothing(backward):
    """The backward of the loss on the labels as they are."""
    options = backward.keywords["options"]._replace(label_smoothing=0.0)
    return partial(backward.func, options=options)


def of_gradient(edit):
    """The backward with its result edited: a wrong sign, scale or term (C2 to C8)."""
    return lambda backward: (
        lambda residuals, dloss: edit(backward(residuals, dloss), residuals)
    )


def ignoring_dloss(backward):
    """The backward that takes dloss for 1 (C1)."""
    return lambda residuals, dloss: backward(residuals, jnp.ones_like(dloss))


def swap_pairs(d, residuals):
    return type(d)(d.key, d.query)


# The entry of the registry, the input of it, and the mistake.
MUTANTS = {
    "absolute_error_by_its_size": (
        "absolute_error_mean",
        "typical",
        of_gradient(lambda d, r: jnp.abs(d)),
    ),
    "squared_error_without_the_two": (
        "squared_error_mean",
        "typical",
        of_gradient(lambda d, r: d / 2),
    ),
    "cross_entropy_without_the_probability": (
        "cross_entropy_mean",
        "typical",
        of_gradient(lambda d, r: d * r.own[..., None]),
    ),
    "logistic_loss_without_the_other_class": (
        "logistic_loss_mean",
        "typical",
        of_gradient(lambda d, r: jnp.minimum(d, 0)),
    ),
    "huber_without_its_bound": (
        "huber",
        "far",
        of_gradient(lambda d, r: (r.prediction - r.target) / d.size),
    ),
    "log_cosh_with_a_sign": ("log_cosh", "typical", of_gradient(lambda d, r: -d)),
    "quantile_with_q_reversed": (
        "quantile",
        "typical",
        of_gradient(lambda d, r: jnp.where(d < 0, d / 9, 9 * d)),
    ),
    "poisson_without_the_count": (
        "poisson",
        "typical",
        of_gradient(lambda d, r: jnp.maximum(d, 0)),
    ),
    "gaussian_without_the_half": (
        "gaussian_negative_log_likelihood",
        "typical",
        of_gradient(lambda d, r: d._replace(variance=2 * d.variance)),
    ),
    "logistic_without_the_other_class": (
        "logistic_loss_on_logits",
        "typical",
        of_residuals(lambda r: r._replace(target=jnp.ones_like(r.target))),
    ),
    "focal_with_the_damping_not_differentiated": (
        "focal",
        "typical",
        of_gradient(lambda d, r: d * jax.nn.sigmoid(-r.u)),
    ),
    "hinge_without_its_margin": (
        "hinge",
        "typical",
        of_gradient(lambda d, r: jnp.where(r.prediction * r.target < 0, d, 0)),
    ),
    "multiclass_hinge_without_the_label": (
        "multiclass_hinge",
        "typical",
        of_gradient(lambda d, r: jnp.maximum(d, 0)),
    ),
    "negative_log_likelihood_summed": (
        "negative_log_likelihood",
        "typical",
        of_gradient(lambda d, r: 5 * d),
    ),
    "softmax_cross_entropy_by_all_rows": (
        "softmax_cross_entropy_with_everything_mean",
        "typical",
        of_residuals(lambda r: r._replace(n=jnp.full_like(r.n, 7))),
    ),
    "softmax_cross_entropy_without_z_loss": (
        "softmax_cross_entropy_with_everything_mean",
        "typical",
        of_residuals(lambda r: r._replace(m=jnp.full_like(r.m, jnp.inf))),
    ),
    "softmax_cross_entropy_without_smoothing": (
        "softmax_cross_entropy_with_everything_sum",
        "typical",
        without_smoothing,
    ),
    "kl_as_its_reverse": ("kl_divergence", "typical", of_gradient(lambda d, r: -d)),
    "jensen_shannon_without_the_half": (
        "jensen_shannon",
        "typical",
        of_gradient(lambda d, r: 2 * d),
    ),
    "total_variation_without_the_half": (
        "total_variation",
        "typical",
        of_gradient(lambda d, r: 2 * d),
    ),
    "cosine_without_the_part_along_x": (
        "cosine_similarity",
        "typical",
        of_residuals(lambda r: r._replace(cos=0 * r.cos)),
    ),
    "triplet_of_rows_at_peace": (
        "triplet",
        "far",
        of_residuals(lambda r: r._replace(broken=jnp.ones_like(r.broken))),
    ),
    "linear_cross_entropy_without_the_label": (
        "linear_cross_entropy",
        "typical",
        of_gradient(lambda d, r: d._replace(bias=d.bias + r.rows.m.sum())),
    ),
    "info_nce_with_keys_and_queries_swapped": (
        "info_nce",
        "typical",
        of_gradient(swap_pairs),
    ),
    "dice_without_the_overlap": (
        "dice",
        "typical",
        of_residuals(lambda r: r._replace(overlap=0 * r.overlap)),
    ),
    "ctc_with_the_wrong_frame": (
        "ctc",
        "typical",
        of_residuals(lambda r: r._replace(alpha=jnp.roll(r.alpha, 1, axis=0))),
    ),
    "ctc_that_skips_between_equal_labels": (
        "ctc",
        "repeated",
        of_residuals(
            lambda r: r._replace(
                lattice=r.lattice._replace(skip=r.lattice.classes != 0)
            )
        ),
    ),
}

ENTRIES = sorted({name for name, _, _ in MUTANTS.values()})


def where_refuted(name, situation, mistake):
    entry = LOSSES[name]
    key = jax.random.key(zlib.crc32(f"{name}/{situation}".encode()))
    prediction, target = entry.inputs[situation](key)
    return refuted_loss(entry.loss, prediction, target, mistake(entry.loss.backward))


def test_every_loss_has_a_mutant():
    broken = {LOSSES[name].loss.name for name, _, _ in MUTANTS.values()}
    assert broken == {entry.loss.name for entry in LOSSES.values()}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_the_mistake_is_refuted(mutant):
    assert where_refuted(*MUTANTS[mutant])


@pytest.mark.parametrize("name", ENTRIES)
def test_a_backward_that_takes_dloss_for_1_is_refuted(name):
    assert where_refuted(name, "typical", ignoring_dloss)
