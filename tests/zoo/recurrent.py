"""Recurrent cells and sequences."""

import functools

import jax
import jax.numpy as jnp
from jax import lax

from tests.zoo.case import Family, narrow, normal, uniform

# a tanh network over time


def rnn_f(params, xs, h0):
    def step(h, x):
        h = jnp.tanh(x @ params["w"] + h @ params["u"] + params["b"])
        return h, h

    return lax.scan(step, h0, xs)[1]


def rnn_args(dtype, t=5):
    params = {
        "w": normal(dtype, 2, 3, scale=0.5),
        "u": normal(dtype, 3, 3, seed=1, scale=0.5),
        "b": normal(dtype, 3, seed=2),
    }
    return params, normal(dtype, t, 2, seed=3), normal(dtype, 3, seed=4)


def rnn_backward(
    r,
    dy,
    previous="shifted",
    through=True,
    transpose=True,
    pre=False,
    keep=1,
    outputs=True,
    last_b=False,
):
    (params, xs, h0), hs = r
    before = jnp.concatenate([h0[None], hs[:-1]]) if previous == "shifted" else hs
    u = params["u"].T if transpose else params["u"]
    if not outputs:
        dy = dy.at[:-1].set(0)

    def step(carry, item):
        dh, dp = carry
        x, h, old, d = item
        da = (d + keep * dh) * (1 - (jnp.tanh(h) if pre else h) ** 2)
        new = {
            "w": dp["w"] + jnp.outer(x, da),
            "u": dp["u"] + jnp.outer(old, da),
            "b": da if last_b else dp["b"] + da,
        }
        return (da @ u if through else jnp.zeros_like(dh), new), da @ params["w"].T

    start = jnp.zeros_like(h0), jax.tree.map(jnp.zeros_like, params)
    (dh0, dp), dx = lax.scan(step, start, (xs, hs, before, dy), reverse=True)
    return dp, dx, dh0


W, U, B = (f"args[0]['{k}']" for k in "wub")
rnn = Family("rnn", rnn_f, rnn_args, save="xy")
rnn.right("reverse_scan", rnn_backward)


def rnn_python(r, dy):
    (p, xs, h0), hs = r
    dp, dh, dxs = jax.tree.map(jnp.zeros_like, p), jnp.zeros_like(h0), []
    for t in reversed(range(len(xs))):
        old = hs[t - 1] if t else h0
        da = (dy[t] + dh) * (1 - jnp.square(hs[t]))
        dp = jax.tree.map(
            jnp.add, dp, {"w": jnp.outer(xs[t], da), "u": jnp.outer(old, da), "b": da}
        )
        dxs.insert(0, p["w"] @ da)
        dh = p["u"] @ da
    return dp, jnp.stack(dxs), dh


rnn.right("python_loop", rnn_python)
rnn.imprecise(
    "states_kept_in_bfloat16",
    (W, U, B, 1, 2),
    lambda r, dy: rnn_backward((r[0], r[1].astype(dy.dtype)), dy),
    "The states are stored in bfloat16.",
    ("float32",),
    forward=lambda *a: (rnn_f(*a), (a, rnn_f(*a).astype(narrow.bf16))),
)
rnn.wrong(
    "no_gradient_through_time",
    (W, U, B, 1, 2),
    functools.partial(rnn_backward, through=False),
    "Truncated after one step.",
)
rnn.wrong(
    "state_of_this_step",
    U,
    functools.partial(rnn_backward, previous="same"),
    "h_t for h_{t-1} in dU.",
)
rnn.wrong(
    "recurrent_not_transposed",
    (W, U, B, 1, 2),
    functools.partial(rnn_backward, transpose=False),
    "U for Uᵀ.",
)
rnn.wrong(
    "tanh_twice",
    (W, U, B, 1, 2),
    functools.partial(rnn_backward, pre=True),
    "The output is taken for the pre-activation.",
)
rnn.wrong(
    "last_output_only",
    (W, U, B, 1, 2),
    functools.partial(rnn_backward, outputs=False),
    "Only the last step's cotangent.",
)
rnn.wrong(
    "bias_of_first_step",
    B,
    functools.partial(rnn_backward, last_b=True),
    "= for += on the bias.",
)
rnn.wrong(
    "bias_of_first_step_of_one",
    B,
    functools.partial(rnn_backward, last_b=True),
    "= for += on the bias, over one step.",
    args=lambda d: rnn_args(d, 1),
    visible_at="other shape",
    elsewhere=rnn_args,
)
rnn.wrong(
    "initial_state_zero",
    2,
    lambda r, dy: (*rnn_backward(r, dy)[:2], jnp.zeros(3, dy.dtype)),
    "Zeros for the initial state.",
)
rnn.wrong(
    "decay_0.999",
    (W, U, B, 1, 2),
    functools.partial(rnn_backward, keep=0.999),
    "The carried gradient shrinks by 1e-3.",
)

