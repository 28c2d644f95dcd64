"""Backward passes with one mistake each, and what the mistake is.

`MISTAKES` maps a name to a planted mistake, `RIGHT` to a backward that is right and of
which nothing may be said. `Mistake.held` splits them by a hash of the name: one half to
develop the diagnosis on, one half to report.
"""

from tests.reference.mistakes import (
    indices,
    losses,
    norms,
    pointwise,
    products,
    stateful,
)
from tests.reference.mistakes.case import MISTAKES, RIGHT, Mistake

__all__ = [
    "MISTAKES",
    "RIGHT",
    "Mistake",
    "indices",
    "losses",
    "norms",
    "pointwise",
    "products",
    "stateful",
]
