"""Planted in gathers, pools, cumulative sums, recurrences, and several outputs."""

import jax.numpy as jnp

from tests.reference.mistakes.case import Planted, normal, whole

# Embedding


def ids():
    return normal(7, 3, seed=61), jnp.asarray([4, 1, 4, 0, 1, 4, 6, 2], jnp.int32)


def embedding_forward(table, ids):
    return table[ids], (table, ids)


embedding = Planted("embedding", __file__, embedding_forward, ids)
embedding.right("as_it_is", lambda r, dy: (jnp.zeros_like(r[0]).at[r[1]].add(dy), None))
embedding.wrong(
    "repeats_overwritten",
    "C7",
    ["overwrite: last", "edit: @embedding_set"],
    lambda r, dy: (jnp.zeros_like(r[0]).at[r[1]].set(dy), None),  # @embedding_set
)
embedding.wrong(
    "divided_by_the_count",
    "C4",
    ["overwrite: mean", "factor: multiplicity", "factor: count"],
    lambda r, dy: (
        jnp.zeros_like(r[0]).at[r[1]].add(dy)
        / jnp.maximum(jnp.zeros(7, dy.dtype).at[r[1]].add(1.0), 1)[:, None],
        None,
    ),
)
embedding.wrong(
    "row_of_padding_zeroed",
    "C8",
    ["zero: row 0", "zero: rows"],
    lambda r, dy: (jnp.zeros_like(r[0]).at[r[1]].add(dy).at[0].set(0), None),
)
embedding.wrong(
    "last_position_dropped",
    "C13",
    ["cotangent: last axis 0", "cotangent: axis 0"],
    lambda r, dy: (jnp.zeros_like(r[0]).at[r[1][:-1]].add(dy[:-1]), None),
)
embedding.wrong(
    "row_after",
    "C6",
    ["axis: rolled axis 0", "residual: residuals[1] + 1", "residual: shifted"],
    lambda r, dy: (jnp.zeros_like(r[0]).at[(r[1] + 1) % 7].add(dy), None),
)

# Max pool over windows of 3, stride 2: neighbours overlap


def pool_args():
    return (normal(2, 11, seed=62),)


def windows(x):
    n = (x.shape[1] - 3) // 2 + 1
    return jnp.stack([x[:, k : k + 2 * n - 1 : 2] for k in range(3)], axis=-1)


def pool_forward(x):
    w = windows(x)
    return jnp.max(w, axis=-1), (x, jnp.argmax(w, axis=-1))


def pool_backward(residuals, dy, write="add"):
    x, k = residuals
    at = k + 2 * jnp.arange(dy.shape[1])[None, :]
    rows = jnp.broadcast_to(jnp.arange(x.shape[0])[:, None], at.shape)
    place = jnp.zeros_like(x).at[rows, at]
    return (getattr(place, write)(dy),)


pool = Planted("max_pool", __file__, pool_forward, pool_args)
pool.right("as_it_is", pool_backward)
pool.wrong(
    "overlaps_overwritten",
    "C7",
    ["overwrite: last", "edit:"],
    lambda r, dy: pool_backward(r, dy, "set"),
)
pool.wrong(
    "average_pool_backward",
    "C9",
    ["contributions: average", "edit:"],
    lambda r, dy: (
        sum(
            jnp.zeros_like(r[0]).at[:, k : k + 2 * dy.shape[1] - 1 : 2].add(dy / 3)
            for k in range(3)
        ),
    ),
)
pool.wrong(
    "window_position_for_index",
    "C6",
    ["residual: residuals[1]", "where:"],
    lambda r, dy: (
        jnp.zeros_like(r[0])
        .at[jnp.broadcast_to(jnp.arange(2)[:, None], r[1].shape), r[1]]
        .add(dy),
    ),
)


# Row maximum: ties


def tied_args():
    return (jnp.asarray([[1.0, 3, 3, 2], [0, 5, 1, 2], [4, 4, 4, 1]], jnp.float32),)


