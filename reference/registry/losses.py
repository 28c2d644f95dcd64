"""Entries of the losses."""

import jax

from purefw.losses.squared_error import squared_error
from reference.registry.entry import LossEntry


def pair(*shape: int, scale: float = 1.0):
    """A draw of a prediction and a target of one shape, independent."""
    return lambda key: tuple(scale * jax.random.normal(key, (2, *shape)))


LOSSES = {
    "squared_error_mean": LossEntry(
        squared_error("mean"),
        {"typical": pair(5, 3), "one": pair(1), "far": pair(7, scale=1e3)},
    ),
    "squared_error_sum": LossEntry(
        squared_error("sum"), {"typical": pair(5, 3), "one_row": pair(1, 2)}
    ),
}
