"""Softmax, solved."""

import numpy as np


def forward(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    p = e / e.sum(axis=-1, keepdims=True)
    return p, (p,)


def backward(residuals, dy):
    (p,) = residuals
    row = (p * dy).sum(axis=-1, keepdims=True)
    return p * dy - p * row
