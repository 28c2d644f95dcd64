"""Strict JAX for every test: float64, no silent promotion, no key used twice."""

import jax
import pytest

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_debug_key_reuse", True)


SMALL = (
    "layers",
    "losses",
    "models",
    "train",
    "test_checkpoint",
    "test_combinators",
    "test_compose",
    "test_invariants",
    "test_plot",
)


@pytest.fixture
def keys():
    """An endless supply of independent keys: call next(keys)."""
    root = jax.random.key(0)
    return (jax.random.fold_in(root, i) for i in range(2**32))


@pytest.fixture(autouse=True)
def little_optimisation_where_programs_are_small(request):
    """Spare XLA's optimiser the hundreds of small programs of the library's own tests.

    It halves their time. The registry and the rounding are tested on what users run,
    and what trains whole networks, test_courses, is not small.
    """
    hasty = request.path.parent.name in SMALL or request.path.stem in SMALL
    hasty = hasty and request.path.stem != "test_courses"
    jax.config.update("jax_disable_most_optimizations", hasty)
    yield
    jax.config.update("jax_disable_most_optimizations", False)
