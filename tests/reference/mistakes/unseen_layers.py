"""Planted last, before the statement of causes was made more careful: layers.

Written with their labels in one sitting and not run until that work was done.
"""

from functools import partial

import jax.numpy as jnp
from jax import lax

from tests.reference.mistakes.case import UNSEEN, normal, whole
from tests.reference.mistakes.case import Planted as AnyPlanted

Planted = partial(AnyPlanted, planted=UNSEEN)


# Group norm: 2 groups of 3 channels


def group_args():
    return normal(5, 7, 6, seed=201), normal(6, seed=202, shift=1.0)


def group_forward(x, gamma):
    n, t, _ = x.shape
    z = x.reshape(n, t, 2, 3)
    xc = z - z.mean((1, 3), keepdims=True)  # @g_mean
    var = (xc**2).mean((1, 3), keepdims=True)  # @g_var
    inverse = 1 / jnp.sqrt(var + 1e-3)  # @g_inverse
    xhat = xc * inverse  # @g_hat
    return xhat.reshape(x.shape) * gamma[None, None, :], (xhat, inverse, gamma)


def group_backward(r, dy, axes=(1, 3), variance=1.0, batch=(0, 1)):
    xhat, inverse, gamma = r
    d = (dy * gamma[None, None, :]).reshape(xhat.shape)
    one = d.mean((1, 3), keepdims=True)
    two = (d * xhat).mean(axes, keepdims=True)  # @g_two
    dz = inverse * (d - one - variance * xhat * two)
    dgamma = (dy * xhat.reshape(dy.shape)).sum(batch)  # @g_gamma
    return dz.reshape(dy.shape), dgamma


group = Planted("group_norm", __file__, group_forward, group_args)
group.right("as_it_is", group_backward)
group.wrong(
    "variance_path_over_time_alone",
    "C6",
    ["edit: axis 1, 3 for 1 @g_two"],
    partial(group_backward, axes=(1,)),
)
group.wrong(
    "variance_path_cut",
    "C2",
    ["path: @g_var missing", "path: @g_inverse missing"],
    partial(group_backward, variance=0.0),
)
group.wrong(
    "dgamma_not_summed_over_the_batch",
    "C5",
    ["sum: axis 0 missing"],
    partial(group_backward, batch=1),
)

# A convolution along time, written tap by tap: 3 taps, 2 channels to 4


def taps_args():
    return normal(5, 7, 2, seed=203), normal(3, 2, 4, seed=204), normal(4, seed=205)


def taps_forward(x, k, b):
    t = x.shape[1] - 2
    y = sum(x[:, j : j + t] @ k[j] for j in range(3))
    return y + b[None, None, :], (x, k)


def taps_backward(r, dy, wrong=""):
    x, k = r
    t = dy.shape[1]
    dx = jnp.zeros_like(x)
    for j in range(2 if wrong == "tap" else 3):
        kernel = k[2 - j] if wrong == "flip" else k[j]
        dx = dx.at[:, j : j + t].add(dy @ kernel.T)
    dk = jnp.stack([jnp.einsum("ntc,ntd->cd", x[:, j : j + t], dy) for j in range(3)])
    db = dy.mean((0, 1)) if wrong == "mean" else dy.sum((0, 1))
    return dx, dk, db


taps = Planted("taps", __file__, taps_forward, taps_args)
taps.right("as_it_is", taps_backward)
taps.wrong(
    "kernel_reversed",
    "C6",
    ["residual: residuals[1] flipped along axis 0"],
    partial(taps_backward, wrong="flip"),
)
taps.wrong(
    "db_averaged",
    "C4 C5",
    ["scale: 1/", "edit: mean"],
    partial(taps_backward, wrong="mean"),
)
taps.wrong(
    "last_tap_forgotten",
    "C13 C2",
    ["path: missing"],
    partial(taps_backward, wrong="tap"),
)

# Means of overlapping windows: 3 wide, every 2


def windows_forward(x):
    n = (x.shape[1] - 3) // 2 + 1
    return sum(x[:, j : j + 2 * n - 1 : 2] for j in range(3)) / 3, x


