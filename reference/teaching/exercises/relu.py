"""ReLU: a function with a kink.

    (1)  y_e = x_e where x_e > 0, else 0

Derive the gradient in x. At x_e = 0 there are two slopes; take the one on the left.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp

from reference.teaching.exercise import Configuration, Exercise, Part, sizes


class Residuals(NamedTuple):
    """What backward needs."""

    x: Any


def forward(x):
    """Equation (1)."""
    return jnp.where(x > 0, x, 0.0), Residuals(x)  # (1)


def configurations(rng):
    """The usual one, one entry, zeros, negative numbers alone."""
    for kind, shape in (
        ("usual", sizes(rng, 2)),
        ("three axes", sizes(rng, 3)),
        ("one entry", (1, 1)),
        ("exact zeros", (5, 7)),
    ):
        x = rng.standard_normal(shape)
        if kind == "exact zeros":
            x = x * (rng.random(shape) < 0.5)
        yield Configuration(kind, (x,))


EXERCISE = Exercise(
    title="ReLU",
    number=3,
    parts=(
        Part(
            forward,
            configurations,
            gradients={"x": "dx_e = dy_e where x_e > 0, else 0: the sign of x decides"},
        ),
    ),
)
