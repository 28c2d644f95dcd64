"""A torch.autograd.Function as a rule, run by torch itself.

Its forward cannot be differentiated by JAX, so that the judge is differences.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import numpy as np

from purefw.rule import Rule
from purefw.shared.structure import Static, no_cotangent
from reference.interop.arguments import Init, arguments, cotangents, init_or_nothing


@dataclass(frozen=True, eq=False)
class Graph:
    """What torch keeps between forward and backward."""

    inputs: tuple
    outputs: tuple
    x_is_tuple: bool


def from_torch_function(function: Any, *, init: Init | None = None) -> Rule:
    """The two halves of a torch.autograd.Function as a rule on arrays.

    Args:
        function: A subclass of torch.autograd.Function, of old or new style, whose
            inputs and outputs are tensors.
        init: `init(key) -> params`. Where given, the first input is params: one array.

    Returns:
        A rule whose x is the other input, or a tuple of them, and whose y is a tuple
        where the function returns one. It runs on the CPU, in the dtypes it is given.
        It cannot be traced by JAX: no jit, no vmap.

    Raises:
        ValueError: `function` is no torch.autograd.Function.

    Example:
        >>> import pytest; torch = pytest.importorskip("torch")
        >>> class Square(torch.autograd.Function):
        ...     @staticmethod
        ...     def forward(ctx, x):
        ...         ctx.save_for_backward(x)
        ...         return x * x
        ...     @staticmethod
        ...     def backward(ctx, dy):
        ...         return ctx.saved_tensors[0] * dy  # The 2 is missing.
        >>> from reference import check_rule
        >>> x = np.array([0.3, -1.2])
        >>> check_rule(from_torch_function(Square), x).verdict
        <Verdict.WRONG: 'WRONG'>
    """
    import torch

    if not (
        isinstance(function, type) and issubclass(function, torch.autograd.Function)
    ):
        raise ValueError(
            f"from_torch_function: function must be a subclass of "
            f"torch.autograd.Function, got {function!r}"
        )
    has_params = init is not None
    return Rule(
        name=function.__name__,
        init=init_or_nothing(init),
        forward=partial(forward, function=function, has_params=has_params),
        backward=partial(backward, has_params=has_params),
    )


def forward(
    params: Any, x: Any, *, function: Any, has_params: bool
) -> tuple[Any, Static]:
    """`function.apply`, with the graph as the only residual."""
    inputs = tuple(map(_tensor, arguments(params, x, has_params=has_params)))
    found = function.apply(*inputs)
    outputs = found if isinstance(found, tuple) else (found,)
    arrays = tuple(v.detach().numpy().copy() for v in outputs)
    y = arrays if isinstance(found, tuple) else arrays[0]
    return y, Static(Graph(inputs, outputs, isinstance(x, tuple)))


def backward(residuals: Static, dy: Any, *, has_params: bool) -> tuple[Any, Any]:
    """torch's backward through that graph, which stays as it is."""
    import torch

    graph = residuals.value
    live = [v for v in graph.inputs if v.requires_grad]
    pairs = [
        (y, _tensor(d, y.dtype, grad=False))
        for y, d in zip(graph.outputs, jax.tree.leaves(dy))
        if y.requires_grad
    ]
    outputs, douts = zip(*pairs)
    found = iter(
        torch.autograd.grad(
            outputs, live, douts, retain_graph=True, materialize_grads=True
        )
    )
    every = tuple(
        next(found).numpy().copy() if v.requires_grad else no_cotangent(tuple(v.shape))
        for v in graph.inputs
    )
    return cotangents(every, graph.x_is_tuple, has_params=has_params)


def _tensor(value: Any, dtype: Any = None, grad: bool = True) -> Any:
    """A leaf tensor of its own memory; floats want a gradient."""
    import torch

    tensor = torch.from_numpy(np.array(value)).to(dtype)
    return tensor.requires_grad_(grad and tensor.is_floating_point())
