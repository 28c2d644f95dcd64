"""Bilinear upsampling: linear interpolation along two spatial axes.

x is (batch, height, width, channels). b counts examples, c channels; u, v rows and
columns of x, p, q those of y. An axis of n entries is enlarged by the factor f; its
entries are cells of width 1, whose centres are interpolated:

    (1)  z_p   = (p + 1/2) / f - 1/2, brought into [0, n - 1]
    (2)  A_pu  = max(0, 1 - |z_p - u|)
    (3)  y_bpqc = Σ_uv A_pu B_qv x_buvc              B as A, for the width

    (4)  dx_buvc = Σ_pq A_pu B_qv dy_bpqc

(2): two entries of x share each p, in proportion to their nearness, and their weights
sum to 1; beyond the outermost centre (1) takes the outermost entry. (4): (3) is linear
in x, so dy goes back through the same weights, transposed.
Invariants: rows of A sum to 1, hence a constant x gives that constant, and Σ dx = Σ dy.
Convention: half-pixel centres, as in torch's align_corners=False and in
jax.image.resize ("bilinear"); not align_corners=True.
Precision: 16-bit x is interpolated in float32 and rounded once. The products keep all
digits, as jax.image.resize's do: a GPU's default keeps ten bits, and had 340 times the
error on an H200.
"""

from functools import partial

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from purefw.rule import Rule
from purefw.shared.precision import wide
from purefw.shared.structure import no_params
from purefw.shared.windows import per_axis


def upsample_bilinear(factor: tuple[int, ...]) -> Rule[tuple, tuple]:
    """Enlarge height and width by whole factors.

    Args:
        factor: Of the height and of the width. At least 1.

    Returns:
        A rule on x of shape (batch, height, width, channels), not empty; it keeps
        nothing.

    Raises:
        ValueError: a factor is not positive, or `forward` gets x of another rank or
            without places.

    Example:
        >>> x = jnp.array([0.0, 4.0])[None, None, :, None]
        >>> upsample_bilinear((1, 2)).apply((), x).ravel()
        Array([0., 1., 3., 4.], dtype=float32)
    """
    factor = per_axis("upsample_bilinear", "factor", factor, 2)
    return Rule(
        name="upsample_bilinear",
        init=no_params,
        forward=partial(forward, factor=factor),
        backward=partial(backward, factor=factor),
    )


def forward(
    params: tuple, x: Float[Array, "*s"], *, factor: tuple[int, ...]
) -> tuple[Float[Array, "b p q c"], tuple]:
    """Equations (1) to (3)."""
    del params
    if x.ndim != 4 or 0 in x.shape[1:3]:
        raise ValueError(
            "upsample_bilinear: x must have shape (batch, height, width, channels) "
            f"with at least one place, got {x.shape}"
        )
    x_wide = wide(x)
    a, b = _weights(x_wide, x.shape[1:3], factor)
    y = jnp.einsum("pu,qv,buvc->bpqc", a, b, x_wide, precision="highest")  # (3)
    return y.astype(x.dtype), ()


def backward(
    residuals: tuple, dy: Float[Array, "b p q c"], *, factor: tuple[int, ...]
) -> tuple[tuple, Float[Array, "b h w c"]]:
    """Equation (4)."""
    del residuals
    dy_wide = wide(dy)
    lengths = dy.shape[1] // factor[0], dy.shape[2] // factor[1]
    a, b = _weights(dy_wide, lengths, factor)
    dx = jnp.einsum("pu,qv,bpqc->buvc", a, b, dy_wide, precision="highest")  # (4)
    return (), dx.astype(dy.dtype)


def _weights(
    v: Array, lengths: tuple[int, ...], factor: tuple[int, ...]
) -> list[Float[Array, "p u"]]:
    """A and B of (2), in the dtype of v; their values do not depend on it."""
    matrices = []
    for n, f in zip(lengths, factor):
        z = np.clip((np.arange(n * f) + 0.5) / f - 0.5, 0, n - 1)  # (1)
        distance = np.abs(z[:, None] - np.arange(n)[None, :])
        matrices.append(jnp.asarray(np.maximum(0, 1 - distance), v.dtype))  # (2)
    return matrices
