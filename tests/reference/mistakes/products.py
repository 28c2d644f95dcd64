"""Planted in matrix products, attention, convolution, complex and symmetric rules."""

import jax
import jax.numpy as jnp
import numpy as np

from tests.reference.mistakes.case import Planted, normal

# Linear layer


def linear_args():
    return normal(7, 5, seed=40), normal(5, 3, seed=41), normal(3, seed=42)


def linear_forward(x, w, b):
    return x @ w + b[None, :], (x, w)


def linear_backward(residuals, dy):
    x, w = residuals
    return dy @ w.T, x.T @ dy, jnp.sum(dy, axis=0)


linear = Planted("linear", __file__, linear_forward, linear_args)
linear.right("as_it_is", linear_backward)
linear.wrong(
    "db_not_summed",
    "C5",
    ["sum: axis 0"],
    lambda r, dy: (*linear_backward(r, dy)[:2], dy),
)
linear.wrong(
    "db_with_kept_axis",
    "C5",
    ["shape: axis"],
    lambda r, dy: (*linear_backward(r, dy)[:2], jnp.sum(dy, axis=0, keepdims=True)),
)
linear.wrong(
    "dw_transposed",
    "C6",
    ["axis: transposed", "shape: transposed"],
    lambda r, dy: (dy @ r[1].T, dy.T @ r[0], jnp.sum(dy, axis=0)),
)
linear.wrong(
    "db_averaged",
    "C5 C4",
    ["scale: 1/args[0].shape[0]"],
    lambda r, dy: (*linear_backward(r, dy)[:2], jnp.mean(dy, axis=0)),
)
linear.wrong(
    "dw_of_last_row",
    "C7",
    ["cotangent: last axis 0", "overwrite: last"],
    lambda r, dy: (
        dy @ r[1].T,
        r[0][-1][:, None] * dy[-1][None, :],
        jnp.sum(dy, axis=0),
    ),
)
linear.wrong(
    "dw_averaged",
    "C4",
    ["scale: 1/args[0].shape[0]"],
    lambda r, dy: (dy @ r[1].T, r[0].T @ dy / dy.shape[0], jnp.sum(dy, axis=0)),
)
linear.wrong(
    "tail_rows_skipped",
    "C13",
    ["cotangent: axis 0", "zero: rows"],
    lambda r, dy: (dy @ r[1].T, r[0][:4].T @ dy[:4], jnp.sum(dy, axis=0)),
)
linear.wrong(
    "dx_of_last_row_lost",
    "C13",
    ["cotangent: axis 0", "zero: rows"],
    lambda r, dy: ((dy @ r[1].T).at[-1].set(0), r[0].T @ dy, jnp.sum(dy, axis=0)),
)
linear.wrong(
    "db_is_zero",
    "C14",
    ["zero: args[2]"],
    lambda r, dy: (*linear_backward(r, dy)[:2], None),
)
linear.wrong(
    "dx_is_zero",
    "C14",
    ["zero: args[0]"],
    lambda r, dy: (jnp.zeros_like(r[0]), *linear_backward(r, dy)[1:]),
)

# A square weight, where a transposition fits


def square_args():
    return normal(5, 3, seed=43), normal(3, 3, seed=44)


def square_forward(x, w):
    return x @ w, (x, w)


square = Planted("square_linear", __file__, square_forward, square_args)
square.wrong(
    "weight_not_transposed",
    "C6",
    ["residual: transposed", "edit: @square_dx"],
    lambda r, dy: (dy @ r[1], r[0].T @ dy),  # @square_dx
)
square.wrong(
    "dw_transposed",
    "C6",
    ["axis: transposed"],
    lambda r, dy: (dy @ r[1].T, dy.T @ r[0]),
)

# Two layers with a tanh between them, written as one rule


def mlp_args():
    return normal(7, 5, seed=45), normal(5, 3, seed=46), normal(3, 2, seed=47)


def mlp_forward(x, w1, w2):
    h = jnp.tanh(x @ w1)
    return h @ w2, (x, w1, w2, h)


def mlp_backward(residuals, dy):
    x, w1, w2, h = residuals
    dz = (dy @ w2.T) * (1 - h**2)
    return dz @ w1.T, x.T @ dz, h.T @ dy


mlp = Planted("two_layers", __file__, mlp_forward, mlp_args)
mlp.right("as_it_is", mlp_backward)


@mlp.wrong("pre_activation_saved", "C9", ["residual: residuals[3]"], forward=None)
def _mlp_pre(residuals, dy):
    x, w1, w2, h = residuals
    z = x @ w1
    dz = (dy @ w2.T) * (1 - z**2)
    return dz @ w1.T, x.T @ dz, h.T @ dy


