"""Layer norm: three ways from x to y.

Each row of x, of n entries, is centred and scaled, then mapped:

    (1)  s_b     = (mean_i (x_bi - mean_j x_bj)² + eps)^(-1/2)
    (2)  xhat_bi = s_b (x_bi - mean_j x_bj)
    (3)  y_bi    = scale_i xhat_bi + bias_i

Derive the gradients in x, scale and bias. x reaches xhat directly, through the mean and
through the variance in s; write the gradient in x as the sum of the three. Keep xhat, s
(one column) and scale.
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
    centred = x - jnp.mean(x, axis=1, keepdims=True)
    s = (jnp.mean(centred**2, axis=1, keepdims=True) + eps) ** -0.5  # (1)
    xhat = s * centred  # (2)
    y = scale[None, :] * xhat + bias[None, :]  # (3)
    return y, Residuals(xhat, s, scale)


def terms(residuals, dy, *, eps):
    """Directly, through the mean, through the variance."""
    xhat, s, scale = residuals
    dxhat = scale[None, :] * dy
    mean = jnp.mean(dxhat, axis=1, keepdims=True)
    variance = jnp.mean(dxhat * xhat, axis=1, keepdims=True)
    paths = {"direct": dxhat, "mean": -mean, "variance": -xhat * variance}
    return {"x": {name: jnp.broadcast_to(s * v, dy.shape) for name, v in paths.items()}}


def configurations(rng):
    """The usual one, one row, two features, a large eps, rows far from 0."""
    for kind, (b, n), eps, mean in (
        ("usual", (5, 7), 1e-5, 0.0),
        ("other sizes", (3, 11), 1e-3, 1.0),
        ("one row", (1, 5), 1e-5, 0.0),
        ("two features", (5, 2), 0.1, 0.0),
        ("eps of 0.5", (7, 3), 0.5, 0.0),
    ):
        x = mean + rng.standard_normal((b, n))
        args = x, rng.standard_normal(n), rng.standard_normal(n)
        yield Configuration(kind, args, {"eps": eps})


EXERCISE = Exercise(
    title="layer norm",
    number=14,
    parts=(
        Part(
            forward,
            configurations,
            gradients={
                "x": "dx_bi = s_b (dxhat_bi - mean_j dxhat_bj - "
                "xhat_bi mean_j(dxhat_bj xhat_bj)), dxhat = scale dy",
                "scale": "dscale_i = Σ_b dy_bi xhat_bi",
                "bias": "dbias_i = Σ_b dy_bi",
            },
            terms=terms,
        ),
    ),
)
