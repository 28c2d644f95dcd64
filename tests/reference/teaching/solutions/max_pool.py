"""Max pool, solved."""

import numpy as np


def forward(x, *, window, stride):
    places = range(0, x.shape[1] - window + 1, stride)
    y = np.stack([x[:, u : u + window].max(axis=1) for u in places], axis=1)
    return y, (x,)


def backward(residuals, dy, *, window, stride):
    (x,) = residuals
    dx = np.zeros_like(x)
    for u in range(dy.shape[1]):
        first = u * stride + x[:, u * stride : u * stride + window].argmax(axis=1)
        for b in range(x.shape[0]):
            for c in range(x.shape[2]):
                dx[b, first[b, c], c] += dy[b, u, c]
    return dx
