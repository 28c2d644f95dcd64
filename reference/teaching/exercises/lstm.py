"""The LSTM's cell, in two parts.

From the four preactivations i, f, g, o and the cell before, all (N, n), with σ the
sigmoid:

    (1)  cell_be = σ(f_be) before_be + σ(i_be) tanh(g_be)
    (2)  h_be    = σ(o_be) tanh(cell_be)

Part gates is (1), part output is (2). Derive the gradient of each in all that it reads.
gates keeps its arguments after the sigmoids and the tanh, and before; output keeps
σ(o) and tanh(cell).
"""

from typing import Any, NamedTuple

import jax.numpy as jnp

from reference.teaching.exercise import Configuration, Exercise, Part, sizes


class Gates(NamedTuple):
    """What gates_backward needs: after the sigmoids and the tanh."""

    i: Any
    f: Any
    g: Any
    before: Any


class Output(NamedTuple):
    """What output_backward needs: after the sigmoid and the tanh."""

    o: Any
    t: Any


def sigmoid(v):
    """Without overflow."""
    return (1 + jnp.tanh(v / 2)) / 2


def gates(i, f, g, before):
    """Equation (1)."""
    kept = Gates(sigmoid(i), sigmoid(f), jnp.tanh(g), before)
    return kept.f * before + kept.i * kept.g, kept  # (1)


def output(o, cell):
    """Equation (2)."""
    kept = Output(sigmoid(o), jnp.tanh(cell))
    return kept.o * kept.t, kept  # (2)


def cases(rng, count):
    """The usual one, one row, open and closed gates."""
    for kind, shape, scale in (
        ("usual", sizes(rng, 2), 1.0),
        ("other sizes", sizes(rng, 2), 1.0),
        ("one row", (1, 5), 1.0),
        ("gates nearly open or shut", (3, 5), 8.0),
    ):
        args = [scale * rng.standard_normal(shape) for _ in range(count)]
        yield Configuration(kind, tuple(args))


EXERCISE = Exercise(
    title="LSTM cell",
    number=19,
    parts=(
        Part(
            gates,
            lambda rng: cases(rng, 4),
            name="gates",
            gradients={
                "i": "di = dy σ(i) (1 - σ(i)) tanh(g)",
                "f": "df = dy σ(f) (1 - σ(f)) before",
                "g": "dg = dy σ(i) (1 - tanh(g)²)",
                "before": "dbefore = dy σ(f)",
            },
        ),
        Part(
            output,
            lambda rng: cases(rng, 2),
            name="output",
            gradients={
                "o": "do = dy σ(o) (1 - σ(o)) tanh(cell)",
                "cell": "dcell = dy σ(o) (1 - tanh(cell)²)",
            },
        ),
    ),
)
