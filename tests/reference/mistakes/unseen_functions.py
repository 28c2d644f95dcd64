"""Planted last, before the statement of causes was made more careful: functions.

Written with their labels in one sitting and not run until that work was done.
"""

from functools import partial

import jax.numpy as jnp
import numpy as np

from tests.reference.mistakes.case import UNSEEN, normal, whole
from tests.reference.mistakes.case import Planted as AnyPlanted

Planted = partial(AnyPlanted, planted=UNSEEN)


# Binary cross-entropy on logits with a weight on the positives


def binary_args():
    return normal(5, 3, seed=231), normal(5, 3, seed=232) > 0


def binary_forward(z, t):
    s = 1 / (1 + jnp.exp(-z))
    t = t.astype(z.dtype)
    losses = -(2.5 * t * jnp.log(s) + (1 - t) * jnp.log(1 - s))  # @b_loss
    return losses.mean(), (s, t)


def binary_backward(r, dy, wrong=""):
    s, t = r
    positive, negative = 2.5 * t * (s - 1), (1 - t) * s
    if wrong == "weight":
        positive = t * (s - 1)
    if wrong == "negative":
        negative = jnp.zeros_like(s)
    if wrong == "both":
        negative = 2.5 * negative
    size = s.shape[0] if wrong == "batch" else s.size
    dloss = 1.0 if wrong == "dy" else dy
    return (positive + negative) / size * dloss, None


binary = Planted("binary_loss", __file__, binary_forward, binary_args)
binary.right("as_it_is", binary_backward)
binary.wrong(
    "weight_of_the_positives_forgotten",
    "C4 C8",
    ["path: @b_loss scaled 2/5", "path: @b_loss scaled 0.4"],
    partial(binary_backward, wrong="weight"),
)
binary.wrong(
    "negatives_lost",
    "C2 C8",
    ["path: @b_loss missing", "mask: args[1]"],
    partial(binary_backward, wrong="negative"),
)
binary.wrong(
    "negatives_weighted_too",
    "C4 C8",
    ["path: @b_loss scaled 5/2", "path: @b_loss scaled 2.5"],
    partial(binary_backward, wrong="both"),
)
binary.wrong(
    "divided_by_the_batch",
    "C4",
    ["scale: args[0].shape[1]", "scale: args[1].shape[1]"],
    partial(binary_backward, wrong="batch"),
)
binary.wrong(
    "dloss_ignored", "C1", ["cotangent: ones"], partial(binary_backward, wrong="dy")
)

# Class weights: a mean weighted by the label


def weighted_args():
    return normal(7, 4, seed=233), whole(7, seed=235, below=4)


def weighted_forward(z, labels):
    m = z.max(1, keepdims=True)
    logp = z - m - jnp.log(jnp.exp(z - m).sum(1, keepdims=True))
    w = jnp.asarray([0.6, 1.7, 0.9, 1.3], z.dtype)[labels]
    picked = jnp.take_along_axis(logp, labels[:, None], 1)[:, 0]
    return -(w * picked).sum() / w.sum(), (logp, labels, w)


def weighted_backward(r, dy, wrong=""):
    logp, labels, w = r
    onehot = (labels[:, None] == jnp.arange(logp.shape[1])[None]).astype(w.dtype)
    total = w.shape[0] if wrong == "count" else w.sum()
    w = jnp.ones_like(w) if wrong == "weights" else w
    sign = -1.0 if wrong == "sign" else 1.0
    return sign * (jnp.exp(logp) - onehot) * w[:, None] / total * dy, None


weighted = Planted("weighted_classes", __file__, weighted_forward, weighted_args)
weighted.right("as_it_is", weighted_backward)
weighted.wrong(
    "weights_forgotten",
    "C8",
    ["factor: missing residuals[2]", "residual: residuals[2]"],
    partial(weighted_backward, wrong="weights"),
)
weighted.wrong("sign", "C3", ["sign: all"], partial(weighted_backward, wrong="sign"))

# Quantile loss, hinge with a margin


def quantile_args():
    return normal(5, 3, seed=237), normal(5, 3, seed=238)


def quantile_forward(y, t):
    e = t - y
    return jnp.where(e > 0, 0.3 * e, -0.7 * e).sum(1), e  # @q_branches


def quantile_backward(e, dy, low=0.3, high=0.7):
    de = jnp.where(e > 0, low, -high) * dy[:, None]
    return -de, de


quantile = Planted("quantile", __file__, quantile_forward, quantile_args)
quantile.right("as_it_is", quantile_backward)
quantile.wrong(
    "levels_exchanged",
    "C11",
    ["edit: @q_branches", "branch: @q_branches"],
    partial(quantile_backward, low=0.7, high=0.3),
)
quantile.wrong("target_with_the_sign_of_y", "C3", ["sign: all"], lambda e, dy: (
    quantile_backward(e, dy)[0], quantile_backward(e, dy)[0]))  # fmt: skip


