"""Batch norm: three ways from x to y, down the columns.

Each column of x, of N examples, is centred and scaled, then mapped:

    (1)  s_i     = (mean_b (x_bi - mean_a x_ai)² + eps)^(-1/2)
    (2)  xhat_bi = s_i (x_bi - mean_a x_ai)
    (3)  y_bi    = scale_i xhat_bi + bias_i

Derive the gradients in x, scale and bias: x reaches xhat directly, through the mean and
through the variance in s. (The variance depends on the mean, too; show that this way
brings nothing.) Keep xhat, s (one row) and scale.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp

from reference.teaching.exercise import Configuration, Exercise, Part


class Residuals(NamedTuple):
    """What backward needs."""

    xhat: Any
    s: Any
    scale: Any


def forward(x, scale, bias, *, eps):
    """Equations (1) to (3)."""
    centred = x - jnp.mean(x, axis=0, keepdims=True)
    s = (jnp.mean(centred**2, axis=0, keepdims=True) + eps) ** -0.5  # (1)
    xhat = s * centred  # (2)
    y = scale[None, :] * xhat + bias[None, :]  # (3)
    return y, Residuals(xhat, s, scale)


def terms(residuals, dy, *, eps):
    """Directly, through the mean, through the variance."""
    xhat, s, scale = residuals
    dxhat = scale[None, :] * dy
    mean = jnp.mean(dxhat, axis=0, keepdims=True)
    variance = jnp.mean(dxhat * xhat, axis=0, keepdims=True)
    paths = {"direct": dxhat, "mean": -mean, "variance": -xhat * variance}
    return {"x": {name: jnp.broadcast_to(s * v, dy.shape) for name, v in paths.items()}}


def configurations(rng):
    """The usual one, one row, one feature, a large eps."""
    for kind, (b, n), eps in (
        ("usual", (7, 5), 1e-5),
        ("other sizes", (11, 3), 1e-3),
        ("one row", (1, 5), 0.1),
        ("one feature", (5, 1), 1e-5),
        ("eps of 0.5", (3, 7), 0.5),
    ):
        shapes = (b, n), (n,), (n,)
        args = tuple(rng.standard_normal(shape) for shape in shapes)
        yield Configuration(kind, args, {"eps": eps})


EXERCISE = Exercise(
    title="batch norm",
    number=15,
    parts=(
        Part(
            forward,
            configurations,
            gradients={
                "x": "dx_bi = s_i (dxhat_bi - mean_a dxhat_ai - "
                "xhat_bi mean_a(dxhat_ai xhat_ai)), dxhat = scale dy",
                "scale": "dscale_i = Σ_b dy_bi xhat_bi",
                "bias": "dbias_i = Σ_b dy_bi",
            },
            terms=terms,
        ),
    ),
)
