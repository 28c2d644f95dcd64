"""check_gradient: the gradient in every argument, or in those that argnums names."""

import jax.numpy as jnp
import numpy as np
import pytest

from reference import Verdict, check_gradient

RNG = np.random.default_rng(11)
W, X, Y = RNG.standard_normal(3), RNG.standard_normal((7, 3)), RNG.standard_normal(7)


def loss(w, x, y):
    return ((x @ w - y) ** 2).sum()


def in_w(w, x, y):
    return 2 * x.T @ (x @ w - y)


def in_x(w, x, y):
    return 2 * jnp.outer(x @ w - y, w)


@pytest.mark.parametrize(
    ("argnums", "gradient", "leaves"),
    [
        (0, in_w, ["args[0]"]),
        ((0,), lambda *args: (in_w(*args),), ["args[0]"]),
        ((1, 0), lambda *args: (in_x(*args), in_w(*args)), ["args[0]", "args[1]"]),
    ],
)
def test_argnums_are_those_of_jax_grad(argnums, gradient, leaves):
    report = check_gradient(loss, gradient, W, X, Y, argnums=argnums)
    assert report.verdict is Verdict.RIGHT
    assert list(report.leaves) == leaves


def test_a_wrong_one_is_found_and_its_reproducer_says_argnums():
    report = check_gradient(loss, lambda *args: 1.01 * in_w(*args), W, X, Y, argnums=0)
    assert report.verdict is Verdict.WRONG
    assert "argnums=0)" in str(report)


@pytest.mark.parametrize("argnums", [None, (0, 1)])
def test_one_gradient_for_several_arguments_is_no_gradient(argnums):
    report = check_gradient(loss, in_w, W, X, Y, argnums=argnums)
    assert report.verdict is Verdict.CONTRACT
    assert "or argnums say which, got an array of shape (3,)" in str(report)


@pytest.mark.parametrize("argnums", [3, (0, -1)])
def test_an_argument_that_is_not_there(argnums):
    with pytest.raises(ValueError, match="argnums must name arguments 0 to 2, got"):
        check_gradient(loss, in_w, W, X, Y, argnums=argnums)


@pytest.mark.parametrize("wrapped", [False, True])
def test_the_one_argument_may_be_a_tuple(wrapped):
    def gradient(pair):
        found = pair[1], 2 * pair[0]  # The second one is twice too large.
        return (found,) if wrapped else found

    product = check_gradient(
        lambda pair: (pair[0] * pair[1]).sum(), gradient, (W, W + 1)
    )
    verdicts = [leaf.verdict for leaf in product.leaves.values()]
    assert verdicts == [Verdict.RIGHT, Verdict.WRONG]
