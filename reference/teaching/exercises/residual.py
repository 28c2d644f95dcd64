"""A residual block: two ways from x to y.

    (1)  h_bj = tanh Σ_i x_bi inner_ij
    (2)  y_bi = x_bi + Σ_j h_bj outer_ji

Derive the gradients in x, in inner and in outer. x reaches y past the block and through
it, and what two paths bring is added. Keep x, h and the weights.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp

from reference.teaching.exercise import Configuration, Exercise, Part, sizes


class Residuals(NamedTuple):
    """What backward needs."""

    x: Any
    h: Any
    inner: Any
    outer: Any


def forward(x, inner, outer):
    """Equations (1) and (2)."""
    h = jnp.tanh(x @ inner)  # (1)
    return x + h @ outer, Residuals(x, h, inner, outer)  # (2)


def terms(residuals, dy):
    """Past the block, and through it."""
    _, h, inner, outer = residuals
    branch = ((dy @ outer.T) * (1 - h**2)) @ inner.T
    return {"x": {"skip": dy, "branch": branch}}


def configurations(rng):
    """The usual one, one row, equal widths."""
    for kind, (b, i, j) in {
        "usual": sizes(rng, 3),
        "other sizes": sizes(rng, 3),
        "one row": (1, 5, 3),
        "equal widths": (7, 3, 3),
    }.items():
        args = [rng.standard_normal(shape) for shape in ((b, i), (i, j), (j, i))]
        yield Configuration(kind, tuple(args))


EXERCISE = Exercise(
    title="residual block",
    number=10,
    parts=(
        Part(
            forward,
            configurations,
            gradients={
                "x": "dx = dy + (dy outerᵀ ∘ (1 - h²)) innerᵀ",
                "inner": "dinner = xᵀ (dy outerᵀ ∘ (1 - h²))",
                "outer": "douter = hᵀ dy",
            },
            terms=terms,
        ),
    ),
)
