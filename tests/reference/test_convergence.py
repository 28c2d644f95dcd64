"""Implicit derivatives of iterations: judged where the iteration converges."""

import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from reference import Verdict, check_vjp
from reference.verifier.subject import Subject
from reference.verifier.verify import check_subject

X = np.array([0.7, 1.2, 2.5], np.float32)


def newton_by_fori(x):
    return lax.fori_loop(0, 8, lambda _, y: (y + x / y) / 2, jnp.ones_like(x))


def newton_by_while(x):
    def step(state):
        return (state[0] + x / state[0]) / 2, state[1] + 1

    return lax.while_loop(lambda s: s[1] < 8, step, (jnp.ones_like(x), 0))[0]


def keeping_y(f):
    return lambda x: (f(x), f(x))


@pytest.mark.parametrize("f", [newton_by_fori, newton_by_while])
def test_an_implicit_derivative_is_right(f):
    """At 25000 eight steps are too few, and that is not the backward's mistake."""
    report = check_vjp(keeping_y(f), lambda y, dy: (dy / (2 * y),), X)
    assert report.verdict is Verdict.RIGHT


def test_an_implicit_derivative_of_a_number_is_right():
    report = check_vjp(keeping_y(newton_by_fori), lambda y, dy: (dy / (2 * y),), 2.5)
    assert report.verdict is Verdict.RIGHT


@pytest.mark.parametrize("f", [newton_by_fori, newton_by_while])
def test_a_wrong_implicit_derivative_is_wrong(f):
    report = check_vjp(keeping_y(f), lambda y, dy: (dy / y,), X)
    assert report.verdict is Verdict.WRONG


def test_a_loop_that_does_not_converge_excuses_nothing():
    """Three Euler steps; backward forgets a clamp that no given value reaches."""

    def forward(x):
        def step(_, y):
            return y + 0.1 * jnp.minimum(y, 100)

        return lax.fori_loop(0, 3, step, x), x

    report = check_vjp(forward, lambda x, dy: (dy * 1.1**3,), X)
    assert report.verdict is Verdict.WRONG


@pytest.mark.parametrize("masked", [True, False])
def test_a_forward_of_numpy_is_held_against_its_primal(masked):
    """Where all are positive the mask that the wrong one forgets does not show."""

    def forward(x):
        return np.maximum(np.asarray(x), 0), np.asarray(x)

    def backward(x, dy):
        return (dy * (x > 0) if masked else dy,)

    relu = Subject(
        "relu", forward, backward, (X,), ("x",), primal=lambda x: jnp.maximum(x, 0)
    )
    verdict = check_subject(relu).verdict
    assert verdict is (Verdict.RIGHT if masked else Verdict.WRONG)
