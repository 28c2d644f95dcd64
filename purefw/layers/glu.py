"""Gated linear unit: one half of the last axis times the logistic of the other.

σ is the logistic function; i counts the m entries of a half, b the rows (any number of
leading axes). value_bi = x_bi and gate_bi = x_b(m+i) are the halves of x.

    (1)  y_bi     = value_bi σ(gate_bi)

    (2)  dvalue_bi = σ(gate_bi) dy_bi
    (3)  dgate_bi  = value_bi σ(gate_bi) σ(-gate_bi) dy_bi
    (4)  dx        = [dvalue, dgate] along the last axis

(2), (3): the product rule, with σ' = σ(g) (1 - σ(g)) = σ(g) σ(-g); the last form keeps
its digits where the gate saturates. (4): splitting is a permutation of entries, and its
transpose puts them back.
Invariant: y is linear in value, hence Σ value dvalue = Σ y dy.
Convention: no weights of its own, and the second half is the gate, as in jax.nn.glu and
torch. The layer with learned projections is chain(linear(n, 2 * m), glu()).
Precision: 16-bit x is computed in float32 and rounded once.

Reference: Dauphin, Fan, Auli and Grangier, "Language modeling with gated convolutional
networks", 2016, arXiv:1612.08083.
"""

from jax import lax
from jaxtyping import Array, Float

from purefw.rule import Rule
from purefw.shared.last_axis import join_halves, split_halves
from purefw.shared.precision import wide
from purefw.shared.recomputation import again_on_cpu
from purefw.shared.structure import no_params


def glu() -> Rule[tuple, Float[Array, "*b n"]]:
    """The rule on x of shape (..., 2m), y of shape (..., m); it keeps x.

    Raises:
        ValueError: in `forward`, the last axis of x is missing, empty or odd.

    Example:
        >>> import jax.numpy as jnp
        >>> y, residuals = glu().forward((), jnp.array([2.0, 3.0, 0.0, 1.0]))
        >>> y.round(1)
        Array([1. , 2.2], dtype=float32)
        >>> glu().backward(residuals, jnp.array([1.0, 1.0]))[1].round(1)
        Array([0.5, 0.7, 0.5, 0.6], dtype=float32)
    """
    return Rule("glu", no_params, forward, backward)


def forward(
    params: tuple, x: Float[Array, "*b n"]
) -> tuple[Float[Array, "*b m"], Float[Array, "*b n"]]:
    """Equation (1); the residual is x."""
    del params
    value, gate = split_halves("glu", wide(x))
    return (value * lax.logistic(gate)).astype(x.dtype), x  # (1)


def backward(
    residuals: Float[Array, "*b n"], dy: Float[Array, "*b m"]
) -> tuple[tuple, Float[Array, "*b n"]]:
    """Equations (2) to (4)."""
    x, dy = again_on_cpu(residuals, dy)
    value, gate = split_halves("glu", wide(x))
    dvalue = lax.logistic(gate) * wide(dy)  # (2)
    dgate = value * lax.logistic(-gate) * dvalue  # (3)
    return (), join_halves(dvalue, dgate).astype(dy.dtype)  # (4)