# LSTM cell


def lstm_parts(x, h, c, w, b):
    i, f, g, o = jnp.split(jnp.concatenate([x, h]) @ w + b, 4)
    i, f, o, g = jax.nn.sigmoid(i), jax.nn.sigmoid(f), jax.nn.sigmoid(o), jnp.tanh(g)
    new = f * c + i * g
    return i, f, g, o, new


def lstm_f(x, h, c, w, b):
    i, f, g, o, new = lstm_parts(x, h, c, w, b)
    return {"h": o * jnp.tanh(new), "c": new}


def lstm_args(dtype):
    return (
        normal(dtype, 2),
        normal(dtype, 3, seed=1),
        normal(dtype, 3, seed=2),
        normal(dtype, 5, 12, seed=3, scale=0.5),
        normal(dtype, 12, seed=4),
    )


def lstm_backward(r, dy, cell=True, order="ifgo", tanh=True, forget="c", b_zero=False):
    x, h, c, w, b = r
    i, f, g, o, new = lstm_parts(x, h, c, w, jnp.zeros_like(b) if b_zero else b)
    t = jnp.tanh(new)
    dc = dy["h"] * o * (1 - t * t if tanh else 1) + (dy["c"] if cell else 0)
    d = {
        "i": dc * g * i * (1 - i),
        "f": dc * (c if forget == "c" else new) * f * (1 - f),
        "g": dc * i * (1 - g * g),
        "o": dy["h"] * t * o * (1 - o),
    }
    da = jnp.concatenate([d[k] for k in order])
    dxh = w @ da
    return dxh[:2], dxh[2:], dc * f, jnp.outer(jnp.concatenate([x, h]), da), da


lstm = Family("lstm_cell", lstm_f, lstm_args)
lstm.right("four_gates", lstm_backward)
lstm.right(
    "vmapped_batch_of_one",
    lambda r, dy: jax.tree.map(
        lambda a: a[0],
        jax.vmap(lambda x, h, c, d: lstm_backward((x, h, c, *r[3:]), d))(
            r[0][None], r[1][None], r[2][None], jax.tree.map(lambda a: a[None], dy)
        ),
    ),
)
lstm.imprecise(
    "gates_in_float16",
    (0, 1, 2, 3, 4),
    lambda r, dy: tuple(
        a.astype(r[0].dtype)
        for a in lstm_backward(
            tuple(a.astype(narrow.f16) for a in r),
            jax.tree.map(lambda a: a.astype(narrow.f16), dy),
        )
    ),
    "The backward runs in float16.",
    ("float32",),
)
lstm.wrong(
    "cell_cotangent_lost",
    (0, 1, 2, 3, 4),
    functools.partial(lstm_backward, cell=False),
    "The last cell state's cotangent is dropped.",
)
lstm.wrong(
    "gates_in_another_order",
    (0, 1, 3, 4),
    functools.partial(lstm_backward, order="ifog"),
    "The candidate and the output gate are exchanged.",
)
lstm.wrong(
    "tanh_of_cell_missing",
    (0, 1, 2, 3, 4),
    functools.partial(lstm_backward, tanh=False),
    "1 - tanh²(c) is missing.",
)
lstm.wrong(
    "new_cell_for_old",
    (0, 1, 3, 4),
    functools.partial(lstm_backward, forget="new"),
    "c_t for c_{t-1} in the forget gate.",
)
lstm.wrong(
    "bias_left_out",
    (0, 1, 2, 3, 4),
    functools.partial(lstm_backward, b_zero=True),
    "The recomputation leaves the bias out.",
)
lstm.wrong(
    "bias_left_out_at_0",
    (0, 1, 2, 3, 4),
    functools.partial(lstm_backward, b_zero=True),
    "The recomputation leaves the bias out, which starts at 0.",
    args=lambda d: (*lstm_args(d)[:4], jnp.zeros(12, d)),
    visible_at="other values",
    elsewhere=lstm_args,
)

# GRU cell


def gru_f(x, h, w, u):
    a, b = x @ w, h @ u
    z, r = jax.nn.sigmoid(a[:3] + b[:3]), jax.nn.sigmoid(a[3:6] + b[3:6])
    n = jnp.tanh(a[6:] + r * b[6:])
    return (1 - z) * n + z * h


def gru_args(dtype):
    return (
        normal(dtype, 2),
        normal(dtype, 3, seed=1),
        normal(dtype, 2, 9, seed=2),
        normal(dtype, 3, 9, seed=3),
    )


