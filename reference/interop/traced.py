"""NumPy code on JAX's arrays: what it computes can then be differentiated.

NumPy hands a call to its arguments where they ask for it (NEP 13, `__array_ufunc__`,
and NEP 18, `__array_function__`). A Traced answers with jax.numpy's function of the
same name. Writing into one replaces its value; where NumPy would have written through a
view into another array, it refuses, because that cannot be followed here.
"""

from typing import Any

import jax
import jax.numpy as jnp
from numpy.lib.mixins import NDArrayOperatorsMixin

VIEWS = {"reshape", "ravel", "transpose", "swapaxes", "squeeze", "view", "T"}
MODULES = {"numpy": jnp, "numpy.linalg": jnp.linalg, "numpy.fft": jnp.fft}


class CannotFollow(jax.errors.TracerArrayConversionError):
    """Code that jax.numpy cannot follow; who called it runs it on numbers instead."""

    def __init__(self, what: str):
        """The sentence alone: there is no tracer to name."""
        TypeError.__init__(self, what)


class Traced(NDArrayOperatorsMixin):
    """An array of JAX's that NumPy code takes for one of its own.

    Example:
        >>> import numpy as np
        >>> x = Traced(jnp.array([-1.0, 2.0]))
        >>> y = np.maximum(x, 0) + 1
        >>> y[y > 2] = 7
        >>> raw(y)
        Array([1., 7.], dtype=float32)
    """

    def __init__(self, value: Any, base: "Traced | None" = None):
        """Wrap a value; `base` is the array that NumPy would make this a view of."""
        self.value = value
        self.is_viewed = base is not None
        if base is not None:
            base.is_viewed = True

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **kwargs):
        """A ufunc by jax.numpy's of the same name, in place where `out` is given."""
        function = getattr(jnp, ufunc.__name__)
        function = function if method == "__call__" else getattr(function, method)
        value = function(*map(raw, inputs), **jax.tree.map(raw, kwargs))
        if out is None:
            return wrapped(value)
        (target,) = out
        if not isinstance(target, Traced):
            raise CannotFollow(
                f"Traced: {ufunc.__name__} would write into a NumPy array"
            )
        target.write(value.astype(target.dtype))
        return target

    def __array_function__(self, func, types, args, kwargs):
        """Any other function of NumPy's, likewise."""
        module = MODULES.get(func.__module__)
        function = getattr(module, func.__name__, None)
        if function is None:
            raise CannotFollow(f"Traced: jax.numpy has no {func.__name__}")
        value = function(*jax.tree.map(raw, args), **jax.tree.map(raw, kwargs))
        is_view = func.__name__ in VIEWS and isinstance(args[0], Traced)
        return wrapped(value, args[0] if is_view else None)

    def __getattr__(self, name: str) -> Any:
        """Shape, dtype, T, sum, reshape and the rest, as a JAX array has them."""
        if name.startswith("__"):
            raise AttributeError(name)
        found = getattr(self.value, name)
        base = self if name in VIEWS else None
        if callable(found) and not isinstance(found, jax.Array):
            return lambda *a, **k: wrapped(
                found(*jax.tree.map(raw, a), **jax.tree.map(raw, k)), base
            )
        return wrapped(found, base)

    def __getitem__(self, index: Any) -> "Traced":
        """An element or a slice; NumPy's slices are views."""
        return Traced(self.value[jax.tree.map(raw, index)], self)

    def __setitem__(self, index: Any, value: Any) -> None:
        """Write into the array, as no view of which anybody knows."""
        value = jnp.asarray(raw(value)).astype(self.dtype)
        self.write(self.value.at[jax.tree.map(raw, index)].set(value))

    def write(self, value: Any) -> None:
        """Replace the value."""
        if self.is_viewed:
            raise CannotFollow("Traced: writing through a view cannot be followed")
        self.value = value

    def copy(self) -> "Traced":
        """The same numbers, no view."""
        return Traced(self.value)

    def __len__(self) -> int:
        """The length of the first axis."""
        return len(self.value)

    def __iter__(self):
        """The rows."""
        return (self[i] for i in range(len(self)))

    def __bool__(self) -> bool:
        """What JAX says: an error while tracing."""
        return bool(self.value)

    def __float__(self) -> float:
        """Likewise."""
        return float(self.value)

    def __deepcopy__(self, memo: dict) -> "Traced":
        """JAX's arrays do not change, so that the value is shared."""
        return Traced(self.value)


def raw(value: Any) -> Any:
    """JAX's array behind a Traced; anything else as it is."""
    return value.value if isinstance(value, Traced) else value


def wrapped(value: Any, base: Traced | None = None) -> Any:
    """Arrays as Traced, also in tuples; anything else as it is."""
    if isinstance(value, jax.Array):
        return Traced(value, base)
    if isinstance(value, (tuple, list)):
        return type(value)(wrapped(v, base) for v in value)
    return value
