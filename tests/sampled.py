"""Which of many alike cases run by default: those that their name picks.

The whole of them takes hours; `-m slow` runs the rest.
"""

import zlib
from collections.abc import Iterable

import pytest


def one_in(n: int, names: Iterable[str], *, of: Iterable[str] | None = None) -> list:
    """Parameters of a test, all but one in n of them marked slow.

    Args:
        n: How many stand for one that runs.
        names: The parameters.
        of: The names that may run at all; default: every one.
    """
    names = list(names)
    runs = {name for name in of or names if zlib.crc32(name.encode()) % n == 0}
    return [
        pytest.param(name, marks=[pytest.mark.slow] * (name not in runs))
        for name in names
    ]