def margin_forward(s, is_positive):
    sign = jnp.where(is_positive, 1.0, -1.0).astype(s.dtype)
    m = 1 - sign * s
    return jnp.maximum(m, 0).mean(), (m, sign)  # @m_max


margin = Planted(
    "margin",
    __file__,
    margin_forward,
    lambda: (normal(7, 3, seed=239), normal(7, 3, seed=240) > 0),
)
margin.wrong(
    "not_cut_off",
    "C11",
    ["factor: missing derivative of max", "branch: @m_max", "mask: residuals[0] > 0"],
    lambda r, dy: (-r[1] * dy / r[0].size, None),
)

# Contrastive: every row against every column


def pairs_forward(a, b):
    s = a @ b.T
    rows = jnp.log(jnp.exp(s).sum(1))
    columns = jnp.log(jnp.exp(s).sum(0))  # @p_columns
    match = jnp.diagonal(s)
    return (rows + columns - 2 * match).mean(), (a, b, s)  # @p_loss


def pairs_backward(r, dy, columns=1.0, match=2.0):
    a, b, s = r
    e = jnp.exp(s)
    ds = e / e.sum(1, keepdims=True) + columns * e / e.sum(0, keepdims=True)
    ds = (ds - match * jnp.eye(len(a))) / len(a) * dy
    return ds @ b, ds.T @ a


pairs = Planted(
    "pairs",
    __file__,
    pairs_forward,
    lambda: (normal(5, 3, seed=241), normal(5, 3, seed=242)),
)
pairs.right("as_it_is", pairs_backward)
pairs.wrong(
    "columns_lost",
    "C2",
    ["path: @p_columns missing"],
    partial(pairs_backward, columns=0.0),
)
pairs.wrong(
    "match_counted_once",
    "C4",
    ["path: @p_loss scaled 1/2"],
    partial(pairs_backward, match=1.0),
)

# A vector shortened to a length; a distance; a power of a matrix


def short_forward(x):
    n = jnp.sqrt((x**2).sum(1, keepdims=True))  # @s_norm
    y = 0.7 * x / n  # @s_div
    return y, (x, n)


def short_backward(r, dy, wrong=""):
    x, n = r
    inner = (x * dy).sum(1, keepdims=True) / n**2
    if wrong == "constant":
        return (0.7 * dy / n,)
    return (0.7 * (dy - x * inner) / n,)


short = Planted("shortened", __file__, short_forward, lambda: (normal(5, 3, seed=243),))
short.right("as_it_is", short_backward)
short.wrong(
    "norm_held_constant",
    "C2",
    ["path: @s_norm missing"],
    partial(short_backward, wrong="constant"),
)


def cube_forward(a, v):
    one = a @ v  # @cube_one
    two = a @ one  # @cube_two
    return two, (a, v, one)


def cube_backward(r, dy, wrong=""):
    a, v, one = r
    done = (a if wrong == "plain" else a.T) @ dy
    da = jnp.outer(dy, one) if wrong == "one" else jnp.outer(dy, one)
    if wrong != "one":
        da = da + jnp.outer(done, v)
    return da.T if wrong == "turned" else da, a.T @ done


cube = Planted(
    "applied_twice",
    __file__,
    cube_forward,
    lambda: (normal(5, 5, seed=244, scale=0.5), normal(5, seed=245)),
)
cube.right("as_it_is", cube_backward)
cube.wrong(
    "first_use_lost",
    "C7 C2",
    ["path: @cube_one missing", "uses: args[0]"],
    partial(cube_backward, wrong="one"),
)
cube.wrong(
    "da_transposed",
    "C6",
    ["axis: transposed"],
    partial(cube_backward, wrong="turned"),
)

# Orders: sorted rows, every second entry, the last valid row


def sorted_forward(x):
    order = jnp.argsort(x, axis=1)
    return jnp.take_along_axis(x, order, axis=1), order


sorting = Planted("sorted", __file__, sorted_forward, lambda: (normal(5, 7, seed=246),))
sorting.right(
    "as_it_is",
    lambda order, dy: (jnp.take_along_axis(dy, jnp.argsort(order, axis=1), axis=1),),
)
sorting.wrong(
    "put_in_order_again",
    "C6",
    ["residual: residuals", "axis:", "edit:"],
    lambda order, dy: (jnp.take_along_axis(dy, order, axis=1),),
)


def second_forward(x):
    return x[:, ::2], x


second = Planted(
    "every_second", __file__, second_forward, lambda: (normal(5, 8, seed=247),)
)
second.wrong(
    "put_one_further",
    "C6",
    ["axis: rolled axis 1 by 1"],
    lambda x, dy: (jnp.zeros_like(x).at[:, 1::2].set(dy),),
)

# Softplus with a temperature, complex modulus, log-cosh


def soft_forward(x, beta):
    return jnp.log(1 + jnp.exp(beta * x)) / beta, (x, beta)


