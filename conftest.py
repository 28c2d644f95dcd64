"""Doctests run as a user's first session does: in JAX's default float32."""

import jax
import pytest


@pytest.fixture(autouse=True)
def default_precision_in_doctests(request):
    """Turn float64 off around a doctest; the tests proper have it on."""
    if not isinstance(request.node, pytest.DoctestItem):
        yield
        return
    with jax.enable_x64(False):
        yield
