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
    """Repeated ids, different ones, all of them, one id, a table of one row."""
    for kind, (v, i, n) in {
        "usual": (5, 3, 11),
        "other sizes": (7, 2, 13),
        "ids that differ": (7, 3, 5),
        "every row": (5, 2, 7),
        "one id": (5, 3, 1),
        "a table of one row": (1, 3, 5),
    }.items():
        ids = rng.integers(0, v, n)
        if kind in ("ids that differ", "every row"):
            ids[:v] = rng.permutation(v)[:n]
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