def windows_backward(x, dy, divisor=3, add=True):
    n, dx = dy.shape[1], jnp.zeros_like(x)
    for j in range(3):
        at = dx.at[:, j : j + 2 * n - 1 : 2]
        dx = at.add(dy / divisor) if add else at.set(dy / divisor)
    return (dx,)


windows = Planted(
    "windows", __file__, windows_forward, lambda: (normal(5, 11, seed=206),)
)
windows.right("as_it_is", windows_backward)
windows.wrong(
    "divided_by_the_stride", "C4", ["scale: 3/2"], partial(windows_backward, divisor=2)
)
windows.wrong(
    "overlaps_overwritten", "C7", ["overwrite:"], partial(windows_backward, add=False)
)

# Causal attention, one head


def causal_args():
    return tuple(normal(2, 5, 3, seed=207 + k) for k in range(3))


def causal_forward(q, k, v):
    scale = q.shape[-1] ** -0.5
    s = jnp.einsum("ntd,nsd->nts", q, k) * scale  # @c_scores
    allowed = jnp.tril(jnp.ones((s.shape[1], s.shape[1]), bool))
    s = jnp.where(allowed[None], s, -1e9)
    e = jnp.exp(s - s.max(-1, keepdims=True))
    p = e / e.sum(-1, keepdims=True)  # @c_softmax
    return p @ v, (q, k, v, p)


def causal_backward(r, dy, wrong=""):
    q, k, v, p = r
    scale = q.shape[-1] ** -0.5
    dv = p @ dy if wrong == "dv" else jnp.swapaxes(p, 1, 2) @ dy  # @c_dv
    dp = jnp.einsum("ntd,nsd->nts", dy, v)
    ds = p * (dp - (p * dp).sum(1 if wrong == "keys" else -1, keepdims=True))  # @c_ds
    dq = jnp.einsum("nts,nsd->ntd", ds, k) * scale
    dk = jnp.einsum("nts,ntd->nsd", ds, q) * (1 if wrong == "scale" else scale)
    return dq, dk, dv


causal = Planted("causal", __file__, causal_forward, causal_args)
causal.right("as_it_is", causal_backward)
causal.wrong(
    "dk_without_scale",
    "C4",
    ["scale: sqrt(args[0].shape[2])", "scale: sqrt(args[1].shape[2])",
     "scale: sqrt(args[2].shape[2])"],
    partial(causal_backward, wrong="scale"),
)  # fmt: skip
causal.wrong(
    "dv_with_p_not_transposed",
    "C6",
    ["residual: residuals[3] transposed", "edit: @c_dv", "residual: @c_dv"],
    partial(causal_backward, wrong="dv"),
)
causal.wrong(
    "sum_over_the_queries",
    "C6",
    ["edit: axis 2 for 1 @c_ds"],
    partial(causal_backward, wrong="keys"),
)

# Rotary positions: pairs turned by an angle


def turn_args():
    return normal(5, 3, 2, seed=210), normal(5, seed=211)


def turn_forward(x, angle):
    c, s = jnp.cos(angle)[:, None], jnp.sin(angle)[:, None]
    a, b = x[..., 0], x[..., 1]
    y = jnp.stack([a * c - b * s, a * s + b * c], axis=-1)  # @t_turn
    return y, (x, c, s)


def turn_backward(r, dy, sign=1.0, path=1.0):
    x, c, s = r
    d, e = dy[..., 0], dy[..., 1]
    dx = jnp.stack([d * c + sign * e * s, e * c - sign * d * s], axis=-1)
    a, b = x[..., 0], x[..., 1]
    dangle = (e * (a * c - b * s) - path * d * (a * s + b * c)).sum(1)
    return dx, dangle


turn = Planted("turn", __file__, turn_forward, turn_args)
turn.right("as_it_is", turn_backward)
turn.wrong(
    "turned_forward_again",
    "C3",
    ["residual: residuals[2] should be -residuals[2]"],
    partial(turn_backward, sign=-1.0),
)
turn.wrong(
    "cosine_path_added",
    "C3",
    ["path: negated", "edit: a + b"],
    partial(turn_backward, path=-1.0),
)

# A gated unit, a gated recursion


def gate_args():
    return normal(5, 3, seed=212), normal(3, 4, seed=213), normal(3, 4, seed=214)


