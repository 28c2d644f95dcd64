"""Cross entropy, solved."""

import numpy as np


def forward(p, labels):
    right = p[np.arange(len(p)), labels]
    return -np.mean(np.log(right)), (p, labels)


def backward(residuals, dy):
    p, labels = residuals
    dp = np.zeros_like(p)
    rows = np.arange(len(p))
    dp[rows, labels] = -dy / (len(p) * p[rows, labels])
    return dp