def soft_backward(r, dy, wrong=""):
    x, beta = r
    s = 1 / (1 + jnp.exp(-x if wrong == "inside" else -beta * x))
    first = (dy * s * x / beta).sum()
    second = (dy * jnp.log(1 + jnp.exp(beta * x)) / beta**2).sum()
    return dy * s, first - (0 if wrong == "division" else second)


soft = Planted(
    "temperature",
    __file__,
    soft_forward,
    lambda: (normal(5, 3, seed=248), jnp.float32(1.6)),
)
soft.right("as_it_is", soft_backward)
soft.wrong(
    "division_held_constant",
    "C2",
    ["path: missing"],
    partial(soft_backward, wrong="division"),
)


def modulus_args():
    return (normal(5, 3, seed=249) + 1j * normal(5, 3, seed=250),)


modulus = Planted(
    "modulus",
    __file__,
    lambda z: ((z * z.conj()).real, z),
    modulus_args,
)
modulus.right("as_it_is", lambda z, dy: (2 * z.conj() * dy,))
modulus.wrong(
    "not_conjugated",
    "C15",
    ["conjugate: all", "residual: conjugate"],
    lambda z, dy: (2 * z * dy,),
)

logcosh = Planted(
    "log_cosh",
    __file__,
    lambda x: (jnp.log(jnp.cosh(x)).sum(1), x),
    lambda: (normal(5, 7, seed=251),),
)
logcosh.wrong(
    "sum_of_dy",
    "C1 C5",
    ["cotangent: sum", "cotangent: mean", "edit:"],
    lambda x, dy: (jnp.tanh(x) * dy.sum(),),
)
logcosh.wrong(
    "x_for_its_tanh",
    "C9",
    [
        "residual: residuals should be tanh(residuals)",
        "residual: args[0] tanh(args[0])",
    ],
    lambda x, dy: (x * dy[:, None],),
)

# NumPy: a two-layer network, products that write into what they were given


def mlp_forward(x, w, v):
    a = np.asarray(x) @ np.asarray(w)  # @n_a
    h = np.tanh(a)  # @n_tanh
    return h @ np.asarray(v), (x, w, v, a, h)


def mlp_backward(r, dy, wrong=""):
    x, w, v, a, h = map(np.asarray, r)
    da = (dy @ v.T) * (1 - (a if wrong == "before" else h) ** 2)
    dv = x.T @ dy if wrong == "input" else h.T @ dy
    if wrong == "lost":
        da = dy @ v.T
    return da @ w.T, x.T @ da, dv


mlp = Planted(
    "numpy_mlp",
    __file__,
    mlp_forward,
    lambda: (normal(7, 3, seed=252), normal(3, 3, seed=253), normal(3, 2, seed=254)),
    traceable=False,
)
mlp.right("as_it_is", mlp_backward)
mlp.wrong(
    "pre_activation_for_activation",
    "C9",
    ["residual: residuals[3] should be residuals[4]"],
    partial(mlp_backward, wrong="before"),
)
mlp.wrong(
    "activation_derivative_lost",
    "C2",
    [
        "factor: missing derivative of tanh @n_tanh",
        "factor: missing 1 - residuals[4]^2",
    ],
    partial(mlp_backward, wrong="lost"),
)
mlp.wrong(
    "dv_from_the_input",
    "C9",
    ["residual: residuals[0] should be residuals[4]"],
    partial(mlp_backward, wrong="input"),
)


def outer_forward(a, b):
    return np.asarray(a)[:, None] * np.asarray(b)[None, :], (np.asarray(a), b)


outer = Planted(
    "numpy_outer",
    __file__,
    outer_forward,
    lambda: (normal(5, seed=255), normal(3, seed=256)),
    traceable=False,
)
outer.right("as_it_is", lambda r, dy: (dy @ np.asarray(r[1]), dy.T @ r[0]))
outer.wrong(
    "db_not_summed",
    "C5",
    ["sum: axis 0 missing"],
    lambda r, dy: (dy @ np.asarray(r[1]), dy * r[0][:, None]),
)
outer.wrong(
    "da_is_zero",
    "C14",
    ["zero: args[0]"],
    lambda r, dy: (np.zeros_like(r[0]), dy.T @ r[0]),
)

# Precision


def spread_forward(x):
    e = x - x.mean(1, keepdims=True)
    return jnp.sqrt((e**2).mean(1)), x


def spread_backward(x, dy):
    e = (x - x.mean(1, keepdims=True)).astype(jnp.bfloat16).astype(x.dtype)  # @sp_cast
    s = jnp.sqrt((e**2).mean(1))
    return (e / s[:, None] / x.shape[1] * dy[:, None],)


spread = Planted("spread", __file__, spread_forward, lambda: (normal(5, 7, seed=257),))
spread.wrong("centred_in_16_bits", "C12", ["precision: @sp_cast"], spread_backward)
