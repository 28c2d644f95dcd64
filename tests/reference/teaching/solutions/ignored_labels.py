"""Ignored labels, solved."""

import numpy as np


def forward(x, labels, *, smoothing):
    shifted = x - x.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    counts = labels != -1
    t = (1 - smoothing) * np.eye(x.shape[1])[labels] + smoothing / x.shape[1]
    loss = -(t * log_p)[counts].sum() / counts.sum()
    return loss, (np.exp(log_p), labels)


def backward(residuals, dy, *, smoothing):
    p, labels = residuals
    counts = labels != -1
    classes = p.shape[1]
    label = (1 - smoothing) * np.eye(classes)[labels]
    dx = p - label - smoothing / classes
    return dx * counts[:, None] / counts.sum() * dy
