"""The recurrent rules as lax.scan over a cell, the inputs' product before the scan.

`RECURRENT_FORMS` maps names of the registry to `form(params, x) -> y` on purefw's
parameters and inputs; the derivative is autodiff's.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from purefw.layers.lstm import LSTMState
from purefw.shared.recurrence import RecurrentInput, RecurrentOutput


def over_time(cell: Callable, state: Any, a: Array) -> RecurrentOutput:
    """`cell(state, a_t) -> (state, shown)` over the second axis of a."""
    state, y = jax.lax.scan(cell, state, a.swapaxes(0, 1))
    return RecurrentOutput(y.swapaxes(0, 1), state)


def projected(params: Any, x: RecurrentInput) -> Array:
    """The part of every step that does not wait for the state."""
    return x.sequence @ params.weight_input + params.bias


def form_rnn(params: Any, x: RecurrentInput) -> RecurrentOutput:
    """As flax.linen.SimpleCell."""

    def cell(h, a):
        h = jnp.tanh(a + h @ params.weight_state)
        return h, h

    return over_time(cell, x.state, projected(params, x))


def form_gru(params: Any, x: RecurrentInput) -> RecurrentOutput:
    """As flax.linen.GRUCell."""

    def cell(h, a):
        a_r, a_z, a_n = jnp.split(a, 3, axis=-1)
        u_r, u_z, u_n = jnp.split(h @ params.weight_state, 3, axis=-1)
        r, z = jax.nn.sigmoid(a_r + u_r), jax.nn.sigmoid(a_z + u_z)
        n = jnp.tanh(a_n + r * (u_n + params.bias_state))
        h = (1 - z) * n + z * h
        return h, h

    return over_time(cell, x.state, projected(params, x))


def form_lstm(params: Any, x: RecurrentInput) -> RecurrentOutput:
    """As flax.linen.OptimizedLSTMCell."""

    def cell(state, a):
        i, f, g, o = jnp.split(a + state.hidden @ params.weight_state, 4, axis=-1)
        c = jax.nn.sigmoid(f) * state.cell + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return LSTMState(h, c), h

    return over_time(cell, x.state, projected(params, x))


RECURRENT_FORMS: dict[str, Callable[[Any, Any], Any]] = {
    "rnn": form_rnn,
    "gru": form_gru,
    "lstm": form_lstm,
}
