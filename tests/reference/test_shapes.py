"""Other shapes: mistakes that one shape hides, and sizes that are written in."""

import jax.numpy as jnp
import numpy as np
import pytest

from reference import Verdict, check_vjp


def normal(*shape):
    return np.random.default_rng(31).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize(
    "f, backward, shape",
    [
        (
            lambda x: (x / x.sum(), x),
            lambda x, dy: (dy / x.sum() - (dy * x).sum() / (11 * x.mean()) ** 2,),
            (11,),
        ),
        (
            lambda x: (jnp.cumsum(x, 1), None),
            lambda _, dy: (
                jnp.stack([dy[:, k:].sum(1) for k in range(5)], 1)[:, : dy.shape[1]],
            ),
            (3, 5),
        ),
        (
            lambda x: (x.reshape(x.shape[0], -1).sum(1), jnp.zeros_like(x)),
            lambda x, dy: (x.at[:2].add(dy[:2, None]).at[2:].add(dy[2:, None]),),
            (3, 5),
        ),
    ],
    ids=["a number", "a range", "a slice"],
)
def test_sizes_written_into_a_right_backward_are_no_mistake(f, backward, shape):
    assert check_vjp(f, backward, normal(*shape)).verdict is Verdict.RIGHT


@pytest.mark.parametrize(
    "f, backward, shape",
    [
        (lambda x: x.mean(), lambda x, dy: jnp.full_like(x, dy / x.shape[0]), (7, 1)),
        (lambda x: x.mean(0), lambda x, dy: dy / x.shape[1] + 0 * x, (5, 5)),
        (
            lambda x: jnp.roll(x, x.shape[0] // 2, 0),
            lambda x, dy: jnp.roll(dy, x.shape[0] // 2, 0),
            (6, 3),
        ),
    ],
    ids=["a column", "a square", "an even number"],
)
def test_mistakes_that_the_given_shape_hides(f, backward, shape):
    report = check_vjp(
        lambda x: (f(x), x), lambda x, dy: (backward(x, dy),), normal(*shape)
    )
    assert report.verdict is Verdict.WRONG


def test_a_mistake_at_batch_1_alone():
    def forward(x, w):
        return x @ w, (x, w)

    def backward(residuals, dy):
        x, w = residuals
        dw = x.T @ dy if x.shape[0] > 1 else jnp.zeros_like(w)
        return dy @ w.T, dw

    report = check_vjp(forward, backward, normal(5, 3), normal(3, 2))
    assert report.verdict is Verdict.WRONG
    assert "cut to 1" in report.leaves["args[1]"].sentence
