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


def implicit(transpose=True):
    """dy through z = tanh(w z + x), by the implicit function theorem."""

    def backward(residuals, dy):
        w, z = residuals
        s = 1 - z * z
        j = s[:, None] * w
        u = jnp.linalg.solve(jnp.eye(3, dtype=z.dtype) - (j.T if transpose else j), dy)
        return jnp.outer(s * u, z), s * u

    return backward


@pytest.mark.parametrize("transpose", [True, False])
def test_an_iteration_that_swings_between_two_values_has_not_converged(transpose):
    """As this one does where the moved w has a large negative entry in its diagonal."""

    def unrolled(w, x):
        z = jnp.zeros_like(x)
        for _ in range(80):
            z = jnp.tanh(w @ z + x)
        return z

    def forward(w, x):
        z = lax.fori_loop(0, 80, lambda _, z: jnp.tanh(w @ z + x), jnp.zeros_like(x))
        return z, (w, z)

    rng = np.random.default_rng(0)
    args = rng.normal(0, 0.2, (3, 3)), rng.normal(0, 1, 3)
    fixed = Subject(
        "fixed", forward, implicit(transpose), args, ("w", "x"), primal=unrolled
    )
    verdict = check_subject(fixed).verdict
    assert verdict is (Verdict.RIGHT if transpose else Verdict.WRONG)


@pytest.mark.parametrize("sign,verdict", [(-1, Verdict.RIGHT), (1, Verdict.WRONG)])
def test_the_inverse_of_a_singular_matrix_has_no_gradient(sign, verdict):
    """Two of its columns become proportional where a third of the entries is zero."""
    rng = np.random.default_rng(0)
    a = (0.3 * rng.standard_normal((4, 4)) + np.eye(4)).astype(np.float32)

    def backward(a, dy):
        return (sign * jnp.linalg.solve(a.T, jnp.linalg.solve(a, dy.T).T),)

    report = check_vjp(lambda a: (jnp.linalg.inv(a), a), backward, a)
    assert report.verdict is verdict
