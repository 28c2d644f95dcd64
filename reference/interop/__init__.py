"""Backward passes of others as rules, and a rule as a function for others."""

from reference.interop.custom_vjp import from_custom_vjp, to_custom_vjp
from reference.interop.numpy_layer import from_numpy_layer
from reference.interop.torch_function import from_torch_function

__all__ = [
    "from_custom_vjp",
    "from_numpy_layer",
    "from_torch_function",
    "to_custom_vjp",
]
