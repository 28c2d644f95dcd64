"""Max pooling along one axis; windows may overlap.

x is (N, length, channels). A window of `window` entries moves by `stride`:

    (1)  y_buc = max_p x_b,(u stride + p),c

u counts the places at which the whole window fits. Derive the gradient in x. Of equal
entries the first is the maximum; an entry that is the maximum of several windows gets
the gradients of all of them. Keep x.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from reference.teaching.exercise import Configuration, Exercise, Part


class Residuals(NamedTuple):
    """What backward needs."""

    x: Any


def forward(x, *, window, stride):
    """Equation (1)."""
    places = range(0, x.shape[1] - window + 1, stride)
    windows = jnp.stack([x[:, u : u + window] for u in places], axis=1)
    first = jnp.argmax(windows, axis=2)[:, :, None]
    y = jnp.take_along_axis(windows, first, axis=2)[:, :, 0]  # (1)
    return y, Residuals(x)


def configurations(rng):
    """Overlap, none, gaps, ties."""
    for kind, (b, length, c), window, stride in (
        ("usual", (3, 11, 2), 3, 2),
        ("other sizes", (2, 7, 5), 3, 1),
        ("no overlap", (3, 8, 2), 2, 2),
        ("gaps", (2, 11, 3), 2, 3),
        ("equal entries", (3, 11, 2), 3, 1),
    ):
        x = rng.standard_normal((b, length, c))
        x = np.round(x) if kind == "equal entries" else x
        yield Configuration(kind, (x,), {"window": window, "stride": stride})


EXERCISE = Exercise(
    title="max pooling",
    number=17,
    parts=(
        Part(
            forward,
            configurations,
            gradients={
                "x": "dx_bvc = Σ_u dy_buc [v is the first maximum of window u]: += for "
                "every window"
            },
        ),
    ),
)
