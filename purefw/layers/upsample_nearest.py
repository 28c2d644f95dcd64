"""Nearest-neighbour upsampling: every entry of x becomes a block of equal entries.

x is (batch, *spatial, channels). b counts examples, c channels; u places of x, p of y,
each a number on one spatial axis and a tuple on several; f is the factor of an axis.

    (1)  y_bpc  = x_{b, floor(p / f), c}
    (2)  dx_buc = Σ_{p: floor(p / f) = u} dy_bpc

(2): x_u is copied to the f places of its block on each axis, and a copy forward is a
sum backward.
Invariants: Σ dx = Σ dy; the mean of every block of y is its x.
Convention: blocks as in torch.nn.Upsample("nearest") and jax.image.resize("nearest").
Precision: 16-bit dy is summed in float32 and rounded once.
"""

from functools import partial

import jax.numpy as jnp
from jaxtyping import Array, Float

from purefw.rule import Rule
from purefw.shared.precision import wide
from purefw.shared.structure import no_params
from purefw.shared.windows import per_axis


def upsample_nearest(factor: tuple[int, ...]) -> Rule[tuple, tuple]:
    """Repeat each entry, over as many spatial axes as `factor` has numbers.

    Args:
        factor: How often on each spatial axis. At least 1.

    Returns:
        A rule on x of shape (batch, *spatial, channels), whose spatial axes become
        `factor` times as long. It keeps nothing.

    Raises:
        ValueError: a factor is not positive, or `forward` gets x of another rank.

    Example:
        >>> x = jnp.array([1.0, 4.0])[None, :, None]
        >>> upsample_nearest((3,)).apply((), x).ravel()
        Array([1., 1., 1., 4., 4., 4.], dtype=float32)
    """
    factor = per_axis("upsample_nearest", "factor", factor, len(factor))
    return Rule(
        name="upsample_nearest",
        init=no_params,
        forward=partial(forward, factor=factor),
        backward=partial(backward, factor=factor),
    )


def forward(
    params: tuple, x: Float[Array, "b *n c"], *, factor: tuple[int, ...]
) -> tuple[Float[Array, "b *m c"], tuple]:
    """Equation (1)."""
    del params
    if x.ndim != len(factor) + 2:
        raise ValueError(
            f"upsample_nearest: x must have shape (batch, {len(factor)} spatial axes, "
            f"channels), got {x.shape}"
        )
    y = x
    for axis, f in enumerate(factor, start=1):
        y = jnp.repeat(y, f, axis=axis)  # (1)
    return y, ()


def backward(
    residuals: tuple, dy: Float[Array, "b *m c"], *, factor: tuple[int, ...]
) -> tuple[tuple, Float[Array, "b *n c"]]:
    """Equation (2)."""
    del residuals
    batch, *lengths, channels = dy.shape
    blocks = [k for m, f in zip(lengths, factor) for k in (m // f, f)]
    inside = tuple(range(2, 2 * len(factor) + 1, 2))
    dx = jnp.sum(wide(dy).reshape(batch, *blocks, channels), axis=inside)  # (2)
    return (), dx.astype(dy.dtype)
