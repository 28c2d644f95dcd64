"""Relu, solved."""

import numpy as np


def forward(x):
    return np.maximum(x, 0), (x,)


def backward(residuals, dy):
    (x,) = residuals
    return (dy * (x > 0),)
