"""Strict JAX for every test: float64, no silent promotion, no key used twice."""

import jax
import pytest

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_debug_key_reuse", True)


@pytest.fixture
def keys():
    """An endless supply of independent keys: call next(keys)."""
    root = jax.random.key(0)
    return (jax.random.fold_in(root, i) for i in range(2**32))
