"""Fixtures of the losses' tests."""

import jaxtyping
import pytest


@pytest.fixture
def untyped():
    """Turn the shape annotations off, so that a loss's own messages are heard."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture
def torch():
    """torch, an extra: a test that compares with it is skipped without."""
    return pytest.importorskip("torch", reason="torch is not installed")
