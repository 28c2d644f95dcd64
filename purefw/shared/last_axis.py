"""What the rules along the last axis share: its check and its two halves."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def check_last_axis(who: str, x: Array) -> None:
    """Raise ValueError unless x has a last axis, with at least one entry."""
    if x.ndim < 1 or x.shape[-1] < 1:
        raise ValueError(
            f"{who}: x must have at least one entry along its last axis, "
            f"got shape {x.shape}"
        )


def split_halves(
    who: str, x: Float[Array, "..."]
) -> tuple[Float[Array, "*b m"], Float[Array, "*b m"]]:
    """The first and the second half of the last axis.

    Raises:
        ValueError: that axis is missing, empty or of odd length.
    """
    if x.ndim < 1 or x.shape[-1] < 2 or x.shape[-1] % 2:
        raise ValueError(
            f"{who}: x must have an even number of entries, at least 2, along its "
            f"last axis, got shape {x.shape}"
        )
    value, gate = jnp.split(x, 2, axis=-1)
    return value, gate
