"""Tanh: a function of every entry.

    (1)  y_e = tanh x_e

Derive the gradient in x. What is kept from forward is y alone: write the derivative of
tanh by tanh itself.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp

from reference.teaching.exercise import Configuration, Exercise, Part, sizes


class Residuals(NamedTuple):
    """What backward needs."""

    y: Any


def forward(x):
    """Equation (1)."""
    y = jnp.tanh(x)  # (1)
    return y, Residuals(y)


def configurations(rng):
    """The usual one, one entry, saturation, three axes."""
    for kind, shape, scale in (
        ("usual", sizes(rng, 2), 1.0),
        ("three axes", sizes(rng, 3), 0.5),
        ("one entry", (1, 1), 1.0),
        ("saturated", sizes(rng, 2), 30.0),
    ):
        yield Configuration(kind, (scale * rng.standard_normal(shape),))


EXERCISE = Exercise(
    title="tanh",
    number=2,
    parts=(Part(forward, configurations, gradients={"x": "dx_e = (1 - y_e²) dy_e"}),),
)
