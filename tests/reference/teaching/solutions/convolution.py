"""Convolution, solved."""

import numpy as np


def forward(x, kernel, *, stride, padding):
    xp = np.pad(x, ((0, 0), (padding, padding), (0, 0)))
    k = len(kernel)
    places = range(0, xp.shape[1] - k + 1, stride)
    y = np.stack(
        [np.tensordot(xp[:, u : u + k], kernel, ((1, 2), (0, 1))) for u in places], 1
    )
    return y, (x, kernel)


def backward(residuals, dy, *, stride, padding):
    x, kernel = residuals
    xp = np.pad(x, ((0, 0), (padding, padding), (0, 0)))
    k = len(kernel)
    dxp, dkernel = np.zeros_like(xp), np.zeros_like(kernel)
    for u in range(dy.shape[1]):
        window = slice(u * stride, u * stride + k)
        dxp[:, window] += np.einsum("bo,pio->bpi", dy[:, u], kernel)
        dkernel += np.einsum("bpi,bo->pio", xp[:, window], dy[:, u])
    dx = dxp[:, padding : padding + x.shape[1]]
    return dx, dkernel
