"""The two abstractions of purefw: a rule and a loss.

A rule is a few pure functions and nothing else:

    init(key)               -> params
    forward(params, x)      -> (y, residuals)
    backward(residuals, dy) -> (dparams, dx)

A loss is two:

    forward(prediction, target) -> (loss, residuals)
    backward(residuals, dloss)  -> dprediction

`dv` is the cotangent dL/dv of any value `v`, for the scalar loss L. `params`,
`residuals`, `x` and `y` are pytrees of arrays. The laws, checked for every registered
rule and loss:

    adjoint     <dy, J(u, v)> = <dparams, u> + <dx, v>, where J is the derivative of
                y = forward(params, x)[0] and (u, v) any tangent of (params, x)
    structure   dparams is shaped and typed like params, dx like x
    purity      the result depends on the arguments alone; nothing is differentiated
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from jaxtyping import Array, Key

P = TypeVar("P")
R = TypeVar("R")


@dataclass(frozen=True)
class Rule(Generic[P, R]):
    """A function with parameters, and its backward pass.

    Attributes:
        name: What messages and tables call it.
        init: `init(key) -> params`.
        forward: `forward(params, x) -> (y, residuals)`; with a key as third argument
            where `random` is set.
        backward: `backward(residuals, dy) -> (dparams, dx)`.
        random: Whether `forward` draws random numbers and so needs the key.
        inference: `inference(params, x) -> y` where it differs from the first half of
            `forward`: dropout and batch norm.
        terms: `terms(residuals, dy)`, where a cotangent is a sum of summands with names
            of their own: a dict from the leaf's name ("dx", "dparams.scale") to a dict
            from the summand's name to its value.

    Example:
        >>> import jax.numpy as jnp
        >>> double = Rule("double", lambda key: (), lambda params, x: (2 * x, ()),
        ...               lambda residuals, dy: ((), 2 * dy))
        >>> double.apply((), jnp.array(3.0))
        Array(6., dtype=float32, weak_type=True)
    """

    name: str
    init: Callable[[Key[Array, ""]], P]
    forward: Callable[..., tuple[Any, R]]
    backward: Callable[[R, Any], tuple[P, Any]]
    random: bool = False
    inference: Callable[[P, Any], Any] | None = None
    terms: Callable[[R, Any], dict[str, dict[str, Any]]] | None = None

    def apply(self, params: P, x: Any) -> Any:
        """The network at inference: no key, no residuals."""
        if self.inference is not None:
            return self.inference(params, x)
        return self.forward(params, x)[0]


@dataclass(frozen=True)
class Loss(Generic[R]):
    """A scalar function of a prediction and a target, and its backward pass.

    Attributes:
        name: What messages and tables call it.
        forward: `forward(prediction, target) -> (loss, residuals)`.
        backward: `backward(residuals, dloss) -> dprediction`; it uses `dloss`, which
            is not always 1.
        divisor: `divisor(target) -> n`, where n times the loss is a sum over rows: what
            a mean divides by, up to a factor that is the same for every batch, or 1 for
            a sum. It is never 0. None where rows meet or the target does not tell.
    """

    name: str
    forward: Callable[[Any, Any], tuple[Any, R]]
    backward: Callable[[R, Any], Any]
    divisor: Callable[[Any], Any] | None = None
