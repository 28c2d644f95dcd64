"""Softmax and cross-entropy as one.

The last two exercises, one after the other, but from the scores x at once:

    (1)  p_bk = exp x_bk / Σ_j exp x_bj        written so that no exp overflows
    (2)  y    = -(1/N) Σ_b log p_b,labels_b

Derive the gradient in x. Most of what the two steps did cancels; what is left has two
terms, and stays finite where a probability underflows to 0. p and labels are kept.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp

from reference.teaching.exercise import Configuration, Exercise, Part, sizes


class Residuals(NamedTuple):
    """What backward needs."""

    p: Any
    labels: Any


def forward(x, labels):
    """Equations (1) and (2)."""
    shifted = x - jnp.max(x, axis=1, keepdims=True)
    logarithm = shifted - jnp.log(jnp.sum(jnp.exp(shifted), axis=1, keepdims=True))
    right = jnp.take_along_axis(logarithm, labels[:, None], axis=1)
    return -jnp.mean(right), Residuals(jnp.exp(logarithm), labels)  # (1) and (2)


def terms(residuals, dy):
    """Away from every class by its probability, towards the right one."""
    p, labels = residuals
    onehot = (labels[:, None] == jnp.arange(p.shape[1])[None, :]).astype(p.dtype)
    n = p.shape[0]
    return {"x": {"probabilities": p / n * dy, "label": -onehot / n * dy}}


def configurations(rng):
    """The usual one, one row, large scores."""
    for kind, (n, k), shift in (
        ("usual", sizes(rng, 2), 0.0),
        ("other sizes", sizes(rng, 2), 0.0),
        ("one row", (1, 5), 0.0),
        ("large scores", (7, 3), 1000.0),
    ):
        x = shift + rng.standard_normal((n, k))
        yield Configuration(kind, (x, rng.integers(0, k, n)))


EXERCISE = Exercise(
    title="softmax cross-entropy",
    number=7,
    parts=(
        Part(
            forward,
            configurations,
            gradients={"x": "dx_bk = (p_bk - [k = labels_b]) / N dy"},
            terms=terms,
        ),
    ),
)
