"""Convolution along one axis, with a stride and padding.

x is (N, length, channels in), kernel (k, channels in, channels out). At both ends x is
padded with `padding` zeros, and the window moves by `stride`; xp is the padded x:

    (1)  y_buo = Σ_p Σ_i xp_b,(u stride + p),i kernel_pio

u counts the places at which the whole window fits. Derive the gradients in x and in
kernel. Windows overlap, so an entry of x is in several of them; what comes back on the
padding is cut off. Keep x and kernel.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp

from reference.teaching.exercise import Configuration, Exercise, Part


class Residuals(NamedTuple):
    """What backward needs."""

    x: Any
    kernel: Any


def forward(x, kernel, *, stride, padding):
    """Equation (1)."""
    xp = jnp.pad(x, ((0, 0), (padding, padding), (0, 0)))
    k = kernel.shape[0]
    places = range(0, xp.shape[1] - k + 1, stride)
    windows = jnp.stack([xp[:, u : u + k] for u in places], axis=1)
    y = jnp.einsum("bupi,pio->buo", windows, kernel)  # (1)
    return y, Residuals(x, kernel)


def configurations(rng):
    """Overlapping windows, none, padding and none, an end that no window reaches."""
    for kind, (b, length, i, o, k), stride, padding in (
        ("usual", (2, 7, 3, 5, 3), 1, 1),
        ("other sizes", (3, 11, 2, 3, 5), 2, 2),
        ("no padding", (2, 7, 3, 2, 3), 1, 0),
        ("stride of the window", (2, 6, 2, 3, 3), 3, 0),
        ("an end that is not reached", (1, 8, 2, 3, 3), 2, 0),
    ):
        args = rng.standard_normal((b, length, i)), rng.standard_normal((k, i, o))
        yield Configuration(kind, args, {"stride": stride, "padding": padding})


EXERCISE = Exercise(
    title="convolution",
    number=16,
    parts=(
        Part(
            forward,
            configurations,
            gradients={
                "x": "dxp_b,v,i = Σ_{u, p: u stride + p = v} Σ_o dy_buo kernel_pio, "
                "without the padding",
                "kernel": "dkernel_pio = Σ_b Σ_u xp_b,(u stride + p),i dy_buo",
            },
        ),
    ),
)