def gate_forward(x, u, w):
    g = 1 / (1 + jnp.exp(-(x @ u)))  # @gate
    h = x @ w
    return g * h, (x, u, w, g, h)


def gate_backward(r, dy, wrong=""):
    x, u, w, g, h = r
    da = dy * h if wrong == "derivative" else dy * h * g * (1 - g)
    dh = dy * h if wrong == "other" else dy * g
    return (
        da @ u.T if wrong == "lost" else da @ u.T + dh @ w.T,
        x.T @ da,
        x.T @ dh,
    )


gate = Planted("gate", __file__, gate_forward, gate_args)
gate.right("as_it_is", gate_backward)
gate.wrong(
    "derivative_of_the_gate_lost",
    "C2",
    ["factor: missing derivative", "factor: missing residuals[3] (1 - residuals[3])"],
    partial(gate_backward, wrong="derivative"),
)
gate.wrong(
    "dx_through_the_gate_alone",
    "C2 C7",
    ["path: missing"],
    partial(gate_backward, wrong="lost"),
)
gate.wrong(
    "h_for_the_gate",
    "C9",
    ["residual: residuals[4] should be residuals[3]"],
    partial(gate_backward, wrong="other"),
)


def leak_args():
    return normal(7, 3, seed=215), normal(3, seed=216)


def leak_forward(x, f):
    keep = 1 / (1 + jnp.exp(-f))

    def step(c, x_t):
        return keep * c + x_t, c  # @l_step

    last, before = lax.scan(step, jnp.full_like(f, 0.4), x)
    return jnp.concatenate([before[1:], last[None]]), (before, keep, last)


def leak_backward(r, dy, wrong=""):
    before, keep, last = r
    after = jnp.concatenate([before[1:], last[None]])

    def step(dc, at):
        c, dy_t = at
        d = dy_t if wrong == "time" else dc + dy_t
        return keep * d, (d, c * d)

    states = after if wrong == "state" else before
    start = jnp.zeros_like(keep)
    _, (dx, dkeep) = lax.scan(step, start, (states, dy), reverse=True)
    factor = 1.0 if wrong == "gate" else keep * (1 - keep)
    return dx, dkeep.sum(0) * factor


leak = Planted("leak", __file__, leak_forward, leak_args)
leak.right("as_it_is", leak_backward)
leak.wrong(
    "state_after_for_before",
    "C9",
    ["residual: residuals[0]"],
    partial(leak_backward, wrong="state"),
)
leak.wrong(
    "gate_derivative_forgotten",
    "C2",
    ["factor: missing derivative", "factor: missing residuals[1] (1 - residuals[1])"],
    partial(leak_backward, wrong="gate"),
)
leak.wrong(
    "no_gradient_through_time",
    "C2",
    ["path: @l_step missing"],
    partial(leak_backward, wrong="time"),
)

# An embedding that is scaled, and used again at the output


def tied_args():
    return normal(6, 3, seed=217), whole(5, seed=218, below=4)


def tied_forward(table, ids):
    h = jnp.sqrt(table.shape[1]).astype(table.dtype) * table[ids]  # @tied_in
    return h @ table.T, (table, ids, h)  # @tied_out


def tied_backward(r, dy, wrong=""):
    table, ids, h = r
    root = jnp.sqrt(table.shape[1]).astype(table.dtype)
    dh = dy @ table * (1 if wrong == "root" else root)
    into = jnp.zeros_like(table)
    into = into.at[ids].set(dh) if wrong == "set" else into.at[ids].add(dh)
    return (into if wrong == "lost" else into + dy.T @ h), None


tied = Planted("tied_embedding", __file__, tied_forward, tied_args)
tied.right("as_it_is", tied_backward)
tied.wrong(
    "output_use_lost",
    "C7",
    ["path: @tied_out missing", "uses: args[0]"],
    partial(tied_backward, wrong="lost"),
)
tied.wrong(
    "root_forgotten",
    "C4",
    ["path: @tied_in scaled 1/sqrt(args[0].shape[1])"],
    partial(tied_backward, wrong="root"),
)
tied.wrong(
    "repeated_ids_overwritten",
    "C7",
    ["overwrite:", "edit: add for set", "edit: += for ="],
    partial(tied_backward, wrong="set"),
)
