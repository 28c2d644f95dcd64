"""GEGLU: one half of the last axis times the exact GELU of the other.

Φ is the distribution function of N(0, 1) and φ = Φ' its density; i counts the m entries
of a half, b the rows (any number of leading axes). value_bi = x_bi and gate_bi =
x_b(m+i) are the halves of x.

    (1)  s_bi      = gate_bi Φ(gate_bi)
    (2)  y_bi      = value_bi s_bi

    (3)  dvalue_bi = s_bi dy_bi
    (4)  s'_bi     = Φ(gate_bi) + gate_bi φ(gate_bi)
    (5)  dgate_bi  = value_bi s'_bi dy_bi
    (6)  dx        = [dvalue, dgate] along the last axis

(3), (5): the product rule. (4): the product rule on (1); both on one exponential:
purefw.shared.normal. (6): splitting is a permutation of entries, and its transpose puts
them back.
Invariant: y is linear in value, hence Σ value dvalue = Σ y dy.
Convention: no weights of its own, and the second half is the gate, as in the rules glu
and swiglu. Weights from code in which the first half is the gate swap their halves. The
feed-forward layer is chain(linear(n, 2 * m), geglu(), linear(m, n)).
Precision: 16-bit x is computed in float32 and rounded once.
Memory: x alone is kept; backward computes the exponential again.

Reference: Shazeer, "GLU variants improve transformer", 2020, arXiv:2002.05202.
"""

from jaxtyping import Array, Float

from purefw.rule import Rule
from purefw.shared.last_axis import join_halves, split_halves
from purefw.shared.normal import gated_slope, gated_value
from purefw.shared.precision import wide
from purefw.shared.recomputation import again
from purefw.shared.structure import no_params


def geglu() -> Rule[tuple, Float[Array, "*b n"]]:
    """The rule on x of shape (..., 2m), y of shape (..., m); it keeps x.

    Raises:
        ValueError: in `forward`, the last axis of x is missing, empty or odd.

    Example:
        >>> import jax.numpy as jnp
        >>> y, residuals = geglu().forward((), jnp.array([2.0, 3.0, 0.0, 1.0]))
        >>> y.round(2)
        Array([0.  , 2.52], dtype=float32)
        >>> geglu().backward(residuals, jnp.array([1.0, 1.0]))[1].round(2)
        Array([0.  , 0.84, 1.  , 3.25], dtype=float32)
    """
    return Rule("geglu", no_params, forward, backward)


def forward(
    params: tuple, x: Float[Array, "*b n"]
) -> tuple[Float[Array, "*b m"], Float[Array, "*b n"]]:
    """Equations (1) and (2); the residual is x."""
    del params
    value, gate = split_halves("geglu", wide(x))
    s = gated_value(gate)  # (1)
    return (value * s).astype(x.dtype), x  # (2)


def backward(
    residuals: Float[Array, "*b n"], dy: Float[Array, "*b m"]
) -> tuple[tuple, Float[Array, "*b n"]]:
    """Equations (1) and (3) to (6)."""
    x, dy = again(residuals, dy)
    value, gate = split_halves("geglu", wide(x))
    dvalue = gated_value(gate) * wide(dy)  # (1), (3)
    dgate = value * gated_slope(gate) * wide(dy)  # (4), (5)
    return (), join_halves(dvalue, dgate).astype(dy.dtype)  # (6)
