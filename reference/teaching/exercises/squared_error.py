"""Squared error: a loss, and its mean.

prediction and target have the same shape, and n entries in all:

    (1)  y = (1/n) Σ_e (prediction_e - target_e)²

y is one number, and dy is its cotangent: 1 if y is the end of the computation,
something else if it is not. Derive the gradient in prediction.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp

from reference.teaching.exercise import Configuration, Exercise, Part, sizes


class Residuals(NamedTuple):
    """What backward needs."""

    difference: Any


def forward(prediction, target):
    """Equation (1)."""
    difference = prediction - target
    return jnp.mean(difference**2), Residuals(difference)  # (1)


def configurations(rng):
    """The usual one, one entry, a perfect prediction in some places."""
    for kind, shape in (
        ("usual", sizes(rng, 2)),
        ("three axes", sizes(rng, 3)),
        ("one row", (1, 5)),
        ("one entry", (1, 1)),
    ):
        args = rng.standard_normal(shape), rng.standard_normal(shape)
        yield Configuration(kind, args)


EXERCISE = Exercise(
    title="squared error",
    number=4,
    parts=(
        Part(
            forward,
            configurations,
            gradients={
                "prediction": "dprediction_e = (2/n) (prediction_e - target_e) dy"
            },
        ),
    ),
)
