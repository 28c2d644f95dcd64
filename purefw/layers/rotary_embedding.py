"""Rotary embedding: features turned by an angle that grows with the position.

b counts sequences and n heads; t is the position, R_t the rotation of
purefw.shared.rotation, which states the angles and which features pair up.

    (1)  y_btn   = R_t x_btn
    (2)  dx_btn  = R_tᵀ dy_btn = R_{-t} dy_btn

(2): y is linear in x, and a rotation's transpose is its inverse.
Applied to the queries and to the keys of attention it makes their products depend on
the distance of the two positions alone.
"""

from functools import partial

from jaxtyping import Array, Float

from purefw.rule import Rule
from purefw.shared.rotation import check_rotation, rotate
from purefw.shared.structure import no_params


def rotary_embedding(width: int, *, base: float = 10000.0) -> Rule[tuple, tuple]:
    """Turn the features of every head by its position; nothing is learned.

    Args:
        width: Features of a head, even.
        base: Positive; the slowest pair turns by base^(2/width - 1) radian a step.

    Returns:
        A rule on x of shape (..., time, heads, width). It has no parameters and no
        residuals: the angles are computed again.

    Raises:
        ValueError: an odd width, a base that is not positive, or `forward` gets x of
            another shape.

    Example:
        >>> import jax.numpy as jnp
        >>> x = jnp.ones((2, 1, 2))
        >>> y = rotary_embedding(2).apply((), x)
        >>> bool(jnp.allclose(y[1, 0], jnp.array([-0.3012, 1.3818]), atol=1e-4))
        True
    """
    check_rotation("rotary_embedding", width, base)
    return Rule(
        name="rotary_embedding",
        init=no_params,
        forward=partial(forward, width=width, base=base),
        backward=partial(backward, base=base),
    )


def forward(
    params: tuple, x: Float[Array, "*s"], *, width: int, base: float
) -> tuple[Float[Array, "*s"], tuple]:
    """Equation (1)."""
    del params
    if x.ndim < 3 or x.shape[-1] != width:
        raise ValueError(
            f"rotary_embedding: x must have shape (..., time, heads, {width}), "
            f"got {x.shape}"
        )
    return rotate(x, base), ()  # (1)


def backward(
    residuals: tuple, dy: Float[Array, "*s"], *, base: float
) -> tuple[tuple, Float[Array, "*s"]]:
    """Equation (2)."""
    del residuals
    return (), rotate(dy, base, inverse=True)  # (2)
