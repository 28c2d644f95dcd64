"""Cross-entropy with ignored rows and smoothed labels.

A row whose label is -1 does not count: M rows do. Of the label's weight a share s, the
smoothing, is spread evenly over all K classes. With log p the logarithm of the softmax
of x:

    (1)  t_bk = (1 - s) [k = labels_b] + s/K
    (2)  y    = -(1/M) Σ_{b: labels_b ≠ -1} Σ_k t_bk log p_bk

Derive the gradient in x. Some row always counts. p and labels are kept.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp

from reference.teaching.exercise import Configuration, Exercise, Part


class Residuals(NamedTuple):
    """What backward needs."""

    p: Any
    labels: Any


def forward(x, labels, *, smoothing):
    """Equations (1) and (2)."""
    shifted = x - jnp.max(x, axis=1, keepdims=True)
    logarithm = shifted - jnp.log(jnp.sum(jnp.exp(shifted), axis=1, keepdims=True))
    counts = labels != -1
    t = target(labels, x.shape[1], smoothing)
    rows = jnp.where(counts, jnp.sum(t * logarithm, axis=1), 0.0)
    loss = -jnp.sum(rows) / jnp.sum(counts)  # (2)
    return loss, Residuals(jnp.exp(logarithm), labels)


def target(labels, classes, smoothing):
    """Equation (1)."""
    onehot = (labels[:, None] == jnp.arange(classes)[None, :]).astype(float)
    return (1 - smoothing) * onehot + smoothing / classes  # (1)


def terms(residuals, dy, *, smoothing):
    """The probabilities, the label, the uniform share."""
    p, labels = residuals
    counts = labels != -1
    weight = jnp.where(counts, 1.0, 0.0)[:, None] / jnp.sum(counts) * dy
    onehot = (labels[:, None] == jnp.arange(p.shape[1])[None, :]).astype(p.dtype)
    uniform = jnp.full_like(p, smoothing / p.shape[1])
    return {
        "x": {
            "probabilities": p * weight,
            "label": -(1 - smoothing) * onehot * weight,
            "uniform share": -uniform * weight,
        }
    }


def configurations(rng):
    """Some rows ignored, none, all but one; smoothing and none."""
    for kind, (n, k), smoothing, ignored in (
        ("usual", (7, 5), 0.1, 3),
        ("other sizes", (11, 3), 0.2, 4),
        ("no row ignored", (5, 7), 0.1, 0),
        ("one row counts", (7, 3), 0.1, 6),
        ("no smoothing", (11, 5), 0.0, 4),
    ):
        labels = rng.integers(0, k, n)
        labels[rng.permutation(n)[:ignored]] = -1
        x = rng.standard_normal((n, k))
        yield Configuration(kind, (x, labels), {"smoothing": smoothing})


EXERCISE = Exercise(
    title="ignored labels and smoothing",
    number=8,
    parts=(
        Part(
            forward,
            configurations,
            gradients={"x": "dx_bk = [labels_b ≠ -1] (p_bk - t_bk) / M dy"},
            terms=terms,
        ),
    ),
)
