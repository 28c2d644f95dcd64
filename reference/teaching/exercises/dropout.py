"""Dropout: the same mask on the way back.

mask is drawn outside and given: True where an entry is kept. What is kept is divided by
the share that is kept on average, so that y is x on average:

    (1)  y_e = x_e / (1 - rate) where mask_e, else 0

Derive the gradient in x; keep mask.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp

from reference.teaching.exercise import Configuration, Exercise, Part, sizes


class Residuals(NamedTuple):
    """What backward needs."""

    mask: Any


def forward(x, mask, *, rate):
    """Equation (1)."""
    return jnp.where(mask, x / (1 - rate), 0.0), Residuals(mask)  # (1)


def configurations(rng):
    """Two rates, nothing dropped, everything dropped but one."""
    for kind, shape, rate in (
        ("usual", sizes(rng, 2), 0.3),
        ("other rate", sizes(rng, 3), 0.6),
        ("nothing dropped", (5, 3), 0.0),
        ("one entry", (1, 1), 0.5),
    ):
        mask = rng.random(shape) >= rate
        mask.flat[0] = True
        args = rng.standard_normal(shape), mask
        yield Configuration(kind, args, {"rate": rate})


EXERCISE = Exercise(
    title="dropout",
    number=11,
    parts=(
        Part(
            forward,
            configurations,
            gradients={"x": "dx_e = dy_e / (1 - rate) where mask_e, else 0"},
        ),
    ),
)