def rowmax_forward(x):
    y = jnp.max(x, axis=-1)
    return y, (x, y)


rowmax = Planted("row_max", __file__, rowmax_forward, tied_args)
rowmax.wrong(
    "every_tie_gets_all",
    "C11",
    ["tie: all"],
    lambda r, dy: (jnp.where(r[0] == r[1][:, None], dy[:, None], 0),),
)
rowmax.wrong(
    "cotangent_not_masked",
    "C2 C8",
    ["mask: missing", "path: missing", "factor: missing", "contributions: all"],
    lambda r, dy: (jnp.broadcast_to(dy[:, None], r[0].shape),),
)

# Cumulative sum


def cumsum_forward(x):
    return jnp.cumsum(x, axis=1), x


cumsum = Planted("cumsum", __file__, cumsum_forward, lambda: (normal(3, 7, seed=63),))
cumsum.right(
    "as_it_is", lambda x, dy: (jnp.flip(jnp.cumsum(jnp.flip(dy, 1), axis=1), 1),)
)
cumsum.wrong(
    "forward_again",
    "C6",
    ["edit: @cumsum_again", "axis: flipped", "cotangent: flipped"],
    lambda x, dy: (jnp.cumsum(dy, axis=1),),  # @cumsum_again
)
cumsum.wrong(
    "last_not_counted",
    "C2",
    ["product: dy", "cotangent: shifted", "axis: rolled"],
    lambda x, dy: (jnp.flip(jnp.cumsum(jnp.flip(dy, 1), axis=1), 1) - dy,),
)

# A recurrent layer: h_t = tanh(x_t w + h_{t-1} u)


def rnn_args():
    return (
        normal(2, 5, 3, seed=64),
        normal(3, 7, seed=65, scale=0.5),
        normal(7, 7, seed=66, scale=0.4),
    )


def rnn_forward(x, w, u):
    h, hs = jnp.zeros((x.shape[0], u.shape[0]), x.dtype), []
    for t in range(x.shape[1]):
        h = jnp.tanh(x[:, t] @ w + h @ u)  # @rnn_h
        hs.append(h)
    hs = jnp.stack(hs, axis=1)
    return hs, (x, w, u, hs)


def rnn_backward(residuals, dy, carry=1.0, before=True, last=False, w_last=False):
    x, w, u, hs = residuals
    dx, dw, du = jnp.zeros_like(x), jnp.zeros_like(w), jnp.zeros_like(u)
    dh = jnp.zeros_like(hs[:, 0])
    zero = jnp.zeros_like(dh)
    steps = list(range(x.shape[1]))[::-1]
    for t in steps[1:] if last else steps:
        dz = (dy[:, t] + carry * dh) * (1 - hs[:, t] ** 2)
        h = (hs[:, t - 1] if t else zero) if before else hs[:, t]
        dx = dx.at[:, t].set(dz @ w.T)
        dw = x[:, t].T @ dz if w_last else dw + x[:, t].T @ dz
        du = du + h.T @ dz
        dh = dz @ u.T
    return dx, dw, du


rnn = Planted("rnn", __file__, rnn_forward, rnn_args)
rnn.right("as_it_is", rnn_backward)
rnn.wrong(
    "no_gradient_through_time",
    "C2",
    ["path: @rnn_h missing"],
    lambda r, dy: rnn_backward(r, dy, carry=0.0),
)
rnn.wrong(
    "this_step_for_the_one_before",
    "C9",
    ["residual: shifted", "residual: residuals[3]"],
    lambda r, dy: rnn_backward(r, dy, before=False),
)
rnn.wrong(
    "last_step_dropped",
    "C2 C13",
    ["cotangent: last axis 1", "cotangent: dropped"],
    lambda r, dy: rnn_backward(r, dy, last=True),
)
rnn.wrong(
    "dw_overwritten_at_each_step",
    "C7",
    ["uses: args[1]", "path: @rnn_h missing"],
    lambda r, dy: rnn_backward(r, dy, w_last=True),
)
rnn.wrong(
    "cotangent_of_last_step_alone",
    "C1",
    ["cotangent: last axis 1"],
    lambda r, dy: rnn_backward(r, dy.at[:, :-1].set(0)),
)

