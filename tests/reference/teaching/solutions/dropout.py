"""Dropout, solved."""


def forward(x, mask, *, rate):
    return x * mask / (1 - rate), (mask,)


def backward(residuals, dy, *, rate):
    (mask,) = residuals
    return dy * mask / (1 - rate)
