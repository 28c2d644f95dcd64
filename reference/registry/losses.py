"""Entries of the losses."""

import jax.numpy as jnp

from purefw.losses.absolute_error import absolute_error
from purefw.losses.cosine_similarity import cosine_similarity
from purefw.losses.ctc import ctc
from purefw.losses.dice import dice
from purefw.losses.gaussian_negative_log_likelihood import (
    Gaussian,
    gaussian_negative_log_likelihood,
)
from purefw.losses.huber import huber
from purefw.losses.info_nce import Pairs, info_nce
from purefw.losses.jensen_shannon import jensen_shannon
from purefw.losses.kl_divergence import kl_divergence
from purefw.losses.log_cosh import log_cosh
from purefw.losses.poisson import poisson
from purefw.losses.quantile import quantile
from purefw.losses.squared_error import squared_error
from purefw.losses.total_variation import total_variation
from purefw.losses.triplet import Triplet, triplet
from reference import chance
from reference.registry.draws import (
    gaussian,
    given,
    pair,
    several,
    simplex,
    soft,
    spelled,
)
from reference.registry.entry import LossEntry
from reference.registry.invariants import (
    blind_to_the_length_of_rows,
    blind_to_the_order_of_entries,
    classes_move_together,
    gradient_blind_to_the_prediction,
    gradient_blind_to_the_size_of_errors,
    other_units_cost_their_logarithm,
    parts_move_together,
    same_both_ways,
    shared_shift_of_keys_is_unseen,
)
from reference.registry.label_losses import LABEL_LOSSES

VALUES = {
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
        invariants=(gradient_blind_to_the_size_of_errors,),
    ),
    "absolute_error_sum": LossEntry(
        absolute_error("sum"),
        {"typical": pair(5, 3), "one_row": pair(1, 2)},
        invariants=(gradient_blind_to_the_size_of_errors,),
    ),
    "squared_error_mean": LossEntry(
        squared_error("mean"),
        {"typical": pair(5, 3), "one": pair(1), "far": pair(5, 3, scale=1e3)},
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
            "far": pair(5, 3, scale=1e4),
        },
    ),
    "huber_sum": LossEntry(huber("sum"), {"typical": pair(5, 3)}),
    "log_cosh": LossEntry(
        log_cosh(),
        {
            "typical": pair(5, 3),
            "one": pair(1),
            "tie": given([0.0, 1.0], [0.0, 1.0]),
            "far": pair(5, 3, scale=1e4),
        },
        invariants=(same_both_ways,),
    ),
    "log_cosh_sum": LossEntry(log_cosh("sum"), {"typical": pair(5, 3)}),
    "quantile": LossEntry(
        quantile(q=0.9),
        {
            "typical": pair(5, 3),
            "one": pair(1),
            "tie": given([0.0, 1.0, 2.0], [0.0, 1.0, 3.0]),
            "far": pair(5, 3, scale=1e4),
        },
        invariants=(gradient_blind_to_the_size_of_errors,),
    ),
    "quantile_sum": LossEntry(quantile("sum", q=0.2), {"typical": pair(5, 3)}),
    "poisson": LossEntry(
        poisson(),
        {
            "typical": lambda key: (
                chance.normal(key, (5, 3)),
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
        invariants=(other_units_cost_their_logarithm,),
    ),
    "gaussian_negative_log_likelihood_sum": LossEntry(
        gaussian_negative_log_likelihood("sum"), {"typical": gaussian(5, 3)}
    ),
}

DISTRIBUTIONS = {
    "kl_divergence": LossEntry(
        kl_divergence(),
        {
            "typical": soft(5, 7, log=True),
            "one_row": soft(1, 3, log=True),
            "with_zeros": soft(5, 7, zeros=True, log=True),
            "impossible": given([[-0.5, -1.0, -1e4]], [[0.5, 0.5, 0.0]]),
        },
        invariants=(gradient_blind_to_the_prediction,),
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
            "partly_equal": given([[-1e4, 0.0, -1.0]], [[0.0, 1.0, 0.4]]),
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
        invariants=(same_both_ways,),
    ),
    "total_variation_sum": LossEntry(
        total_variation("sum"), {"typical": simplex(5, 7)}
    ),
    "dice": LossEntry(
        dice(smooth=0.5),
        {
            "typical": lambda key: tuple(chance.uniform(key, (2, 5, 3, 2))),
            "one_row": lambda key: tuple(chance.uniform(key, (2, 1, 7))),
            "vector": lambda key: tuple(chance.uniform(key, (2, 3))),
            "empty_mask": given([[0.0, 0.0], [1.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]),
        },
        invariants=(blind_to_the_order_of_entries,),
    ),
    "dice_sum": LossEntry(
        dice("sum"), {"typical": lambda key: tuple(chance.uniform(key, (2, 5, 3)))}
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
            "large": pair(5, 7, scale=1e30),
            "small": pair(5, 7, scale=1e-30),
        },
        invariants=(blind_to_the_length_of_rows,),
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
            "coincident": lambda key: (
                Triplet(jnp.zeros((2, 2)), jnp.eye(2).at[0].set(0.0), jnp.ones((2, 2))),
                (),
            ),
        },
        invariants=(parts_move_together,),
    ),
    "triplet_sum": LossEntry(triplet("sum"), {"typical": several(Triplet, 7, 3)}),
    "info_nce": LossEntry(
        info_nce(temperature=0.5),
        {
            "typical": several(Pairs, 5, 3),
            "equal_keys": lambda key: (
                Pairs(
                    chance.normal(key, (3, 2)),
                    jnp.array([[1.0, 2.0], [1.0, 2.0], [0.0, 3.0]]),
                ),
                (),
            ),
            "large": several(Pairs, 5, 3, scale=100.0),
        },
        invariants=(shared_shift_of_keys_is_unseen,),
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
        invariants=(classes_move_together,),
    ),
    "ctc_sum": LossEntry(
        ctc("sum", blank=2),
        {"typical": spelled([[1, 0, 3], [3, 3, 2]], [7, 5], [3, 2], 7, 5)},
    ),
}

LOSSES = {**VALUES, **LABEL_LOSSES, **DISTRIBUTIONS, **VECTORS, **SEQUENCES}