# Two outputs: the mean and the deviation of each row


def moments_forward(x):
    mean = jnp.mean(x, axis=1)
    std = jnp.sqrt(jnp.mean((x - mean[:, None]) ** 2, axis=1))
    return (mean, std), (x, mean, std)


def moments_backward(residuals, dy, first=1.0, second=1.0):
    x, mean, std = residuals
    dmean, dstd = dy
    n = x.shape[1]
    centred = (x - mean[:, None]) / (n * std[:, None])
    return (first * dmean[:, None] / n + second * dstd[:, None] * centred,)


moments = Planted(
    "moments", __file__, moments_forward, lambda: (normal(5, 7, seed=67),)
)
moments.right("as_it_is", moments_backward)
moments.wrong(
    "second_cotangent_lost",
    "C1",
    ["cotangent: lost y[1]", "cotangent: y[1] lost", "path: missing"],
    lambda r, dy: moments_backward(r, dy, second=0.0),
)
moments.wrong(
    "cotangents_swapped",
    "C3",
    ["cotangent: swapped"],
    lambda r, dy: moments_backward(r, dy[::-1]),
)
moments.wrong(
    "first_cotangent_twice",
    "C4",
    ["cotangent: y[0] doubled", "path: doubled", "cotangent: y[0] times 2"],
    lambda r, dy: moments_backward(r, dy, first=2.0),
)

# Reversal and concatenation


def joined_forward(a, b):
    return jnp.concatenate([a[:, ::-1], b], axis=1), (a, b)  # @joined_y


joined = Planted(
    "concatenate",
    __file__,
    joined_forward,
    lambda: (normal(3, 5, seed=68), normal(3, 5, seed=69)),
)
joined.right("as_it_is", lambda r, dy: (dy[:, :5][:, ::-1], dy[:, 5:]))
joined.wrong(
    "parts_exchanged",
    "C3",
    ["edit: @joined_y", "cotangent: blocks", "cotangent: rolled"],
    lambda r, dy: (dy[:, 5:][:, ::-1], dy[:, :5]),
)
joined.wrong(
    "not_reversed",
    "C6",
    ["axis: flipped", "edit: @joined"],
    lambda r, dy: (dy[:, :5], dy[:, 5:]),  # @joined
)
joined.wrong(
    "second_begins_too_early",
    "C6",
    ["cotangent: rolled", "axis: rolled", "cotangent: shifted"],
    lambda r, dy: (dy[:, :5][:, ::-1], dy[:, 4:-1]),
)

# Scatter by segment: mean of each segment


def segment_args():
    return normal(7, 3, seed=70), whole(7, seed=71, below=3)


def segment_forward(x, segments):
    total = jnp.zeros((3, x.shape[1]), x.dtype).at[segments].add(x)
    count = jnp.zeros(3, x.dtype).at[segments].add(1.0)
    return total / jnp.maximum(count, 1)[:, None], (segments, count)


segment = Planted("segment_mean", __file__, segment_forward, segment_args)
segment.right(
    "as_it_is",
    lambda r, dy: ((dy / jnp.maximum(r[1], 1)[:, None])[r[0]], None),
)
segment.wrong(
    "not_divided",
    "C4",
    ["factor: extra", "factor: missing", "residual: residuals[1]", "path: missing"],
    lambda r, dy: (dy[r[0]], None),
)
segment.wrong(
    "divided_by_all",
    "C4",
    ["residual: residuals[1]", "factor:"],
    lambda r, dy: ((dy / r[0].shape[0])[r[0]], None),
)
