"""Recurrent layer over time: tanh of the input and of the state before (Elman).

b counts sequences, t steps, i the inputs, j and k the hidden units.

    (1)  a_btj        = Σ_i x_bti weight_input_ij + bias_j
    (2)  h_btj        = tanh(a_btj + Σ_k h_{b,t-1,k} weight_state_kj)      y_bt = h_bt

    (3)  dh_btj       = dy_btj + what step t + 1 sent back
    (4)  da_btj       = (1 - h_btj)(1 + h_btj) dh_btj
    (5)  dh_{b,t-1,k} = Σ_j da_btj weight_state_kj, sent back to step t - 1
    (6)  dweight_state_kj = Σ_bt h_{b,t-1,k} da_btj
    (7)  dx, dweight_input, dbias from da by the affine map (1)

(3): h_t is shown and handed on; the last step gets the final state's cotangent. (4):
tanh' = 1 - tanh². (6): one weight serves every step, so the steps add; the sum over b
and t is one product after the scan, of the states before each step and the stacked da.
torch has two biases that are only ever added; their gradients are equal to dbias.
Lengths, initial state and final state: purefw.shared.recurrence.
Limit: over many steps dh is multiplied by weight_state and tanh' again and again, and
vanishes or grows geometrically.

Reference: Elman, "Finding Structure in Time", Cognitive Science 14, 1990.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
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


class RNNParams(NamedTuple):
    """Two weights and a bias."""

    weight_input: Float[Array, "i h"]
    weight_state: Float[Array, "h h"]
    bias: Float[Array, " h"]


class RNNResiduals(NamedTuple):
    """The inputs, the state after each step, and the parameters."""

    x: RecurrentInput
    hidden: Float[Array, "t b h"]
    params: RNNParams


def rnn(n_in: int, hidden: int) -> Rule[RNNParams, RNNResiduals]:
    """A tanh recurrent layer.

    Args:
        n_in: Width of a step's input. At least 1.
        hidden: Width of the state. At least 1.

    Returns:
        A rule on RecurrentInput whose state is (batch, hidden), with y a
        RecurrentOutput. Its residuals hold the input and one state a step.

    Raises:
        ValueError: a width is not positive, or `forward` gets shapes that do not fit.

    Example:
        >>> rule = rnn(3, 2)
        >>> x = RecurrentInput(jnp.ones((5, 7, 3)), None, None)
        >>> y = rule.apply(rule.init(jax.random.key(0)), x)
        >>> y.sequence.shape, y.state.shape
        ((5, 7, 2), (5, 2))
    """
    check_sizes("rnn", n_in=n_in, hidden=hidden)
    return Rule("rnn", partial(init, n_in=n_in, hidden=hidden), forward, backward)


def init(key: Key[Array, ""], *, n_in: int, hidden: int) -> RNNParams:
    """Weights N(0, 1/n_in) and N(0, 1/hidden), bias zero."""
    input_key, state_key = jax.random.split(key)
    return RNNParams(
        jax.random.normal(input_key, (n_in, hidden)) / n_in**0.5,
        jax.random.normal(state_key, (hidden, hidden)) / hidden**0.5,
        jnp.zeros(hidden),
    )


def forward(
    params: RNNParams, x: RecurrentInput
) -> tuple[RecurrentOutput, RNNResiduals]:
    """Equations (1) and (2)."""
    check_recurrent("rnn", x, *params.weight_input.shape)
    a = affine(Affine(params.weight_input, params.bias), x.sequence)  # (1)

    def step(h, a_t):
        h = jnp.tanh(a_t + h @ params.weight_state)  # (2)
        return h, h, h

    y, hidden = scan(step, _first(x, params), a, x)
    return y, RNNResiduals(x, hidden, params)


def backward(
    residuals: RNNResiduals, dy: RecurrentOutput
) -> tuple[RNNParams, RecurrentInput]:
    """Equations (3) to (7)."""
    x, hidden, params = residuals

    def step_back(h, dh, dy_t):
        dh = dh + dy_t  # (3)
        da = (1 - h) * (1 + h) * dh  # (4)
        return da @ params.weight_state.T, da  # (5)

    da, dstate = scan_back(step_back, dy, hidden, x)
    dweight_state = product_over_rows(previous(_first(x, params), hidden), da)  # (6)
    (dweight_input, dbias), dsequence = affine_backward(
        Affine(params.weight_input, params.bias), x.sequence, da.swapaxes(0, 1)
    )  # (7)
    dparams = RNNParams(dweight_input, dweight_state, dbias)
    return dparams, input_cotangent(x, dsequence, dstate)


def _first(x: RecurrentInput, params: RNNParams) -> Float[Array, "b h"]:
    zeros = jnp.zeros((x.sequence.shape[0], params.bias.size), x.sequence.dtype)
    return initial_state(x, zeros)
