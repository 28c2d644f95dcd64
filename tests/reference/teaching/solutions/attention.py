"""Attention, solved."""

import numpy as np


def scores_forward(q, k):
    return q @ k.transpose(0, 2, 1) / np.sqrt(q.shape[2]), (q, k)


def scores_backward(residuals, dy):
    q, k = residuals
    dscores = dy / np.sqrt(q.shape[2])
    return dscores @ k, dscores.transpose(0, 2, 1) @ q


def weights_forward(scores, mask):
    shown = np.where(mask, scores, -np.inf)
    e = np.exp(shown - shown.max(axis=-1, keepdims=True))
    weights = e / e.sum(axis=-1, keepdims=True)
    return weights, (weights,)


def weights_backward(residuals, dy):
    (p,) = residuals
    row = (p * dy).sum(axis=-1, keepdims=True)
    return p * dy - p * row


def mix_forward(weights, v):
    return weights @ v, (weights, v)


def mix_backward(residuals, dy):
    weights, v = residuals
    return dy @ v.transpose(0, 2, 1), weights.transpose(0, 2, 1) @ dy
