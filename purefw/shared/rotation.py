"""Rotation of pairs of features by an angle that grows with the position.

t counts positions, p the d/2 pairs of the d features; pair p is the features p and
p + d/2 ("rotate half", as in GPT-NeoX and Llama; the paper pairs 2p and 2p + 1, which
is the same map after a fixed permutation of the features).

    (1)  angle_tp      = t base^(-2p/d)
    (2)  y_{t,p}       = x_{t,p} cos angle_tp - x_{t,p+d/2} sin angle_tp
         y_{t,p+d/2}   = x_{t,p} sin angle_tp + x_{t,p+d/2} cos angle_tp
    (3)  dx is dy turned by -angle: (2) with -sin in place of sin

(3): (2) is linear in x, with an orthogonal matrix for each pair; its transpose is its
inverse, the rotation by the opposite angle.
Angles are computed in float32 or wider and cosines rounded to x's dtype: in bfloat16
positions above 256 would otherwise coincide. At position t the angle of float32 is off
by up to about t 2^-23, as wherever float32 angles are used.
Invariants: |y_t| = |x_t| pair by pair, and |dx_t| = |dy_t|; y_0 = x_0; the inner
product of rotated vectors at t and s depends on t - s alone.

Reference: Su et al., "RoFormer: Enhanced Transformer with Rotary Position Embedding",
2021, arXiv:2104.09864.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from purefw.shared.precision import wide


def check_rotation(who: str, width: int, base: float) -> None:
    """Raise ValueError unless features pair up and the angles fall with p."""
    if width < 2 or width % 2:
        raise ValueError(f"{who}: width to rotate must be even, got {width}")
    if not base > 0:
        raise ValueError(f"{who}: base must be positive, got {base}")


def rotate(
    x: Float[Array, "*b t n d"], base: float, *, inverse: bool = False
) -> Float[Array, "*b t n d"]:
    """Equation (2) along axis -3, or (3) where `inverse`."""
    first, second = jnp.split(x, 2, axis=-1)
    cos, sin = _cos_sin(x, base)
    sin = -sin if inverse else sin  # (3)
    turned = (first * cos - second * sin, first * sin + second * cos)  # (2)
    return jnp.concatenate(turned, axis=-1)


def _cos_sin(x: Float[Array, "*b t n d"], base: float) -> tuple[Array, Array]:
    """Cosines and sines of (1), each of the shape of half of x."""
    steps, _, d = x.shape[-3:]
    dtype = wide(x).dtype
    t, p = jnp.arange(steps, dtype=dtype), jnp.arange(d // 2, dtype=dtype)
    angle = t[:, None] * (base ** (-2 * p / d))[None, :]  # (1)
    angle = jnp.broadcast_to(angle[:, None, :], (*x.shape[:-1], d // 2))
    return jnp.cos(angle).astype(x.dtype), jnp.sin(angle).astype(x.dtype)
