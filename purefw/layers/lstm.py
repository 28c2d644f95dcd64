"""Long short-term memory over time.

b counts sequences, t steps; i is the input gate, f the forget gate, g the candidate, o
the output gate, c the cell and h the hidden state. σ is the logistic function; products
of gates and states are entry by entry.

    (1)  a_bt             = x_bt weight_input + bias,  four blocks of columns i, f, g, o
    (2)  u_bt             = a_bt + h_{b,t-1} weight_state
    (3)  i = σ(u_i),  f = σ(u_f),  g = tanh(u_g),  o = σ(u_o)
    (4)  c_bt             = f c_{b,t-1} + i g
    (5)  h_bt             = o tanh c_bt                                y_bt = h_bt

    (6)  dh_bt            = dy_bt + what step t + 1 sent back to h_t
    (7)  dc_bt            = o (1 - tanh² c_bt) dh_bt + what step t + 1 sent back to c_t
    (8)  di = g dc,  df = c_{b,t-1} dc,  dg = i dc,  do = tanh(c_bt) dh
    (9)  da_bt            = (i(1-i) di, f(1-f) df, (1-g)(1+g) dg, o(1-o) do)
    (10) dc_{b,t-1}       = f dc_bt,  dh_{b,t-1} = da_bt weight_stateᵀ
    (11) dweight_state    = Σ_bt h_{b,t-1}ᵀ da_bt
    (12) dx, dweight_input, dbias from da by the affine map (1)

(7): c_t reaches the loss by h_t, with tanh' = 1 - tanh², and by c_{t+1}; at the last
step the latter is the final cell's cotangent, which is easily forgotten. (8)
differentiates (4) and (5), (9) the gates of (3), where du = da because (2) is a sum.
(11): one weight serves every step, so the steps add: one product after the scan.
torch has two biases that are only ever added; their gradients are equal to dbias.
Lengths, initial state and final state: purefw.shared.recurrence.
Limit: dc is multiplied by f alone from step to step; where f is near 1 it neither
vanishes nor grows.

Reference: Hochreiter and Schmidhuber, "Long Short-Term Memory", Neural Computation 9,
1997; with forget gates: Gers, Schmidhuber and Cummins, Neural Computation 12, 2000.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Key

from purefw.rule import Rule
from purefw.shared.affine import Affine, affine, affine_backward, product_over_rows
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


class LSTMParams(NamedTuple):
    """Weights and bias; columns in the order i, f, g, o."""

    weight_input: Float[Array, "i g"]
    weight_state: Float[Array, "h g"]
    bias: Float[Array, " g"]


class LSTMState(NamedTuple):
    """What a step hands to the next."""

    hidden: Float[Array, "*t b h"]
    cell: Float[Array, "*t b h"]


class LSTMStep(NamedTuple):
    """What a step saves: six arrays of the hidden state's size."""

    gates: Float[Array, "*t b g"]
    state: LSTMState


class LSTMResiduals(NamedTuple):
    """The inputs, what each step saved, and the parameters."""

    x: RecurrentInput
    steps: LSTMStep
    params: LSTMParams


def lstm(n_in: int, hidden: int) -> Rule[LSTMParams, LSTMResiduals]:
    """A layer of long short-term memory.

    Args:
        n_in: Width of a step's input. At least 1.
        hidden: Width of the hidden state and of the cell. At least 1.

    Returns:
        A rule on RecurrentInput whose state is an LSTMState of (batch, hidden) arrays,
        with y a RecurrentOutput. Its residuals hold the input and six such arrays a
        step.

    Raises:
        ValueError: a width is not positive, or `forward` gets shapes that do not fit.

    Example:
        >>> rule = lstm(3, 2)
        >>> x = RecurrentInput(jnp.ones((5, 7, 3)), None, None)
        >>> y = rule.apply(rule.init(jax.random.key(0)), x)
        >>> y.sequence.shape, y.state.cell.shape
        ((5, 7, 2), (5, 2))
    """
    check_sizes("lstm", n_in=n_in, hidden=hidden)
    return Rule("lstm", partial(init, n_in=n_in, hidden=hidden), forward, backward)


