"""Entries of the rules without parameters that act entry by entry or along one axis."""

import jax.numpy as jnp

from purefw.layers.relu import relu
from purefw.layers.sigmoid import sigmoid
from purefw.layers.softmax import softmax
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
    "sigmoid": RuleEntry(
        sigmoid(),
        {
            "typical": normal(5, 7),
            "one_row": normal(1, 3),
            "zero": lambda key: jnp.zeros((2, 3)),
            "saturated": normal(3, 2, scale=30.0),
        },
    ),
    "softmax": RuleEntry(
        softmax(),
        {
            "typical": normal(5, 7),
            "one_row": normal(1, 3),
            "leading_axes": normal(2, 3, 5),
            "tie": lambda key: jnp.array([[2.0, 2.0, -1.0], [0.0, 0.0, 0.0]]),
            "far_apart": normal(3, 5, scale=30.0),
            "shifted": normal(3, 5, shift=1e4),
        },
    ),
}
