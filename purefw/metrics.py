"""What is reported but has no useful gradient."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Integer


def accuracy(
    scores: Float[Array, "*b n"], labels: Integer[Array, "*b"]
) -> Float[Array, ""]:
    """The share of rows whose largest score is the label's: one minus the 0-1 loss.

    Args:
        scores: Logits or probabilities of n classes, at least one row.
        labels: One integer in [0, n) a row; one out of range never counts as right.

    Returns:
        A share in [0, 1]. Of equal largest scores the first class counts.

    Example:
        >>> accuracy(jnp.array([[0.1, 0.9], [0.7, 0.3]]), jnp.array([1, 1]))
        Array(0.5, dtype=float32)
    """
    right = jnp.argmax(scores, axis=-1) == labels.astype(int)
    return jnp.mean(right, dtype=scores.dtype)
