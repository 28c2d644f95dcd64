"""Backward passes with one mistake each, and what the mistake is.

`MISTAKES` maps a name to a planted mistake, `RIGHT` to a backward that is right and of
which nothing may be said. `Mistake.group` splits them: one half of the first set to
develop the diagnosis on, one half to report, and a set that was planted later.
"""

from tests.reference.mistakes import (
    indices,
    losses,
    norms,
    numpy_code,
    operations,
    pointwise,
    products,
    recursions,
    reductions,
    stateful,
    unseen_functions,
    unseen_layers,
)
from tests.reference.mistakes.case import MISTAKES, RIGHT, Mistake

__all__ = [
    "MISTAKES",
    "RIGHT",
    "Mistake",
    "indices",
    "losses",
    "norms",
    "numpy_code",
    "operations",
    "pointwise",
    "products",
    "recursions",
    "reductions",
    "stateful",
    "unseen_functions",
    "unseen_layers",
]
