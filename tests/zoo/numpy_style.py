"""Course-style code: NumPy arrays, Python loops, += into a buffer, callbacks."""

import jax
import jax.numpy as jnp
import numpy as np

from tests.zoo.case import WIDE, Family, normal

# an affine layer, entry by entry


def affine_f(x, w, b):
    return x.reshape(len(x), -1) @ w + b


def affine_numpy(x, w, b):
    return np.asarray(x).reshape(len(x), -1) @ np.asarray(w) + np.asarray(b), (x, w, b)


def affine_args(dtype):
    return normal(dtype, 3, 2, 2), normal(dtype, 4, 5, seed=1), normal(dtype, 5, seed=2)


def affine_backward(r, dy, average=False, flat=True):
    x, w, b = (np.asarray(a) for a in r)
    dy = np.asarray(dy)
    dx, dw, db = np.zeros_like(x), np.zeros_like(w), np.zeros_like(b)
    for n in range(len(x)):
        dx[n] += (
            (w @ dy[n]).reshape(x[n].shape) if flat else (w @ dy[n]).reshape(2, 2).T
        )
        dw += np.outer(x[n].reshape(-1), dy[n])
        db += dy[n]
    return dx, dw / len(x) if average else dw, db


affine = Family("numpy_affine", affine_f, affine_args, WIDE, traceable=False)
NP = {"forward": affine_numpy, "primal": affine_f}
affine.right("loop", affine_backward, **NP)
affine.right(
    "matmul",
    lambda r, dy: (
        (dy @ r[1].T).reshape(r[0].shape),
        r[0].reshape(3, -1).T @ dy,
        dy.sum(0),
    ),
    **NP,
)
affine.wrong(
    "averaged_weight", 1, lambda r, dy: affine_backward(r, dy, True), "1/N.", **NP
)
affine.wrong(
    "reshaped_in_column_order",
    0,
    lambda r, dy: affine_backward(r, dy, flat=False),
    "The image is transposed.",
    **NP,
)
affine.wrong(
    "bias_of_last_row",
    2,
    lambda r, dy: (*affine_backward(r, dy)[:2], dy[-1]),
    "= for += on the bias.",
    **NP,
)

# softmax row by row


def softmax_f(x):
    return jax.nn.softmax(x, axis=-1)


def softmax_numpy(x):
    e = np.exp(np.asarray(x) - np.max(x, axis=-1, keepdims=True))
    y = e / e.sum(-1, keepdims=True)
    return y, y


def softmax_backward(y, dy, diagonal=True):
    dx = np.zeros_like(y)
    for n in range(len(y)):
        jacobian = (np.diag(y[n]) if diagonal else 0) - np.outer(y[n], y[n])
        dx[n] = jacobian @ np.asarray(dy[n])
    return (dx,)


softmax = Family(
    "numpy_softmax", softmax_f, lambda d: (normal(d, 3, 4),), WIDE, traceable=False
)
NPS = {"forward": softmax_numpy, "primal": softmax_f}
softmax.right("jacobian_per_row", softmax_backward, **NPS)
softmax.wrong(
    "diagonal_missing",
    0,
    lambda y, dy: softmax_backward(y, dy, False),
    "diag(p) is missing.",
    **NPS,
)
softmax.wrong(
    "first_row_for_all",
    0,
    lambda y, dy: (
        np.stack([softmax_backward(y[:1], d[None])[0][0] for d in np.asarray(dy)]),
    ),
    "The Jacobian of the first row.",
    **NPS,
)

# a network of one object's worth of state, two layers in NumPy


def network_f(params, x):
    h = jnp.maximum(x @ params["w1"] + params["b1"], 0)
    return h @ params["w2"]


def network_numpy(params, x):
    p = {k: np.asarray(v) for k, v in params.items()}
    a = np.asarray(x) @ p["w1"] + p["b1"]
    h = np.where(a > 0, a, 0)
    return h @ p["w2"], (p, np.asarray(x), a, h)


def network_args(dtype):
    params = {
        "w1": normal(dtype, 3, 4),
        "b1": normal(dtype, 4, seed=1),
        "w2": normal(dtype, 4, 2, seed=2),
    }
    return params, normal(dtype, 5, 3, seed=3)


def network_backward(r, dy, gate="a", weight="w2"):
    p, x, a, h = r
    dy = np.asarray(dy)
    dh = dy @ p["w2"].T
    da = dh * ((a if gate == "a" else dh) > 0) if gate else dh
    return {
        "w1": x.T @ da,
        "b1": da.sum(0),
        "w2": (h if weight == "w2" else a).T @ dy,
    }, da @ p["w1"].T


W1, B1, W2 = (f"args[0]['{k}']" for k in ("w1", "b1", "w2"))
network = Family("numpy_network", network_f, network_args, WIDE, traceable=False)
NPN = {"forward": network_numpy, "primal": network_f}
network.right("two_layers", network_backward, **NPN)
network.wrong(
    "gate_of_gradient",
    (W1, B1, 1),
    lambda r, dy: network_backward(r, dy, gate="dh"),
    "The gate looks at dh.",
    **NPN,
)
network.wrong(
    "no_gate",
    (W1, B1, 1),
    lambda r, dy: network_backward(r, dy, gate=None),
    "relu is not gated.",
    **NPN,
)
network.wrong(
    "pre_activation_in_w2",
    W2,
    lambda r, dy: network_backward(r, dy, weight="a"),
    "a for h in dW2.",
    **NPN,
)

# a forward behind a callback


def callback_f(x):
    shape = jax.ShapeDtypeStruct(x.shape, x.dtype)
    return jax.pure_callback(lambda v: np.sin(v) * np.exp(0.5 * v), shape, x)


callback = Family("callback", callback_f, lambda d: (normal(d, 6),), WIDE)
TRUE = {"primal": lambda x: jnp.sin(x) * jnp.exp(0.5 * x)}
callback.right(
    "product_rule",
    lambda r, dy: (dy * jnp.exp(0.5 * r[0]) * (jnp.cos(r[0]) + 0.5 * jnp.sin(r[0])),),
    **TRUE,
)
callback.wrong(
    "half_missing",
    0,
    lambda r, dy: (dy * jnp.exp(0.5 * r[0]) * (jnp.cos(r[0]) + jnp.sin(r[0])),),
    "The inner ½.",
    **TRUE,
)
callback.wrong(
    "cosine_only",
    0,
    lambda r, dy: (dy * jnp.exp(0.5 * r[0]) * jnp.cos(r[0]),),
    "The second term of the product rule.",
    **TRUE,
)
callback.wrong(
    "off_by_1e-4",
    0,
    lambda r, dy: (
        dy * jnp.exp(0.5 * r[0]) * (1.0001 * jnp.cos(r[0]) + 0.5 * jnp.sin(r[0])),
    ),
    "One term is 1e-4 too large.",
    **TRUE,
)
