"""Embedding: a row of a table for every id.

table has a row for each of V ids, and ids are n of them, in which one may come again:

    (1)  y_bi = table_{ids_b},i

Derive the gradient in table. A row that is used twice is used twice: what comes back
from both is added. Keep ids, and table for its shape.
"""

from typing import Any, NamedTuple

from reference.teaching.exercise import Configuration, Exercise, Part


class Residuals(NamedTuple):
    """What backward needs."""

    ids: Any
    table: Any


def forward(table, ids):
    """Equation (1)."""
    return table[ids], Residuals(ids, table)  # (1)


def configurations(rng):
    """Repeated ids, different ones, one id, one id again and again."""
    for kind, (v, i, n) in {
        "usual": (5, 3, 11),
        "other sizes": (7, 2, 13),
        "ids that differ": (7, 3, 5),
        "one id": (5, 3, 1),
    }.items():
        ids = rng.integers(0, v, n)
        if kind == "ids that differ":
            ids = rng.permutation(v)[:n]
        yield Configuration(kind, (rng.standard_normal((v, i)), ids))


EXERCISE = Exercise(
    title="embedding",
    number=12,
    parts=(
        Part(
            forward,
            configurations,
            gradients={"table": "dtable_vi = Σ_{b: ids_b = v} dy_bi"},
        ),
    ),
)
