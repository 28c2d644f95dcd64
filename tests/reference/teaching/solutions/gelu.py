"""Gelu, solved."""

import numpy as np

C, A = np.sqrt(2 / np.pi), 0.044715


def forward(x):
    t = np.tanh(C * (x + A * x**3))
    return x * (1 + t) / 2, (x, t)


def backward(residuals, dy):
    x, t = residuals
    front = (1 + t) / 2
    inside = x * (1 - t**2) * C * (1 + 3 * A * x**2) / 2
    return (front + inside) * dy