@mlp.wrong("activation_derivative_lost", "C2", ["factor: missing", "path: missing"])
def _mlp_lost(residuals, dy):
    x, w1, w2, h = residuals
    dz = dy @ w2.T
    return dz @ w1.T, x.T @ dz, h.T @ dy


# A residual block: y = x + tanh(x w)


def block_args():
    return normal(7, 3, seed=48), normal(3, 3, seed=49)


def block_forward(x, w):
    h = jnp.tanh(x @ w)  # @block_h
    return x + h, (x, w, h)  # @block_y


def block_backward(residuals, dy):
    x, w, h = residuals
    dz = dy * (1 - h**2)
    return dy + dz @ w.T, x.T @ dz


block = Planted("residual_block", __file__, block_forward, block_args)
block.right("as_it_is", block_backward)


@block.wrong("skip_path_lost", "C2 C7", ["path: @block_y missing"])
def _block_skip(residuals, dy):
    x, w, h = residuals
    dz = dy * (1 - h**2)
    return dz @ w.T, x.T @ dz


@block.wrong(
    "branch_lost", "C2 C7", ["path: @block_h missing", "path: @block_y missing"]
)
def _block_branch(residuals, dy):
    return dy, block_backward(residuals, dy)[1]


block.wrong(
    "skip_path_twice",
    "C4",
    ["path: @block_y doubled"],
    lambda r, dy: (dy + block_backward(r, dy)[0], block_backward(r, dy)[1]),
)

# Attention of one head, causal


def attention_args():
    return tuple(normal(2, 5, 3, seed=50 + i) for i in range(3))


CAUSAL = np.tril(np.ones((5, 5), bool))


def causal(n):
    return jnp.asarray(np.tril(np.ones((n, n), bool)))[None]


def attention_forward(q, k, v):
    s = jnp.einsum("btd,bsd->bts", q, k) / np.sqrt(q.shape[-1]).astype(q.dtype)
    s = jnp.where(causal(q.shape[1]), s, -1e9)
    p = jax.nn.softmax(s, axis=-1)  # @attention_p
    return jnp.einsum("bts,bsd->btd", p, v), (q, k, v, p)


def attention_backward(residuals, dy, scale=True, diagonal=True):
    q, k, v, p = residuals
    dv = jnp.einsum("bts,btd->bsd", p, dy)
    dp = jnp.einsum("btd,bsd->bts", dy, v)
    inner = jnp.sum(p * dp, axis=-1, keepdims=True) if diagonal else 0
    ds = p * (dp - inner)
    if scale:
        ds = ds / np.sqrt(q.shape[-1]).astype(q.dtype)
    return jnp.einsum("bts,bsd->btd", ds, k), jnp.einsum("bts,btd->bsd", ds, q), dv


attention = Planted("attention", __file__, attention_forward, attention_args)
attention.right("as_it_is", attention_backward)
attention.wrong(
    "scale_forgotten",
    "C4",
    ["scale: sqrt args[0].shape[2]"],
    lambda r, dy: attention_backward(r, dy, scale=False),
)
attention.wrong(
    "softmax_diagonal_alone",
    "C2",
    ["path: @attention_p missing", "path: missing"],
    lambda r, dy: attention_backward(r, dy, diagonal=False),
)


@attention.wrong("dq_and_dk_swapped", "C3", ["swap: args[0] args[1]"])
def _attention_swap(residuals, dy):
    dq, dk, dv = attention_backward(residuals, dy)
    return dk, dq, dv


@attention.wrong(
    "dk_with_ds_not_transposed", "C6", ["edit: @attention_dk", "residual: transposed"]
)
def _attention_dk(residuals, dy):
    q, k, v, p = residuals
    dq, _, dv = attention_backward(residuals, dy)
    ds = p * (jnp.einsum("btd,bsd->bts", dy, v))
    ds = ds - p * jnp.sum(ds, axis=-1, keepdims=True)
    dk = jnp.einsum("bts,bsd->btd", ds, q)  # @attention_dk
    return dq, dk / np.sqrt(q.shape[-1]).astype(q.dtype), dv


@attention.wrong(
    "q_for_k",
    "C9",
    ["residual: residuals[0] residuals[1]", "residual: args[0] args[1]"],
)
def _attention_qk(residuals, dy):
    q, k, v, p = residuals
    _, dk, dv = attention_backward(residuals, dy)
    return attention_backward((k, q, v, p), dy)[0], dk, dv