def gru_backward(s, dy, direct=True, reset=True, sign=1, inner=True):
    x, h, w, u = s
    a, b = x @ w, h @ u
    z, r = jax.nn.sigmoid(a[:3] + b[:3]), jax.nn.sigmoid(a[3:6] + b[3:6])
    n = jnp.tanh(a[6:] + r * b[6:])
    dn = dy * (1 - z) * (1 - n * n)
    dz = sign * dy * (h - n) * z * (1 - z)
    dr = dn * b[6:] * r * (1 - r) if reset else jnp.zeros_like(dn)
    da, db = (
        jnp.concatenate([dz, dr, dn]),
        jnp.concatenate([dz, dr, dn * r if inner else dn]),
    )
    dh = u @ db + (dy * z if direct else 0)
    return w @ da, dh, jnp.outer(x, da), jnp.outer(h, db)


gru = Family("gru_cell", gru_f, gru_args)
gru.right("three_gates", gru_backward)
gru.wrong(
    "direct_path_missing",
    1,
    functools.partial(gru_backward, direct=False),
    "z dy is missing in dh.",
)
gru.wrong(
    "reset_gate_constant",
    (0, 1, 2, 3),
    functools.partial(gru_backward, reset=False),
    "The reset gate gets no gradient.",
)
gru.wrong(
    "update_gate_sign",
    (0, 1, 2, 3),
    functools.partial(gru_backward, sign=-1),
    "n - h for h - n.",
)
gru.wrong(
    "reset_missing_in_candidate",
    (1, 3),
    functools.partial(gru_backward, inner=False),
    "r is missing on the recurrent side.",
)

# a diagonal linear recurrence h = a h + x


def diagonal_f(a, x):
    return lax.scan(lambda h, v: ((a * h + v),) * 2, jnp.zeros_like(a), x)[1]


def diagonal_backward(r, dy, shift=1, conjugate=True):
    (a, _), hs = r
    _, dx = lax.scan(
        lambda s, d: ((d + a * s),) * 2, jnp.zeros_like(a), dy, reverse=True
    )
    old = jnp.concatenate([jnp.zeros_like(hs[:1]), hs[:-1]]) if shift else hs
    return (dx * old).sum(0), dx


diagonal = Family(
    "linear_recurrence",
    diagonal_f,
    lambda d: (uniform(d, 3, low=0.3, high=0.9), normal(d, 6, 3)),
    save="xy",
)
diagonal.right("reverse_scan", diagonal_backward)
diagonal.right(
    "associative_scan",
    lambda r, dy: (lambda dx: ((dx * jnp.pad(r[1][:-1], ((1, 0), (0, 0)))).sum(0), dx))(
        jnp.flip(
            lax.associative_scan(
                lambda p, q: (p[0] * q[0], q[0] * p[1] + q[1]),
                (jnp.broadcast_to(r[0][0], dy.shape), jnp.flip(dy, 0)),
            )[1],
            0,
        )
    ),
)
diagonal.wrong(
    "state_of_this_step",
    0,
    functools.partial(diagonal_backward, shift=0),
    "h_t for h_{t-1}.",
)
diagonal.wrong(
    "forward_in_time",
    (0, 1),
    lambda r, dy: (lambda dx: ((dx * jnp.pad(r[1][:-1], ((1, 0), (0, 0)))).sum(0), dx))(
        diagonal_f(r[0][0], dy)
    ),
    "The adjoint runs forward in time.",
)

average = Family(
    "moving_average",
    lambda x: lax.scan(lambda m, v: ((0.9 * m + 0.1 * v),) * 2, x[0], x)[1],
    lambda d: (normal(d, 7),),
)


def average_backward(r, dy, first=True):
    carry, dx = lax.scan(
        lambda s, d: (0.9 * (s + d), 0.1 * (s + d)),
        jnp.zeros_like(dy[0]),
        dy,
        reverse=True,
    )
    return (dx.at[0].add(carry) if first else dx,)


average.right("reverse_scan", average_backward)
average.wrong(
    "start_forgotten",
    0,
    functools.partial(average_backward, first=False),
    "x₀ is also the starting value.",
)
average.wrong(
    "decay_swapped",
    0,
    lambda r, dy: (
        lax.scan(
            lambda s, d: (0.1 * (s + d), 0.9 * (s + d)),
            jnp.zeros_like(dy[0]),
            dy,
            reverse=True,
        )[1],
    ),
    "0.1 and 0.9 exchanged.",
)
average.imprecise(
    "carried_in_bfloat16",
    0,
    lambda r, dy: (lambda c, d: (d.at[0].add(c).astype(dy.dtype),))(
        *lax.scan(
            lambda s, d: (0.9 * (s + d), 0.1 * (s + d)),
            jnp.zeros((), narrow.bf16),
            dy.astype(narrow.bf16),
            reverse=True,
        )
    ),
    "The adjoint state is bfloat16.",
    ("float32",),
)
