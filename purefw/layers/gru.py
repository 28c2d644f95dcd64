"""Gated recurrent unit over time.

b counts sequences, t steps; r is the reset gate, z the update gate, n the candidate. σ
is the logistic function; products of gates and states are entry by entry.

    (1)  (ar, az, an)_bt  = x_bt weight_input + bias
    (2)  (ur, uz, un)_bt  = h_{b,t-1} weight_state,  then un_bt += bias_state
    (3)  r = σ(ar + ur),  z = σ(az + uz),  n = tanh(an + r un)
    (4)  h_bt             = (1 - z) n + z h_{b,t-1}                    y_bt = h_bt

    (5)  dh_bt            = dy_bt + what step t + 1 sent back
    (6)  dn = (1 - z) dh,  dz = (h_{b,t-1} - n) dh
    (7)  dan = (1 - n)(1 + n) dn,  daz = z (1 - z) dz,  dar = r (1 - r) un dan
    (8)  (dur, duz, dun)_bt = (dar, daz, r dan)_bt
    (9)  dh_{b,t-1}       = z dh_bt + (dur, duz, dun)_bt weight_stateᵀ
    (10) dweight_state    = Σ_bt h_{b,t-1}ᵀ (dur, duz, dun)_bt
         dbias_state      = Σ_bt dun_bt
    (11) dx, dweight_input, dbias from (dar, daz, dan) by the affine map (1)

(6) differentiates (4); (7) and (8) differentiate (3), with σ' = σ(1 - σ), tanh' =
1 - tanh², and the product r un giving dr = un dan and dun = r dan. (9): h_{t-1} enters
by (4) directly and by (2). (10): one weight serves every step, so the steps add: one
product after the scan.
Convention: the reset gate acts after the product with weight_state, as in cuDNN, torch
and flax, and not on h before it as in the paper; that is why un has a bias of its own.
torch adds a second bias to r and z too, whose gradient equals the first one's.
Lengths, initial state and final state: purefw.shared.recurrence.

Reference: Cho et al., 2014, arXiv:1406.1078.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Key

from purefw.rule import Rule
from purefw.shared.affine import (
    Affine,
    affine,
    affine_backward,
    product_over_rows,
    sum_over_rows,
)
from purefw.shared.recurrence import (
    RecurrentInput,
    RecurrentOutput,
    check_recurrent,
    initial_state,
    input_cotangent,
    previous,
    scan,
    scan_back,
)
from purefw.shared.sizes import check_sizes


class GRUParams(NamedTuple):
    """Weights and biases; columns in the order r, z, n."""

    weight_input: Float[Array, "i g"]
    weight_state: Float[Array, "h g"]
    bias: Float[Array, " g"]
    bias_state: Float[Array, " h"]


class GRUStep(NamedTuple):
    """What a step saves: five arrays of the state's size."""

    r: Float[Array, "*t b h"]
    z: Float[Array, "*t b h"]
    n: Float[Array, "*t b h"]
    un: Float[Array, "*t b h"]
    hidden: Float[Array, "*t b h"]


class GRUResiduals(NamedTuple):
    """The inputs, five states a step, and the parameters."""

    x: RecurrentInput
    steps: GRUStep
    params: GRUParams


def gru(n_in: int, hidden: int) -> Rule[GRUParams, GRUResiduals]:
    """A gated recurrent layer.

    Args:
        n_in: Width of a step's input. At least 1.
        hidden: Width of the state. At least 1.

    Returns:
        A rule on RecurrentInput whose state is (batch, hidden), with y a
        RecurrentOutput. Its residuals hold the input and five states a step.

    Raises:
        ValueError: a width is not positive, or `forward` gets shapes that do not fit.

    Example:
        >>> rule = gru(3, 2)
        >>> x = RecurrentInput(jnp.ones((5, 7, 3)), None, None)
        >>> y = rule.apply(rule.init(jax.random.key(0)), x)
        >>> y.sequence.shape, y.state.shape
        ((5, 7, 2), (5, 2))
    """
    check_sizes("gru", n_in=n_in, hidden=hidden)
    return Rule("gru", partial(init, n_in=n_in, hidden=hidden), forward, backward)


def init(key: Key[Array, ""], *, n_in: int, hidden: int) -> GRUParams:
    """Weights N(0, 1/n_in) and N(0, 1/hidden), biases zero."""
    input_key, state_key = jax.random.split(key)
    return GRUParams(
        jax.random.normal(input_key, (n_in, 3 * hidden)) / n_in**0.5,
        jax.random.normal(state_key, (hidden, 3 * hidden)) / hidden**0.5,
        jnp.zeros(3 * hidden),
        jnp.zeros(hidden),
    )


def forward(
    params: GRUParams, x: RecurrentInput
) -> tuple[RecurrentOutput, GRUResiduals]:
    """Equations (1) to (4)."""
    check_recurrent("gru", x, params.weight_input.shape[0], params.bias_state.size)
    a = affine(Affine(params.weight_input, params.bias), x.sequence)  # (1)

    def step(h, a_t):
        ar, az, an = jnp.split(a_t, 3, axis=1)
        ur, uz, un = jnp.split(h @ params.weight_state, 3, axis=1)  # (2)
        un = un + jnp.broadcast_to(params.bias_state, un.shape)  # (2)
        r, z = lax.logistic(ar + ur), lax.logistic(az + uz)  # (3)
        n = jnp.tanh(an + r * un)  # (3)
        h = (1 - z) * n + z * h  # (4)
        return h, h, GRUStep(r, z, n, un, h)

    y, steps = scan(step, _first(x, params), a, x)
    return y, GRUResiduals(x, steps, params)


def backward(
    residuals: GRUResiduals, dy: RecurrentOutput
) -> tuple[GRUParams, RecurrentInput]:
    """Equations (5) to (11)."""
    x, steps, params = residuals
    before = previous(_first(x, params), steps.hidden)
    da, dstate = scan_back(
        partial(_step_back, weight_state=params.weight_state), dy, (steps, before), x
    )
    du = _state_cotangent(da, steps.r)
    dweight_state = product_over_rows(before, du)  # (10)
    dbias_state = sum_over_rows(jnp.split(du, 3, axis=-1)[2])  # (10)
    (dweight_input, dbias), dsequence = affine_backward(
        Affine(params.weight_input, params.bias), x.sequence, da.swapaxes(0, 1)
    )  # (11)
    dparams = GRUParams(dweight_input, dweight_state, dbias, dbias_state)
    return dparams, input_cotangent(x, dsequence, dstate)


def _step_back(saved, dh, dy_t, *, weight_state):
    (r, z, n, un, _), before = saved
    dh = dh + dy_t  # (5)
    dn, dz = (1 - z) * dh, (before - n) * dh  # (6)
    dan = (1 - n) * (1 + n) * dn  # (7)
    daz, dar = z * (1 - z) * dz, r * (1 - r) * un * dan  # (7)
    da = jnp.concatenate([dar, daz, dan], axis=1)
    return z * dh + _state_cotangent(da, r) @ weight_state.T, da  # (9)


def _state_cotangent(
    da: Float[Array, "*t b g"], r: Float[Array, "*t b h"]
) -> Float[Array, "*t b g"]:
    """Equation (8)."""
    dar, daz, dan = jnp.split(da, 3, axis=-1)
    return jnp.concatenate([dar, daz, r * dan], axis=-1)  # (8)


def _first(x: RecurrentInput, params: GRUParams) -> Float[Array, "b h"]:
    zeros = jnp.zeros((x.sequence.shape[0], params.bias_state.size), x.sequence.dtype)
    return initial_state(x, zeros)
