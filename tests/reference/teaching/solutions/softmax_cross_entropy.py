"""Softmax cross entropy, solved."""

import numpy as np


def forward(x, labels):
    shifted = x - x.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    loss = -log_p[np.arange(len(x)), labels].mean()
    return loss, (np.exp(log_p), labels)


def backward(residuals, dy):
    p, labels = residuals
    onehot = np.eye(p.shape[1])[labels]
    return (p - onehot) / len(p) * dy
