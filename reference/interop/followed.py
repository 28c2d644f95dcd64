"""NumPy code read as jax.numpy's: `np.asarray(x)` stops a trace, and need not.

NumPy asks a Traced (reference.interop.traced) for what is done to it. It does not ask
where numbers are wanted, as in `np.asarray(x)`, nor where a buffer is made that will be
written to, as by `np.zeros(x.shape)`. While a function is followed, the name of NumPy
in the module that it was written in stands for a Follower, whose answer to both is a
Traced. What goes by another name there, or branches on data, is not followed.
"""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from reference.interop.traced import CannotFollow, Traced, raw

NUMBERS = ("asarray", "array", "ascontiguousarray", "asanyarray", "copy")
BUFFERS = ("zeros", "ones", "empty", "full")


class Follower:
    """NumPy, but a Traced stays one and a buffer is one."""

    def __getattr__(self, name: str) -> Any:
        """NumPy's own, but for what does not ask a Traced."""
        found = getattr(np, name)
        if name in BUFFERS:
            return lambda *args, **options: Traced(jnp.asarray(found(*args, **options)))
        return functools.partial(as_array, found) if name in NUMBERS else found


def as_array(found: Callable, v: Any, dtype: Any = None, **options: Any) -> Any:
    """What NumPy's function makes an array of, a Traced where there is one in it."""
    if isinstance(v, (list, tuple)) and any(isinstance(w, Traced) for w in v):
        v = Traced(jnp.stack([jnp.asarray(raw(w)) for w in v]))
    if not isinstance(v, Traced):
        return found(v, **options, **({} if dtype is None else {"dtype": dtype}))
    return v.copy() if dtype is None else Traced(raw(v).astype(dtype))


@contextmanager
def numpy_followed(function: Callable) -> Iterator[None]:
    """The names of NumPy in a function's module stand for Follower."""
    module = getattr(unwrapped(function), "__globals__", {})
    names = [k for k, v in module.items() if v is np]
    module.update(dict.fromkeys(names, Follower()))
    try:
        yield
    finally:
        module.update(dict.fromkeys(names, np))


def unwrapped(function: Callable) -> Any:
    """The Python function behind a method or a partial."""
    while isinstance(function, functools.partial):
        function = function.func
    function = getattr(function, "__func__", function)
    return getattr(function, "__wrapped__", function)


def traced(v: Any) -> Any:
    """An array as a Traced; a cotangent without a type as it is."""
    return v if v.dtype == jax.dtypes.float0 else Traced(jnp.asarray(v))


def follow(function: Callable) -> Callable:
    """The function on JAX's arrays, with its NumPy read as jax.numpy.

    Args:
        function: Of arrays, in NumPy, that returns arrays.

    Returns:
        A function that JAX can trace where this one can be followed, and that raises
        CannotFollow where not.

    Example:
        >>> def f(x):
        ...     return np.sum(np.tanh(np.asarray(x)))
        >>> round(float(jax.grad(follow(f))(0.5)), 4)
        0.7864
    """

    def followed(*args: Any) -> Any:
        given = jax.tree.map(traced, args)
        with numpy_followed(function):
            try:
                return jax.tree.map(raw, function(*given))
            except Exception as error:  # Whether by its own fault, NumPy will say.
                raise CannotFollow(str(error)) from error

    return followed
