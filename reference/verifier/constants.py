"""NumPy arrays that a function closes over, read in the precision of the moment.

jax 0.10 converts such an array once, and while any program that holds it is alive goes
on using that conversion when `jax_enable_x64` has changed. A float64 array that was
first seen by a session in float32 would stay float32 in the oracle's float64; one that
the oracle saw first would be float64 in the session, whose programs then fail to lower.
"""

from functools import cache

import numpy as np
from jax._src import dtypes, literals


@cache
def convert_anew() -> None:
    """From now on JAX converts NumPy's constants whenever it meets them.

    It changes nothing where jax_enable_x64 stays as it is, except that a program holds
    an array twice which it meets twice.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> weight = np.ones((2, 3))
        >>> seen = jax.make_jaxpr(lambda x: weight @ x)(jnp.ones(3))
        >>> convert_anew()
        >>> with jax.enable_x64(True):
        ...     jax.make_jaxpr(lambda x: weight @ x)(jnp.ones(3)).consts[0].dtype
        dtype('float64')
    """
    dtypes.register_canonicalize_value_handler(np.ndarray, converted)


def converted(v: np.ndarray) -> np.ndarray:
    """A constant of a program, from an array as NumPy has it."""
    return literals.TypedNdArray(np.asarray(v, dtypes.canonicalize_dtype(v.dtype)))
