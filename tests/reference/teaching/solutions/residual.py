"""Residual, solved."""

import numpy as np


def forward(x, inner, outer):
    h = np.tanh(x @ inner)
    return x + h @ outer, (x, h, inner, outer)


def backward(residuals, dy):
    x, h, inner, outer = residuals
    da = (dy @ outer.T) * (1 - h**2)
    dx = dy + da @ inner.T
    return dx, x.T @ da, h.T @ dy
