"""NumPy code, of which JAX says nothing: its digits in a working dtype."""

import numpy as np
import pytest

from reference import Verdict, check_vjp


def standardised(x):
    return (x - x.mean(-1, keepdims=True)) / x.std(-1, keepdims=True), x


def backward_with(variance):
    def backward(x, dy):
        s = 1 / np.sqrt(variance(x))
        h = (x - x.mean(-1, keepdims=True)) * s
        mean_path = dy.mean(-1, keepdims=True)
        return (s * (dy - mean_path - h * (dy * h).mean(-1, keepdims=True)),)

    return backward


def two_passes(x):
    return x.var(-1, keepdims=True)


def one_pass(x):
    return (x * x).mean(-1, keepdims=True) - x.mean(-1, keepdims=True) ** 2


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize(
    "variance, mean, verdict",
    [
        (two_passes, 0, Verdict.RIGHT),
        (one_pass, 0, Verdict.RIGHT),
        (two_passes, 100, Verdict.RIGHT),
        (one_pass, 100, Verdict.IMPRECISE),
    ],
)
def test_a_variance_in_one_pass_loses_digits_far_from_0(variance, mean, verdict, dtype):
    x = (np.random.default_rng(41).standard_normal((3, 11)) + mean).astype(dtype)
    assert check_vjp(standardised, backward_with(variance), x).verdict is verdict


def test_an_overflow_in_the_working_dtype_is_imprecise():
    def softmax(x):
        e = np.exp(x - x.max(-1, keepdims=True))
        return e / e.sum(-1, keepdims=True), x

    def backward(x, dy):
        p = np.exp(x) / np.exp(x).sum(-1, keepdims=True)
        return (p * (dy - (dy * p).sum(-1, keepdims=True)),)

    x = np.array([[100, 99, 98.5], [99.5, 100, 98]], np.float32)
    assert check_vjp(softmax, backward, x).verdict is Verdict.IMPRECISE
