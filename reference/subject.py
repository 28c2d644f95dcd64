"""What is judged: a forward, its hand-written backward, and the arguments."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Subject:
    """A backward pass in the shape of jax.custom_vjp's functions.

    Attributes:
        name: What the report calls it.
        forward: `forward(*args) -> (y, residuals)`.
        backward: `backward(residuals, dy) -> tuple`, one cotangent an argument.
        args: Pytrees of float, integer, bool or key arrays, NumPy's or JAX's.
        names: One an argument: ("dparams", "dx"), ("args[0]", "args[1]").
        linear: False for a declared surrogate, whose backward may clip or round.
        traceable: False for code that JAX cannot trace: NumPy, callbacks.
        frozen: Indices of arguments that get no cotangent, like a loss's target.
        primal: The function whose derivative is the truth, where it is not the first
            half of `forward`: the undecorated body of a custom_vjp.
    """

    name: str
    forward: Callable[..., tuple[Any, Any]]
    backward: Callable[[Any, Any], tuple]
    args: tuple
    names: tuple[str, ...]
    linear: bool = True
    traceable: bool = True
    frozen: tuple[int, ...] = ()
    primal: Callable[..., Any] | None = None
