"""What recurrent rules share: sequences of unequal length, and a scan either way.

b counts sequences, t the T steps. f_t is one step of the rule, which maps the state
before it and the step's input a_t to the state after it; h is the part of a state that
the rule shows.

    (1)  m_bt       = 1 if t < length_b, else 0          1 everywhere without lengths
    (2)  s_bt       = m_bt f_t(s_{b,t-1}, a_bt) + (1 - m_bt) s_{b,t-1}
    (3)  y_bt       = m_bt h(f_t(s_{b,t-1}, a_bt))
    (4)  final_b    = s_bT

    (5)  ds_bT      = dfinal_b
    (6)  (p_bt, q_bt) = transposed Jacobian of f_t applied to ds_bt + dy_bt
    (7)  ds_{b,t-1} = m_bt p_bt + (1 - m_bt) ds_bt
    (8)  da_bt      = m_bt q_bt

(6): within its length a sequence's s_t is both shown and handed on, so its cotangents
add: ds_t came back through the later steps, dy_t (in the part shown) through y_t. (7),
(8): past the end (2) copies, with the identity as Jacobian and no dependence on a.
Padding may hold any finite values: its y, and its part of dx, are exactly 0, and it
adds nothing to the gradient of a parameter.
Limits: a row of length 0 shows 0 and returns its initial state. A length outside 0..T
cannot raise inside jit: it makes the initial state of its row NaN, and with it the
final state and every y of that row that is not cut off.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Shaped

from purefw.shared.structure import no_cotangent


class RecurrentInput(NamedTuple):
    """What a recurrent rule reads.

    Attributes:
        sequence: (batch, T, n_in), at least one step.
        state: The state before the first step, or None for zeros.
        lengths: None, or integers (batch,) from 0 to T: later steps are padding.
    """

    sequence: Float[Array, "b t i"]
    state: Any
    lengths: Shaped[Array, " b"] | None


class RecurrentOutput(NamedTuple):
    """What it returns: what it shows at each step, and the state after the last."""

    sequence: Float[Array, "b t h"]
    state: Any


def check_recurrent(who: str, x: RecurrentInput, n_in: int, hidden: int) -> None:
    """Raise ValueError unless the parts of x fit a rule of these widths."""
    check_sequence(who, x)
    shape = x.sequence.shape
    if shape[2] != n_in:
        raise ValueError(
            f"{who}: sequence must have shape (batch, time, {n_in}), got {shape}"
        )
    for v in jax.tree.leaves(x.state):
        if v.shape != (shape[0], hidden):
            raise ValueError(
                f"{who}: state must have shape {(shape[0], hidden)}, got {v.shape}"
            )


def check_sequence(who: str, x: RecurrentInput) -> None:
    """Raise ValueError unless x has a step and lengths are one integer a sequence."""
    shape = x.sequence.shape
    if len(shape) != 3 or shape[1] < 1:
        raise ValueError(
            f"{who}: sequence must have shape (batch, time, features) and a step, "
            f"got {shape}"
        )
    if x.lengths is None:
        return
    integer = jnp.issubdtype(x.lengths.dtype, jnp.integer)
    if x.lengths.shape != shape[:1] or not integer:
        raise ValueError(
            f"{who}: lengths must be integers of shape {shape[:1]}, "
            f"got {x.lengths.dtype} of shape {x.lengths.shape}"
        )


def initial_state(x: RecurrentInput, zeros: Any) -> Any:
    """The state before step 1: `zeros` for None, NaN where the length is bad."""
    state = zeros if x.state is None else x.state
    nan = jax.tree.map(lambda v: jnp.full_like(v, jnp.nan), state)
    return _select(_valid(x), state, nan)


def scan(
    step: Callable, state: Any, a: Float[Array, "b t a"], x: RecurrentInput
) -> tuple[RecurrentOutput, Any]:
    """Equations (1) to (4) for `step(state, a_t) -> (next state, shown, saved)`.

    What each step saves comes back stacked, with time as the first axis.
    """

    def masked(state, inputs):
        a_t, running = inputs
        after, shown, saved = step(state, a_t)
        shown = _select(running, shown, jnp.zeros_like(shown))  # (3)
        return _select(running, after, state), (shown, saved)  # (2)

    steps = (a.swapaxes(0, 1), _running(x))
    final, (y, saved) = lax.scan(masked, state, steps)  # (4)
    return RecurrentOutput(y.swapaxes(0, 1), final), saved


def scan_back(
    step_back: Callable, dy: RecurrentOutput, saved: Any, x: RecurrentInput
) -> tuple[Float[Array, "t b a"], Any]:
    """Equations (5) to (8): da with time first, and the initial state's cotangent.

    `step_back(saved_t, ds, dy_t) -> (p, q)` is equation (6).
    """

    def masked(ds, inputs):
        dy_t, saved_t, running = inputs
        p, q = step_back(saved_t, ds, dy_t)  # (6)
        da = _select(running, q, jnp.zeros_like(q))  # (8)
        return _select(running, p, ds), da  # (7)

    steps = (dy.sequence.swapaxes(0, 1), saved, _running(x))
    dstate, da = lax.scan(masked, dy.state, steps, reverse=True)  # (5)
    return da, dstate


def previous(first: Float[Array, "b h"], after: Float[Array, "t b h"]) -> Array:
    """The states before each step, from the first and those after each step."""
    return jnp.concatenate([first[None], after[:-1]])


def input_cotangent(
    x: RecurrentInput, dsequence: Float[Array, "b t i"], dstate: Any
) -> RecurrentInput:
    """dx: nothing for lengths, nothing for a state that was None or replaced by NaN."""
    zeros = jax.tree.map(jnp.zeros_like, dstate)
    dstate = None if x.state is None else _select(_valid(x), dstate, zeros)
    dlengths = None if x.lengths is None else no_cotangent(x.lengths.shape)
    return RecurrentInput(dsequence, dstate, dlengths)


def reverse(v: Float[Array, "b t i"], lengths: Shaped[Array, " b"] | None) -> Array:
    """Each sequence backwards within its length, the padding in place."""
    if lengths is None:
        return v[:, ::-1]
    t = jnp.arange(v.shape[1], dtype=lengths.dtype)[None, :]
    last = lengths[:, None] - 1
    index = jnp.where(t <= last, last - t, t)
    return jnp.take_along_axis(v, index[:, :, None], axis=1, mode="clip")


def _running(x: RecurrentInput) -> Bool[Array, "t b"] | None:
    """The mask (1), time first."""
    if x.lengths is None:
        return None
    t = jnp.arange(x.sequence.shape[1], dtype=x.lengths.dtype)
    return t[:, None] < x.lengths[None, :]  # (1)


def _valid(x: RecurrentInput) -> Bool[Array, " b"] | None:
    if x.lengths is None:
        return None
    return (x.lengths >= 0) & (x.lengths <= x.sequence.shape[1])


def _select(rows: Bool[Array, " b"] | None, new: Any, old: Any) -> Any:
    """`new` in these rows (in all for None), `old` in the others."""
    if rows is None:
        return new
    return jax.tree.map(
        lambda n, o: jnp.where(jnp.broadcast_to(rows[:, None], n.shape), n, o), new, old
    )
