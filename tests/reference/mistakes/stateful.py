"""Planted in NumPy code that keeps state or writes into dy, and in roundings."""

import jax
import jax.numpy as jnp
import numpy as np

from tests.reference.mistakes.case import Planted, normal


def one_array():
    return (normal(5, 7, seed=80),)


def tanh_forward(x):
    y = np.tanh(np.asarray(x))
    return y, y


# Writes into dy


def numpy_pair():
    return normal(5, 3, seed=81), normal(5, 3, seed=82)


def product_forward(a, b):
    a, b = np.asarray(a), np.asarray(b)
    return a * b, (a, b)


product = Planted(
    "numpy_product", __file__, product_forward, numpy_pair, traceable=False
)


@product.wrong("writes_into_dy", "C10", ["mutation: dy"])
def _writes_dy(residuals, dy):
    a, b = residuals
    dy *= b
    return dy, dy * a / b


@product.wrong("writes_into_residuals", "C10", ["mutation: residuals"])
def _writes_residuals(residuals, dy):
    a, b = residuals
    a *= dy
    return b * dy, a


class Tanh:
    """Keeps its output in itself."""

    def forward(self, x):
        self.y = np.tanh(np.asarray(x))
        return self.y, ()

    def backward(self, residuals, dy):
        return ((1 - self.y**2) * dy,)


kept = Tanh()
stateful = Planted("stateful_tanh", __file__, kept.forward, one_array, traceable=False)
stateful.wrong("state_in_the_object", "C9", ["state: latest call"], kept.backward)


class Accumulates:
    """Adds to its gradient and never clears it."""

    def __init__(self):
        self.dw = 0.0

    def forward(self, x, w):
        x, w = np.asarray(x), np.asarray(w)
        return x @ w, (x, w)

    def backward(self, residuals, dy):
        x, w = residuals
        self.dw = self.dw + x.T @ dy
        return dy @ w.T, self.dw


grows = Accumulates()
accumulates = Planted(
    "numpy_linear",
    __file__,
    grows.forward,
    lambda: (normal(5, 3, seed=83), normal(3, 2, seed=84)),
    traceable=False,
)
accumulates.wrong("gradient_not_cleared", "C7", ["state: accumulates"], grows.backward)


# Rounding


def variance_args():
    return (normal(3, 101, seed=85, shift=300.0),)


def deviation_forward(x):
    mean = jnp.mean(x, axis=-1, keepdims=True)
    std = jnp.sqrt(jnp.mean((x - mean) ** 2, axis=-1, keepdims=True))
    return std[:, 0], (x, mean)


deviation = Planted("deviation", __file__, deviation_forward, variance_args)


@deviation.wrong("mean_of_squares_minus_square", "C12", ["precision: @deviation_var"])
def _deviation(residuals, dy):
    x, mean = residuals
    var = jnp.mean(x**2, axis=-1, keepdims=True) - mean**2  # @deviation_var
    return (dy[:, None] * (x - mean) / (x.shape[-1] * jnp.sqrt(var)),)


def crossentropy_args():
    z = np.asarray(normal(7, 5, seed=86)).copy()
    z[:, 0] += 9
    return (jnp.asarray(z),)


def confident_forward(z):
    p = jax.nn.softmax(z, axis=-1)
    return -jnp.sum(jax.nn.log_softmax(z, axis=-1)[:, 0]), p


confident = Planted("confident", __file__, confident_forward, crossentropy_args)


@confident.wrong("probabilities_in_16_bits", "C12", ["precision: @confident_p"])
def _confident(p, dy):
    p = p.astype(jnp.bfloat16).astype(p.dtype)  # @confident_p
    hot = jnp.arange(p.shape[-1])[None, :] == 0
    return (dy * (p - hot.astype(p.dtype)),)


def epsilon_forward(x):
    n = jnp.sqrt(jnp.sum(x**2, axis=-1, keepdims=True) + 1e-2)  # @epsilon_n
    return x / n, (x, n)


epsilon = Planted("normalise", __file__, epsilon_forward, one_array)
epsilon.right(
    "as_it_is",
    lambda r, dy: (
        dy / r[1] - r[0] * jnp.sum(r[0] * dy, axis=-1, keepdims=True) / r[1] ** 3,
    ),
)


@epsilon.wrong(
    "epsilon_lost_in_the_norm",
    "C12",
    ["edit:", "residual: residuals[1]", "constant: @epsilon_n"],
)
def _epsilon(residuals, dy):
    x, n = residuals
    m = jnp.sqrt(jnp.sum(x**2, axis=-1, keepdims=True))
    return (dy / n - x * jnp.sum(x * dy, axis=-1, keepdims=True) / (m**2 * n),)
