"""Rms norm, solved."""

import numpy as np


def forward(x, scale, *, eps):
    s = (np.mean(x**2, axis=1, keepdims=True) + eps) ** -0.5
    return scale * x * s, (x, s, scale)


def backward(residuals, dy, *, eps):
    x, s, scale = residuals
    dz = scale * dy
    size = x * s**2 * np.mean(dz * x, axis=1, keepdims=True)
    dx = s * (dz - size)
    return dx, (dy * x * s).sum(axis=0)
