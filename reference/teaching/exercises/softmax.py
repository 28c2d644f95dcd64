"""Softmax: every entry of a row meets every other.

Row by row, along the last axis:

    (1)  p_bi = exp(x_bi - max_j x_bj) / Σ_k exp(x_bk - max_j x_bj)

Derive the gradient in x from dp, the gradient in the probabilities; p is what is kept.
Write ∂p_i/∂x_j with δ_ij first: one part is there where i = j, the other everywhere.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp

from reference.teaching.exercise import Configuration, Exercise, Part, sizes


class Residuals(NamedTuple):
    """What backward needs."""

    p: Any


def forward(x):
    """Equation (1)."""
    e = jnp.exp(x - jnp.max(x, axis=-1, keepdims=True))
    p = e / jnp.sum(e, axis=-1, keepdims=True)  # (1)
    return p, Residuals(p)


def terms(residuals, dy):
    """Its own entry, and all of its row."""
    p = residuals.p
    row = jnp.sum(p * dy, axis=-1, keepdims=True)
    return {"x": {"own entry": p * dy, "whole row": -p * row}}


def configurations(rng):
    """The usual one, one row, large scores, ties, one class."""
    for kind, shape, shift, scale in (
        ("usual", sizes(rng, 2), 0.0, 1.0),
        ("three axes", sizes(rng, 3), 0.0, 1.0),
        ("one row", (1, 5), 0.0, 1.0),
        ("large scores", (5, 7), 1000.0, 1.0),
        ("equal scores", (3, 5), 1.0, 0.0),
    ):
        yield Configuration(kind, (shift + scale * rng.standard_normal(shape),))


EXERCISE = Exercise(
    title="softmax",
    number=5,
    parts=(
        Part(
            forward,
            configurations,
            gradients={"x": "dx_bi = p_bi (dp_bi - Σ_j p_bj dp_bj)"},
            terms=terms,
        ),
    ),
)
