"""Entries of the losses whose target is a label."""

import jax.numpy as jnp

from purefw.losses.cross_entropy import cross_entropy
from purefw.losses.focal import focal
from purefw.losses.hinge import hinge
from purefw.losses.linear_cross_entropy import linear_cross_entropy
from purefw.losses.logistic_loss import logistic_loss
from purefw.losses.logistic_loss_on_logits import logistic_loss_on_logits
from purefw.losses.multiclass_hinge import multiclass_hinge
from purefw.losses.negative_log_likelihood import negative_log_likelihood
from purefw.losses.softmax_cross_entropy import softmax_cross_entropy
from reference.registry.draws import (
    binary,
    given,
    judged,
    labelled,
    layered,
    right_and_certain,
    signed,
    soft,
    two_classes,
)
from reference.registry.entry import LossEntry
from reference.registry.invariants import (
    classes_move_together,
    classes_swap_with_the_sign,
    gradient_blind_to_the_prediction,
)

LABEL_LOSSES = {
    "cross_entropy_mean": LossEntry(
        cross_entropy("mean"),
        {
            "typical": judged(5, 7),
            "one_row": judged(1, 3),
            "leading_axes": judged(2, 3, 5),
            "vector": judged(3),
            "near_zero": judged(5, 7, scale=30.0),
        },
    ),
    "cross_entropy_sum": LossEntry(cross_entropy("sum"), {"typical": judged(5, 7)}),
    "logistic_loss_mean": LossEntry(
        logistic_loss("mean"),
        {
            "typical": two_classes(5, 3),
            "one": two_classes(1),
            "soft": two_classes(5, 3, soft=True),
            "certain": right_and_certain,
        },
    ),
    "logistic_loss_sum": LossEntry(
        logistic_loss("sum"), {"typical": two_classes(5, 3)}
    ),
    "logistic_loss_on_logits": LossEntry(
        logistic_loss_on_logits(),
        {
            "typical": binary(5, 3),
            "one": binary(1),
            "soft": given([[0.3, -2.0], [5.0, 0.0]], [[0.2, 0.9], [0.5, 0.0]]),
            "zero": given([0.0, 0.0], [0.0, 1.0]),
            "large": binary(5, 3, scale=1e4),
        },
        invariants=(classes_swap_with_the_sign,),
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
            "large": binary(5, 3, scale=1e4),
        },
    ),
    "focal_sum": LossEntry(
        focal("sum", gamma=0.5),
        {"typical": binary(5, 3), "large": binary(5, 3, scale=1e4)},
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
            "leading_axes": labelled(2, 3, 5),
            "tie": lambda key: (
                jnp.array([[2.0, 1.0, 3.0], [0.0, 0.0, 0.0]]),
                jnp.array([0, 2]),
            ),
        },
        invariants=(classes_move_together,),
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
                jnp.array([[-0.7, -0.7, -1e4], [0.0, -1e4, -1e4]]),
                jnp.array([1, 0]),
            ),
        },
        invariants=(gradient_blind_to_the_prediction,),
    ),
    "negative_log_likelihood_sum": LossEntry(
        negative_log_likelihood("sum"), {"typical": labelled(5, 7)}
    ),
    "linear_cross_entropy": LossEntry(
        linear_cross_entropy(),
        {
            "typical": layered(5, width=3, classes=7),
            "one_row": layered(1, width=2, classes=3),
            "leading_axes": layered(2, 3, width=3, classes=5),
            "large": layered(5, width=3, classes=7, scale=100.0),
        },
    ),
    "linear_cross_entropy_sum": LossEntry(
        linear_cross_entropy("sum"), {"typical": layered(5, width=3, classes=7)}
    ),
    "softmax_cross_entropy": LossEntry(
        softmax_cross_entropy(),
        {
            "typical": labelled(5, 7),
            "one_row": labelled(1, 3),
            "leading_axes": labelled(2, 3, 5),
            "vector": labelled(3),
            "tie": lambda key: (jnp.zeros((2, 3)), jnp.array([0, 2])),
            "large": labelled(5, 7, scale=1e4),
            "soft": soft(5, 7),
            "soft_with_zeros": soft(5, 7, zeros=True, scale=30.0),
        },
        invariants=(classes_move_together,),
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
                "none_ignored": labelled(7, 5),
                "leading_axes": labelled(2, 3, 5, ignored=-100),
                "large": labelled(7, 5, ignored=-100, scale=100.0),
            },
        )
        for reduction in ("mean", "sum")
    },
    "softmax_cross_entropy_soft_with_everything": LossEntry(
        softmax_cross_entropy(
            label_smoothing=0.1, class_weights=(0.5, 2.0, 0.0, 1.5, 0.7), z_loss=0.01
        ),
        {"typical": soft(7, 5), "with_zeros": soft(7, 5, zeros=True)},
    ),
}
