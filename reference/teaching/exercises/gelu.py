"""GELU, by its formula with tanh: a product and a chain.

    (1)  u_e = c (x_e + a x_e³)           c = sqrt(2/π), a = 0.044715
    (2)  t_e = tanh u_e
    (3)  y_e = x_e (1 + t_e) / 2

Derive the gradient in x. x stands in (3) twice: in front, and inside t. Keep x and t.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp

from reference.teaching.exercise import Configuration, Exercise, Part, sizes

C, A = (2 / jnp.pi) ** 0.5, 0.044715


class Residuals(NamedTuple):
    """What backward needs."""

    x: Any
    t: Any


def forward(x):
    """Equations (1) to (3)."""
    t = jnp.tanh(C * (x + A * x**3))  # (1) and (2)
    return x * (1 + t) / 2, Residuals(x, t)  # (3)


def terms(residuals, dy):
    """The x in front, and the x inside."""
    x, t = residuals
    inside = x * (1 - t**2) * C * (1 + 3 * A * x**2) / 2
    return {"x": {"front": (1 + t) / 2 * dy, "inside": inside * dy}}


def configurations(rng):
    """The usual one, three axes, one entry, large numbers."""
    for kind, shape, scale in (
        ("usual", sizes(rng, 2), 1.0),
        ("three axes", sizes(rng, 3), 1.0),
        ("one entry", (1, 1), 1.0),
        ("large numbers", sizes(rng, 2), 5.0),
    ):
        yield Configuration(kind, (scale * rng.standard_normal(shape),))


EXERCISE = Exercise(
    title="GELU",
    number=9,
    parts=(
        Part(
            forward,
            configurations,
            gradients={
                "x": "dx_e = [(1 + t_e)/2 + x_e (1 - t_e²) c (1 + 3 a x_e²)/2] dy_e"
            },
            terms=terms,
        ),
    ),
)