# Convolution over one axis, no padding: y_bto = Σ_ki x_b,t+k,i w_kio


def conv_args():
    return normal(2, 11, 2, seed=53), normal(3, 2, 5, seed=54)


def conv_forward(x, w):
    n = x.shape[1] - w.shape[0] + 1
    y = sum(jnp.einsum("bti,io->bto", x[:, k : k + n], w[k]) for k in range(w.shape[0]))
    return y, (x, w)


def conv_backward(residuals, dy, flip=False, set_=False):
    x, w = residuals
    n = dy.shape[1]
    dx, dw = jnp.zeros_like(x), []
    for k in range(w.shape[0]):
        part = jnp.einsum("bto,io->bti", dy, w[-1 - k] if flip else w[k])
        at = dx.at[:, k : k + n]
        dx = at.set(part) if set_ else at.add(part)
        dw.append(jnp.einsum("bti,bto->io", x[:, k : k + n], dy))
    return dx, jnp.stack(dw)


conv = Planted("convolution", __file__, conv_forward, conv_args)
conv.right("as_it_is", conv_backward)
conv.wrong(
    "kernel_flipped",
    "C6",
    ["residual: flipped"],
    lambda r, dy: conv_backward(r, dy, flip=True),
)
conv.wrong(
    "dw_flipped",
    "C6",
    ["axis: flipped 0", "axis: flipped axis 0"],
    lambda r, dy: (conv_backward(r, dy)[0], conv_backward(r, dy)[1][::-1]),
)
conv.wrong(
    "overlaps_overwritten",
    "C7",
    ["overwrite: last", "uses: args[0] last"],
    lambda r, dy: conv_backward(r, dy, set_=True),
)
conv.wrong(
    "shifted_by_one",
    "C6",
    ["axis: rolled 1", "axis: rolled axis 1"],
    lambda r, dy: (
        jnp.roll(conv_backward(r, dy)[0], 1, axis=1),
        conv_backward(r, dy)[1],
    ),
)
conv.wrong(
    "dw_of_one_example",
    "C13",
    ["cotangent: axis 0"],
    lambda r, dy: (
        conv_backward(r, dy)[0],
        conv_backward((r[0][:1], r[1]), dy[:1])[1],
    ),
)

# A quadratic form; its matrix need not be symmetric


def form_args():
    return normal(5, seed=55), normal(5, 5, seed=56)


def form_forward(x, a):
    return x @ a @ x, (x, a)


form = Planted("quadratic_form", __file__, form_forward, form_args)
form.right(
    "as_it_is",
    lambda r, dy: (dy * (r[1] + r[1].T) @ r[0], dy * r[0][:, None] * r[0][None, :]),
)


@form.wrong(
    "as_if_symmetric",
    "C15 C2",
    ["residual: symmetric", "path: missing", "uses: args[0]"],
)
def _form_symmetric(residuals, dy):
    x, a = residuals
    return dy * 2 * (a @ x), dy * x[:, None] * x[None, :]


@form.wrong("one_use_of_x", "C7 C2", ["path: missing", "uses: args[0]"])
def _form_one(residuals, dy):
    x, a = residuals
    return dy * (a @ x), dy * x[:, None] * x[None, :]


@form.wrong("half_off_the_diagonal", "C15", ["symmetric: half off the diagonal"])
def _form_half(residuals, dy):
    x, a = residuals
    outer = dy * x[:, None] * x[None, :]
    da = jnp.where(jnp.eye(x.shape[0], dtype=bool), outer, outer / 2)
    return dy * (a + a.T) @ x, da


# Complex numbers: y = w z


def complex_args():
    z = np.asarray(normal(7, seed=57)) + 1j * np.asarray(normal(7, seed=58))
    w = np.asarray(normal(7, seed=59)) + 1j * np.asarray(normal(7, seed=60))
    return jnp.asarray(z, jnp.complex64), jnp.asarray(w, jnp.complex64)


def product_forward(z, w):
    return w * z, (z, w)


product = Planted("complex_product", __file__, product_forward, complex_args)
product.right("as_it_is", lambda r, dy: (r[1] * dy, r[0] * dy))
product.wrong(
    "conjugated",
    "C15",
    ["residual: conjugate", "residual: conj"],
    lambda r, dy: (jnp.conj(r[1]) * dy, r[0] * dy),
)
product.wrong(
    "result_conjugated",
    "C15",
    ["conjugate: all", "axis: conjugate"],
    lambda r, dy: (jnp.conj(r[1] * dy), r[0] * dy),
)
