"""NumPy code read as jax.numpy's."""

import jax
import numpy as np
import pytest

from reference.interop.followed import follow
from reference.interop.traced import CannotFollow

X = np.random.default_rng([13, 1]).standard_normal((3, 5))


def through_numbers(x):
    """np.asarray would stop a trace."""
    x = np.asarray(x)
    return np.tanh(np.array(x, dtype=np.float64)).sum(axis=1)


def through_a_buffer(x):
    y = np.zeros(x.shape)
    for k in range(len(x)):
        y[k] = x[k] ** 3
    return y


def through_a_list(x):
    return np.array([row.sum() for row in np.asarray(x)])


def by_its_data(x):
    return x if x[0, 0] > 0 else -x


def by_a_float(x):
    return float(x[0, 0]) * x


@pytest.mark.parametrize("f", [through_numbers, through_a_buffer, through_a_list])
def test_what_is_followed_gives_the_same_numbers_when_traced(f):
    np.testing.assert_allclose(jax.jit(follow(f))(X), f(X), rtol=1e-14)


def test_what_is_followed_has_a_derivative():
    (dx,) = jax.vjp(follow(through_a_buffer), X)[1](X)
    np.testing.assert_allclose(dx, 3 * X**2 * X, rtol=1e-14)


@pytest.mark.parametrize("f", [by_its_data, by_a_float])
def test_what_depends_on_the_data_is_not_followed(f):
    with pytest.raises(CannotFollow):
        jax.jit(follow(f))(X)


def test_numpy_is_itself_again():
    with pytest.raises(CannotFollow):
        jax.jit(follow(by_its_data))(X)
    assert isinstance(through_a_buffer(X), np.ndarray)
    assert isinstance(through_a_list.__globals__["np"].zeros(2), np.ndarray)
