"""Entries of the rules without parameters that act entry by entry or along one axis."""

import jax.numpy as jnp

from purefw.layers.relu import relu
from purefw.layers.tanh import tanh
from reference.registry.entry import RuleEntry, normal

ACTIVATIONS = {
    "relu": RuleEntry(
        relu(),
        {
            "typical": normal(5, 7),
            "one_row": normal(1, 3),
            "kink": lambda key: jnp.array([[-1.0, 0.0, -0.0, 2.0, 1e-30]]),
            "large": normal(3, 2, scale=1e4),
        },
    ),
    "tanh": RuleEntry(
        tanh(),
        {
            "typical": normal(5, 7),
            "one_row": normal(1, 3),
            "zero": lambda key: jnp.zeros((2, 3)),
            "saturated": normal(3, 2, scale=30.0),
        },
    ),
}
