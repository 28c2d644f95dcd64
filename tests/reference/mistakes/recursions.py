"""Planted later: mistakes inside the loops of a recursion written with lax.scan."""

from functools import partial

import jax.numpy as jnp
from jax import lax

from tests.reference.mistakes.case import LATER, normal
from tests.reference.mistakes.case import Planted as AnyPlanted

Planted = partial(AnyPlanted, planted=LATER)


# h_t = tanh(x_t + h_{t-1} u), square u


def elman_args():
    return normal(5, 2, 3, seed=101), normal(3, 3, seed=102, scale=0.6)


def elman_forward(x, u):
    def step(h, x_t):
        h_next = jnp.tanh(x_t + h @ u)  # @elman_step
        return h_next, (h, h_next)

    _, (before, after) = lax.scan(step, jnp.full_like(x[0], 0.3), x)
    return after, (before, after, u)


def elman_backward(r, dy, wrong=""):
    before, after, u = r

    def step(carry, at):
        dh, du = carry
        h_before, h, dy_t = at
        d = dy_t + dh
        if wrong == "previous":
            da = (1 - h_before**2) * d  # @elman_previous
        elif wrong == "factor":
            da = d  # @elman_factor
        else:
            da = (1 - h**2) * d
        if wrong == "next":
            du = du + h.T @ da  # @elman_next
        else:
            du = du + h_before.T @ da
        if wrong == "transposed":
            dh = da @ u  # @elman_transposed
        elif wrong == "from_d":
            dh = d @ u.T  # @elman_from_d
        else:
            dh = da @ u.T
        if wrong == "overwritten":
            du = h_before.T @ da  # @elman_overwritten
        return (dh, du), da

    start = jnp.zeros_like(dy[0]), jnp.zeros_like(u)
    (_, du), dx = lax.scan(step, start, (before, after, dy), reverse=True)
    return dx, du


elman = Planted("elman_scan", __file__, elman_forward, elman_args)
elman.right("as_it_is", elman_backward)
elman.wrong(
    "derivative_at_the_state_before",
    "C9",
    ["residual: @elman_previous"],
    partial(elman_backward, wrong="previous"),
)
elman.wrong(
    "derivative_lost",
    "C2",
    ["factor: missing derivative", "factor: @elman_factor"],
    partial(elman_backward, wrong="factor"),
)
elman.wrong(
    "du_from_this_state",
    "C9",
    ["residual: @elman_next", "residual: residuals[0] should be residuals[1]"],
    partial(elman_backward, wrong="next"),
)
elman.wrong(
    "weight_not_transposed",
    "C6",
    ["edit: @elman_transposed", "residual: residuals[2]", "residual: transposed"],
    partial(elman_backward, wrong="transposed"),
)
elman.wrong(
    "state_gradient_before_the_derivative",
    "C9",
    ["residual: @elman_from_d"],
    partial(elman_backward, wrong="from_d"),
)
elman.wrong(
    "du_of_one_step",
    "C7",
    ["uses: args[1]", "edit: @elman_step"],
    partial(elman_backward, wrong="overwritten"),
)


# s_t = a s_{t-1} + (1 - a) x_t with a gate a per channel


def average_args():
    a = 1 / (1 + jnp.exp(-normal(3, seed=103)))
    return normal(7, 3, seed=104), a


def average_forward(x, a):
    def step(s, x_t):
        return a * s + (1 - a) * x_t, s  # @average_step

    last, before = lax.scan(step, jnp.zeros_like(x[0]), x)
    after = jnp.concatenate([before[1:], last[None]])
    return after, (before, x, a)


def average_backward(r, dy, wrong=""):
    before, x, a = r

    def step(ds, at):
        s, x_t, dy_t = at
        ds = ds + dy_t
        dx_t = (a if wrong == "rate" else 1 - a) * ds  # @average_rate
        if wrong == "state":
            da_t = s * ds  # @average_state
        elif wrong == "order":
            da_t = (x_t - s) * ds  # @average_order
        else:
            da_t = (s - x_t) * ds
        back = 1 - a if wrong == "decay" else a
        return back * ds, (dx_t, da_t)  # @average_decay

    _, (dx, da) = lax.scan(step, jnp.zeros_like(dy[0]), (before, x, dy), reverse=True)
    return dx, jnp.sum(da, axis=0)


average = Planted("moving_average_scan", __file__, average_forward, average_args)
average.right("as_it_is", average_backward)
average.wrong(
    "rate_for_its_complement",
    "C9",
    ["residual: @average_rate", "edit: @average_rate"],
    partial(average_backward, wrong="rate"),
)
average.wrong(
    "input_forgotten_in_da",
    "C2",
    ["path: @average_step", "residual: @average_state"],
    partial(average_backward, wrong="state"),
)
average.wrong(
    "difference_exchanged",
    "C3",
    ["sign: all", "edit: @average_order"],
    partial(average_backward, wrong="order"),
)
average.wrong(
    "decay_for_its_complement",
    "C9",
    ["residual: @average_decay"],
    partial(average_backward, wrong="decay"),
)
