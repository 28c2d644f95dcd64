"""Embedding, solved."""

import numpy as np


def forward(table, ids):
    return table[ids], (ids, table)


def backward(residuals, dy):
    ids, table = residuals
    dtable = np.zeros_like(table)
    np.add.at(dtable, ids, dy)
    return dtable
