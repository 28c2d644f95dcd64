"""What carries no numbers: no parameters, an integer's cotangent, a shape kept.

The output of a rule depends on its integer and boolean inputs (ids, lengths, masks) by
jumps, so they have no cotangent. JAX writes that as an array of the input's shape and
of dtype float0, which takes no memory; dx of a rule holds one in their place, and so
keeps the structure of x.
"""

from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Key


@jax.tree_util.register_static
@dataclass(frozen=True)
class Static:
    """A value known when a function is traced, as a pytree without leaves.

    Residuals are arrays; a shape that `backward` needs travels among them as this, so
    that jit, vmap and scan see no array in it.

    Attributes:
        value: A shape, a number, anything with a hash.

    Example:
        >>> jax.tree.leaves((Static((2, 3)), 1.5))
        [1.5]
    """

    value: Any


def no_cotangent(shape: tuple[int, ...]) -> Any:
    """The cotangent of an integer or boolean array of this shape.

    Example:
        >>> no_cotangent((3,)).dtype == jax.dtypes.float0
        True
    """
    return np.zeros(shape, jax.dtypes.float0)


def no_params(key: Key[Array, ""]) -> tuple:
    """The `init` of a rule without parameters.

    Example:
        >>> no_params(jax.random.key(0))
        ()
    """
    del key
    return ()
