"""RMS norm: a row divided by its own size.

Each row of x, of n entries:

    (1)  s_b  = (mean_i x_bi² + eps)^(-1/2)
    (2)  y_bi = scale_i x_bi s_b

Derive the gradients in x and in scale. Every entry of a row is in s. Keep x, s (one
column) and scale.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp

from reference.teaching.exercise import Configuration, Exercise, Part, sizes


class Residuals(NamedTuple):
    """What backward needs."""

    x: Any
    s: Any
    scale: Any


def forward(x, scale, *, eps):
    """Equations (1) and (2)."""
    s = (jnp.mean(x**2, axis=1, keepdims=True) + eps) ** -0.5  # (1)
    return scale[None, :] * x * s, Residuals(x, s, scale)  # (2)


def terms(residuals, dy, *, eps):
    """Directly, and through the size."""
    x, s, scale = residuals
    dz = scale[None, :] * dy
    size = -x * s**3 * jnp.mean(dz * x, axis=1, keepdims=True)
    return {"x": {"direct": s * dz, "size": size}}


def configurations(rng):
    """The usual one, one row, one feature, a large eps, small numbers."""
    for kind, (b, n), eps, size in (
        ("usual", sizes(rng, 2), 1e-5, 1.0),
        ("other sizes", sizes(rng, 2), 1e-3, 2.0),
        ("one row", (1, 5), 1e-5, 1.0),
        ("one feature", (5, 1), 0.5, 1.0),
        ("eps of 0.5", (7, 3), 0.5, 1.0),
    ):
        args = size * rng.standard_normal((b, n)), rng.standard_normal(n)
        yield Configuration(kind, args, {"eps": eps})


EXERCISE = Exercise(
    title="RMS norm",
    number=13,
    parts=(
        Part(
            forward,
            configurations,
            gradients={
                "x": "dx_bi = s_b (dz_bi - x_bi s_b² mean_j(dz_bj x_bj)), "
                "dz = scale dy",
                "scale": "dscale_i = Σ_b dy_bi x_bi s_b",
            },
            terms=terms,
        ),
    ),
)
