"""Planted later: NumPy code that JAX cannot trace."""

from functools import partial

import numpy as np

from tests.reference.mistakes.case import LATER, normal
from tests.reference.mistakes.case import Planted as AnyPlanted

Planted = partial(AnyPlanted, planted=LATER, traceable=False)


def one():
    return (normal(5, 7, seed=131),)


def softmax_forward(x):
    e = np.exp(np.asarray(x) - np.max(np.asarray(x), axis=1, keepdims=True))
    p = e / np.sum(e, axis=1, keepdims=True)  # @np_softmax
    return p, p


softmax = Planted("numpy_softmax", __file__, softmax_forward, one)
softmax.right(
    "as_it_is", lambda p, dy: (p * (dy - np.sum(p * dy, axis=1, keepdims=True)),)
)
softmax.wrong(
    "diagonal_alone", "C2", ["path: @np_softmax missing"], lambda p, dy: (p * dy,)
)
softmax.wrong(
    "sum_over_the_batch",
    "C6",
    ["edit: axis 1 for 0 @np_softmax_sum"],
    lambda p, dy: (
        p * (dy - np.sum(p * dy, axis=0, keepdims=True)),  # @np_softmax_sum
    ),
)


def norm_forward(x):
    x = np.asarray(x)
    xc = x - x.mean(1, keepdims=True)  # @np_mean
    inverse = 1 / np.sqrt((xc**2).mean(1, keepdims=True) + 1e-3)  # @np_var
    return xc * inverse, (xc * inverse, inverse)


def norm_backward(r, dy, mean=1.0, variance=1.0):
    xhat, inverse = r
    one = dy.mean(1, keepdims=True)
    two = (dy * xhat).mean(1, keepdims=True)
    return (inverse * (dy - mean * one - variance * xhat * two),)


norm = Planted("numpy_layer_norm", __file__, norm_forward, one)
norm.right("as_it_is", norm_backward)
norm.wrong(
    "no_mean_path", "C2", ["path: @np_mean missing"], partial(norm_backward, mean=0)
)
norm.wrong(
    "no_variance_path",
    "C2",
    ["path: @np_var missing"],
    partial(norm_backward, variance=0),
)


def loop_forward(x):
    """A loop over rows whose branch reads the data."""
    y = []
    for row in np.asarray(x):
        y.append(np.sum(row**2) if row[0] > 0 else np.sum(row))
    return np.stack(y), np.asarray(x)


def loop_backward(x, dy, factor=2.0):
    return (np.where(x[:, :1] > 0, factor * x, 1) * dy[:, None],)


loop = Planted("numpy_loop", __file__, loop_forward, one)
loop.right("as_it_is", loop_backward)
loop.wrong("sign", "C3", ["sign: all"], lambda x, dy: (-loop_backward(x, dy)[0],))
loop.wrong(
    "branch_as_if_linear",
    "C2",
    ["branch:", "path:", "factor:", "edit:"],
    lambda x, dy: (np.ones_like(x) * dy[:, None],),
)
