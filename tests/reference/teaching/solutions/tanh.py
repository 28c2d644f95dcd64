"""Tanh, solved."""

import jax.numpy as jnp


def forward(x):
    y = jnp.tanh(x)
    return y, (y,)


def backward(residuals, dy):
    (y,) = residuals
    return (1 - y**2) * dy
