"""Cross-entropy of probabilities.

p has a row of probabilities for each of N examples b, labels the number of the right
class of each:

    (1)  y = -(1/N) Σ_b log p_b,labels_b

Derive the gradient in p; it is 0 in every entry that (1) does not read.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from reference.teaching.exercise import Configuration, Exercise, Part, sizes


class Residuals(NamedTuple):
    """What backward needs."""

    p: Any
    labels: Any


def forward(p, labels):
    """Equation (1)."""
    right = jnp.take_along_axis(p, labels[:, None], axis=1)[:, 0]
    return -jnp.mean(jnp.log(right)), Residuals(p, labels)  # (1)


def configurations(rng):
    """The usual one, one row, probabilities near 0, no sum of 1."""
    for kind, (n, k), scale in (
        ("usual", sizes(rng, 2), 1.0),
        ("other sizes", sizes(rng, 2), 1.0),
        ("one row", (1, 5), 1.0),
        ("sharp", (7, 3), 20.0),
    ):
        p = np.exp(scale * rng.standard_normal((n, k)))
        p = p / p.sum(axis=1, keepdims=True)
        yield Configuration(kind, (p, rng.integers(0, k, n)))


EXERCISE = Exercise(
    title="cross-entropy",
    number=6,
    parts=(
        Part(
            forward,
            configurations,
            gradients={"p": "dp_bk = -[k = labels_b] / (N p_bk) dy"},
        ),
    ),
)
