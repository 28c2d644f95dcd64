"""What all tests share: compiled programs, and the precision of a first session.

Doctests run in float32 and spare XLA its optimiser: their programs are small.

tests/repeats.txt names the dear tests whose kind another test covers by default: they
are marked slow here.

Programs are kept in .pytest_cache/jax: one compilation serves both workers, the
processes that tests start, and the next run. `pytest --cache-clear` forgets them.
"""

import os
from pathlib import Path

import pytest

PROGRAMS = {
    "JAX_COMPILATION_CACHE_DIR": str(Path(__file__).parent / ".pytest_cache/d/jax"),
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}
for name, value in PROGRAMS.items():  # Read where jax is first imported: below.
    os.environ.setdefault(name, value)

import jax  # noqa: E402

REPEATS = Path(__file__).parent / "tests/repeats.txt"


@pytest.hookimpl(tryfirst=True)  # Before -m looks at the marks.
def pytest_collection_modifyitems(items):
    """Mark the repeats slow."""
    repeats = set(REPEATS.read_text().splitlines())
    for item in items:
        if item.nodeid in repeats:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True)
def a_first_session_in_doctests(request):
    """Around a doctest: float32, and XLA in haste. The tests proper have float64."""
    if not isinstance(request.node, pytest.DoctestItem):
        yield
        return
    jax.config.update("jax_disable_most_optimizations", True)
    with jax.enable_x64(False):
        yield
    jax.config.update("jax_disable_most_optimizations", False)
