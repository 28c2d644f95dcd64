"""A function may close over NumPy's float64 arrays in a session of any precision."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from reference import Verdict, check_gradient, check_vjp

RNG = np.random.default_rng(5)
X, TARGET, W = RNG.standard_normal((7, 3)), RNG.standard_normal(7), np.ones(3)


def forward(w):
    return X @ w, ()


def backward(factor):
    return lambda residuals, dy: (factor * X.T @ dy,)


def loss(w):
    return ((X @ w - TARGET) ** 2).sum()


@pytest.fixture(params=[False, True], ids=["float32", "float64"])
def session(request):
    """A session that has already compiled what will be judged."""
    with jax.enable_x64(request.param):
        jax.jit(lambda w: (forward(w), loss(w)))(W)
        yield jnp.asarray(W).dtype


def test_a_closed_over_array_keeps_its_digits(session):
    assert check_vjp(forward, backward(1), W).verdict is Verdict.RIGHT
    assert check_vjp(forward, backward(1 + 1e-9), W).verdict is Verdict.WRONG


def test_a_gradient_of_data_that_is_closed_over(session):
    report = check_gradient(loss, lambda w: 2 * X.T @ (X @ w - TARGET), W)
    assert report.verdict is Verdict.RIGHT


def test_the_session_goes_on_in_its_own_precision(session):
    check_vjp(forward, backward(1), W)
    assert jax.jit(lambda w: forward(w)[0])(W).dtype == session