def init(key: Key[Array, ""], *, n_in: int, hidden: int) -> LSTMParams:
    """Weights N(0, 1/n_in) and N(0, 1/hidden); bias 1 for the forget gate, else 0.

    The forget gate starts open, so that gradients reach far back at the beginning
    (Gers, Schmidhuber and Cummins, 2000).
    """
    input_key, state_key = jax.random.split(key)
    return LSTMParams(
        jax.random.normal(input_key, (n_in, 4 * hidden)) / n_in**0.5,
        jax.random.normal(state_key, (hidden, 4 * hidden)) / hidden**0.5,
        jnp.zeros(4 * hidden).at[hidden : 2 * hidden].set(1),
    )


def forward(
    params: LSTMParams, x: RecurrentInput
) -> tuple[RecurrentOutput, LSTMResiduals]:
    """Equations (1) to (5)."""
    n_in, hidden = params.weight_input.shape[0], params.weight_state.shape[0]
    check_recurrent("lstm", x, n_in, hidden)
    a = affine(Affine(params.weight_input, params.bias), x.sequence)  # (1)

    def step(state, a_t):
        u = a_t + state.hidden @ params.weight_state  # (2)
        u_i, u_f, u_g, u_o = jnp.split(u, 4, axis=1)
        i, f, o = lax.logistic(u_i), lax.logistic(u_f), lax.logistic(u_o)  # (3)
        g = jnp.tanh(u_g)  # (3)
        cell = f * state.cell + i * g  # (4)
        state = LSTMState(o * jnp.tanh(cell), cell)  # (5)
        return state, state.hidden, LSTMStep(jnp.concatenate([i, f, g, o], 1), state)

    y, steps = scan(step, _first(x, params), a, x)
    return y, LSTMResiduals(x, steps, params)


def backward(
    residuals: LSTMResiduals, dy: RecurrentOutput
) -> tuple[LSTMParams, RecurrentInput]:
    """Equations (6) to (12)."""
    x, steps, params = residuals
    before = jax.tree.map(previous, _first(x, params), steps.state)
    da, dstate = scan_back(
        partial(_step_back, weight_state=params.weight_state),
        dy,
        (steps, before.cell),
        x,
    )
    dweight_state = product_over_rows(before.hidden, da)  # (11)
    (dweight_input, dbias), dsequence = affine_backward(
        Affine(params.weight_input, params.bias), x.sequence, da.swapaxes(0, 1)
    )  # (12)
    dparams = LSTMParams(dweight_input, dweight_state, dbias)
    return dparams, input_cotangent(x, dsequence, dstate)


def _step_back(saved, dstate, dy_t, *, weight_state):
    (gates, state), cell_before = saved
    i, f, g, o = jnp.split(gates, 4, axis=1)
    tanh_c = jnp.tanh(state.cell)
    dh = dstate.hidden + dy_t  # (6)
    dc = dstate.cell + o * (1 - tanh_c) * (1 + tanh_c) * dh  # (7)
    di, df, dg, do = g * dc, cell_before * dc, i * dc, tanh_c * dh  # (8)
    da = jnp.concatenate(
        [
            i * (1 - i) * di,
            f * (1 - f) * df,
            (1 - g) * (1 + g) * dg,
            o * (1 - o) * do,
        ],
        axis=1,
    )  # (9)
    return LSTMState(da @ weight_state.T, f * dc), da  # (10)


def _first(x: RecurrentInput, params: LSTMParams) -> LSTMState:
    shape = (x.sequence.shape[0], params.weight_state.shape[0])
    zeros = jnp.zeros(shape, x.sequence.dtype)
    return initial_state(x, LSTMState(zeros, zeros))
