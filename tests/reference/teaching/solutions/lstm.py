"""Lstm, solved."""

import numpy as np


def sigmoid(v):
    return (1 + np.tanh(v / 2)) / 2


def gates_forward(i, f, g, before):
    i, f, g = sigmoid(i), sigmoid(f), np.tanh(g)
    return f * before + i * g, (i, f, g, before)


def gates_backward(residuals, dy):
    i, f, g, before = residuals
    di = dy * g * i * (1 - i)
    df = dy * before * f * (1 - f)
    dg = dy * i * (1 - g**2)
    return di, df, dg, dy * f


def output_forward(o, cell):
    o, t = sigmoid(o), np.tanh(cell)
    return o * t, (o, t)


def output_backward(residuals, dy):
    o, t = residuals
    return dy * t * o * (1 - o), dy * o * (1 - t**2)
