"""Where 16 bits are too few: arithmetic in float32, rounded once at the end."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def wide(v: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """The array in float32 where it is narrower, unchanged otherwise.

    Example:
        >>> wide(jnp.ones(2, jnp.bfloat16)).dtype, wide(jnp.ones(2)).dtype
        (dtype('float32'), dtype('float32'))
    """
    return v.astype(jnp.float32) if jnp.finfo(v.dtype).bits < 32 else v
