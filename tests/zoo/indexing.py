"""Embedding, gather and scatter, sorting, cumulative sums and shapes."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from tests.zoo.case import (
    WIDE,
    Family,
    array,
    narrow,
    normal,
    uniform,
)

# embedding


def embedding_args(dtype):
    return normal(dtype, 7, 3), jnp.array([[2, 5, 2], [0, 2, 6]])


def unique_args(dtype):
    return normal(dtype, 7, 3), jnp.array([[1, 5], [0, 2]])


def embedding_backward(r, dy, mode="add", pad=None):
    table, ids = r
    if pad is not None:
        dy = jnp.where((ids == pad)[..., None], 0, dy)
    at = jnp.zeros_like(table).at[ids]
    return getattr(at, mode)(dy), None


embedding = Family("embedding", lambda table, ids: table[ids], embedding_args)
embedding.right("scatter_add", embedding_backward)
embedding.right(
    "one_hot_matmul",
    lambda r, dy: (
        jax.nn.one_hot(r[1].ravel(), 7, dtype=dy.dtype).T @ dy.reshape(-1, 3),
        None,
    ),
)
embedding.right(
    "segment_sum",
    lambda r, dy: (
        jax.ops.segment_sum(dy.reshape(-1, 3), r[1].ravel(), 7),
        np.zeros(r[1].shape, jax.dtypes.float0),
    ),
)
embedding.right(
    "scan",
    lambda r, dy: (
        lax.scan(
            lambda s, t: (s.at[t[0]].add(t[1]), None),
            jnp.zeros_like(r[0]),
            (r[1].ravel(), dy.reshape(-1, 3)),
        )[0],
        None,
    ),
)
embedding.wrong(
    "overwritten",
    0,
    functools.partial(embedding_backward, mode="set"),
    "Repeated ids overwrite.",
)
embedding.wrong(
    "overwritten_with_unique_ids",
    0,
    functools.partial(embedding_backward, mode="set"),
    "Repeated ids overwrite, and none is repeated.",
    args=unique_args,
    visible_at="other values",
    elsewhere=embedding_args,
)
embedding.wrong(
    "maximum_of_repeats",
    0,
    lambda r, dy: (jnp.zeros_like(r[0]).at[r[1]].max(dy), None),
    "max for add.",
)
embedding.wrong(
    "averaged_repeats",
    0,
    lambda r, dy: (
        embedding_backward(r, dy)[0]
        / jnp.maximum(jnp.bincount(r[1].ravel(), length=7), 1)[:, None].astype(
            dy.dtype
        ),
        None,
    ),
    "Divided by the count of each id.",
)
embedding.wrong(
    "padding_row_frozen",
    0,
    functools.partial(embedding_backward, pad=0),
    "Id 0 is taken for padding.",
)
embedding.wrong(
    "padding_row_frozen_unseen",
    0,
    functools.partial(embedding_backward, pad=3),
    "Id 3 is taken for padding, and does not occur.",
    args=embedding_args,
    visible_at="other values",
    elsewhere=lambda d: (normal(d, 7, 3), jnp.array([[3, 1]])),
)
embedding.wrong(
    "first_row_of_the_batch",
    0,
    lambda r, dy: embedding_backward((r[0], r[1][:1]), dy[:1]),
    "Only the first sequence.",
)
embedding.imprecise(
    "accumulated_in_bfloat16",
    0,
    lambda r, dy: (
        jnp.zeros(r[0].shape, narrow.bf16)
        .at[r[1]]
        .add(dy.astype(narrow.bf16))
        .astype(dy.dtype),
        None,
    ),
    "The table's gradient is bfloat16.",
    ("float32",),
)

# taking along an axis

take = Family(
    "take_along_axis",
    lambda x, i: jnp.take_along_axis(x, i, axis=1),
    lambda d: (normal(d, 3, 5), jnp.array([[0, 2, 2], [4, 4, 4], [1, 0, 3]])),
)


def take_backward(r, dy, mode="add"):
    x, i = r
    return getattr(jnp.zeros_like(x).at[jnp.arange(3)[:, None], i], mode)(dy), None


take.right("scatter_add", take_backward)
take.right(
    "one_hot",
    lambda r, dy: (
        jnp.einsum("nk,nkd->nd", dy, jax.nn.one_hot(r[1], 5, dtype=dy.dtype)),
        None,
    ),
)
take.wrong(
    "set",
    0,
    functools.partial(take_backward, mode="set"),
    "Repeated indices overwrite.",
)
take.wrong(
    "rows_and_columns",
    0,
    lambda r, dy: (
        jnp.zeros((5, 5), dy.dtype).at[r[1], jnp.arange(3)[:, None]].add(dy)[:3],
        None,
    ),
    "Index and row exchanged.",
)

# gathering edges, segment sums

segment = Family(
    "segment_mean",
    lambda x, s: (
        jax.ops.segment_sum(x, s, 3)
        / jnp.maximum(jnp.bincount(s, length=3), 1).astype(x.dtype)[:, None]
    ),
    lambda d: (normal(d, 6, 2), jnp.array([0, 0, 2, 2, 2, 0])),
)


def segment_backward(r, dy, count=True):
    n = jnp.maximum(jnp.bincount(r[1], length=3), 1).astype(dy.dtype)[:, None]
    return (dy / n if count else dy)[r[1]], None


segment.right("gather", segment_backward)
segment.wrong(
    "not_divided",
    0,
    functools.partial(segment_backward, count=False),
    "The gradient of the sum.",
)
segment.wrong(
    "divided_by_all",
    0,
    lambda r, dy: (dy[r[1]] / 6, None),
    "Divided by the total count.",
)
segment.wrong(
    "first_segment_for_all",
    0,
    lambda r, dy: segment_backward((r[0], r[1] * 0), dy),
    "Every row reads segment 0.",
)

scatter = Family(
    "scatter_add",
    lambda x, i, u: x.at[i].add(u),
    lambda d: (normal(d, 5), jnp.array([1, 3, 1]), normal(d, 3, seed=1)),
)
scatter.right("gather", lambda r, dy: (dy, None, dy[r[1]]))
scatter.wrong(
    "as_if_set",
    0,
    lambda r, dy: (dy.at[r[1]].set(0), None, dy[r[1]]),
    "The gradient of at[].set.",
)
scatter.wrong(
    "updates_in_order", 2, lambda r, dy: (dy, None, dy[:3]), "The index is ignored."
)

update = Family(
    "scatter_set",
    lambda x, i, u: x.at[i].set(u),
    lambda d: (normal(d, 5), jnp.array([1, 3, 0]), normal(d, 3, seed=1)),
)
update.right("zeros_at_the_index", lambda r, dy: (dy.at[r[1]].set(0), None, dy[r[1]]))
update.wrong(
    "overwritten_entries_keep_dy",
    0,
    lambda r, dy: (dy, None, dy[r[1]]),
    "Overwritten entries have no gradient.",
)

# sorting and selection

sort = Family("sort", lambda x: jnp.sort(x, axis=-1), lambda d: (normal(d, 3, 6),))


def sort_backward(r, dy):
    return (
        jnp.zeros_like(dy).at[jnp.arange(3)[:, None], jnp.argsort(r[0], -1)].set(dy),
    )


sort.right("scatter", sort_backward)
sort.right(
    "inverse_permutation",
    lambda r, dy: (
        jnp.take_along_axis(dy, jnp.argsort(jnp.argsort(r[0], -1), -1), -1),
    ),
)
sort.wrong(
    "permuted_forward",
    0,
    lambda r, dy: (jnp.take_along_axis(dy, jnp.argsort(r[0], -1), -1),),
    "The permutation for its inverse.",
)
sort.wrong(
    "permuted_forward_when_swapping",
    0,
    lambda r, dy: (jnp.take_along_axis(dy, jnp.argsort(r[0], -1), -1),),
    "The permutation for its inverse, which a swap does not show.",
    args=lambda d: (array(d, (2.0, 1.0, 3.0), (1.0, 3.0, 2.0)),),
    visible_at="other values",
    elsewhere=lambda d: (array(d, (2.0, 3.0, 1.0), (1.0, 3.0, 2.0)),),
)
sort.wrong(
    "descending", 0, lambda r, dy: sort_backward((-r[0],), dy), "Sorted the other way."
)
sort.wrong("passed_through", 0, lambda r, dy: (dy,), "The order is ignored.")
sort.wrong(
    "passed_through_when_sorted",
    0,
    lambda r, dy: (dy,),
    "The order is ignored, and the rows are sorted.",
    args=lambda d: (jnp.sort(normal(d, 3, 6)),),
    visible_at="other values",
    elsewhere=sort.args,
)


def top_f(x):
    values, index = lax.top_k(x, 2)
    return {"values": values, "index": index}


top = Family("top_k", top_f, lambda d: (normal(d, 3, 5),))
top.right(
    "scatter",
    lambda r, dy: (
        jnp.zeros_like(r[0])
        .at[jnp.arange(3)[:, None], lax.top_k(r[0], 2)[1]]
        .add(dy["values"]),
    ),
)
top.right(
    "one_hot",
    lambda r, dy: (
        jnp.einsum(
            "nk,nkd->nd",
            dy["values"],
            jax.nn.one_hot(r[1]["index"], 5, dtype=r[0][0].dtype),
        ),
    ),
    save="xy",
)
top.wrong(
    "first_only",
    0,
    lambda r, dy: (
        jnp.zeros_like(r[0])
        .at[jnp.arange(3), jnp.argmax(r[0], -1)]
        .add(dy["values"][:, 0]),
    ),
    "The second value's cotangent is lost.",
)
top.wrong(
    "first_columns",
    0,
    lambda r, dy: (jnp.zeros_like(r[0]).at[:, :2].add(dy["values"]),),
    "Scattered to the first columns.",
)

maximum = Family("max", lambda x: x.max(-1), lambda d: (normal(d, 4, 5),))


def tied_rows(dtype):
    return (tied_values(dtype),)


def tied_values(dtype):
    return array(dtype, (1.0, 3.0, 3.0), (2.0, 2.0, 2.0), (0.0, -1.0, -2.0))


def first_maximum(r, dy):
    (x,) = r
    return (jnp.zeros_like(x).at[jnp.arange(len(x)), x.argmax(-1)].set(dy),)


def every_maximum(r, dy, shared=True):
    (x,) = r
    hit = (x == x.max(-1, keepdims=True)).astype(dy.dtype)
    return (dy[:, None] * (hit / hit.sum(-1, keepdims=True) if shared else hit),)


maximum.right("argmax", first_maximum)
maximum.right("compare", every_maximum)
maximum.right(
    "first_of_a_tie",
    first_maximum,
    "One of the tied takes all.",
    args=tied_rows,
    kink=True,
)
maximum.right("tie_shared", every_maximum, "The tied share.", args=tied_rows, kink=True)
maximum.wrong(
    "tie_counted_twice",
    0,
    functools.partial(every_maximum, shared=False),
    "Each of the tied takes all.",
    args=tied_rows,
)
maximum.wrong(
    "tie_counted_twice_where_none",
    0,
    functools.partial(every_maximum, shared=False),
    "Each of the tied takes all, and none is tied.",
    args=maximum.args,
    visible_at="other values",
    elsewhere=tied_rows,
)
maximum.wrong(
    "first_row_for_all",
    0,
    lambda r, dy: (
        dy[:, None] * jax.nn.one_hot(jnp.argmax(r[0][0]), 5, dtype=dy.dtype),
    ),
    "The argmax of the first row.",
)
maximum.wrong(
    "absolute",
    0,
    lambda r, dy: first_maximum((jnp.abs(r[0]),), dy),
    "The largest modulus.",
)

median = Family("median", lambda x: jnp.median(x), lambda d: (normal(d, 6),), WIDE)
median.right(
    "middle_two",
    lambda r, dy: (jnp.zeros_like(r[0]).at[jnp.argsort(r[0])[2:4]].set(dy / 2),),
)
median.wrong(
    "lower_middle",
    0,
    lambda r, dy: (jnp.zeros_like(r[0]).at[jnp.argsort(r[0])[2]].set(dy),),
    "All to the lower of the two.",
)
median.wrong(
    "of_the_mean",
    0,
    lambda r, dy: (jnp.full_like(r[0], dy / 6),),
    "The gradient of the mean.",
)

# cumulative operations

cumsum = Family("cumsum", lambda x: jnp.cumsum(x), lambda d: (normal(d, 9),))
cumsum.right("flipped", lambda r, dy: (jnp.cumsum(dy[::-1])[::-1],))
cumsum.right(
    "reverse_scan",
    lambda r, dy: (
        lax.scan(lambda s, d: (s + d, s + d), jnp.zeros_like(dy[0]), dy, reverse=True)[
            1
        ],
    ),
)
cumsum.right(
    "triangular_matrix", lambda r, dy: (jnp.tril(jnp.ones((9, 9), dy.dtype)).T @ dy,)
)
cumsum.wrong(
    "not_reversed", 0, lambda r, dy: (jnp.cumsum(dy),), "Summed from the start."
)
cumsum.wrong(
    "exclusive",
    0,
    lambda r, dy: (jnp.cumsum(dy[::-1])[::-1] - dy,),
    "The entry's own cotangent is left out.",
)
cumsum.wrong(
    "flipped_once", 0, lambda r, dy: (jnp.cumsum(dy[::-1]),), "Not flipped back."
)
cumsum.imprecise(
    "running_sum_in_float16",
    0,
    lambda r, dy: (
        lax.scan(
            lambda s, d: (s + d, s + d),
            jnp.zeros((), narrow.f16),
            dy.astype(narrow.f16),
            reverse=True,
        )[1].astype(dy.dtype),
    ),
    "Accumulated in float16.",
    ("float32",),
    args=lambda d: (normal(d, 300),),
)

cumprod = Family(
    "cumprod", jnp.cumprod, lambda d: (uniform(d, 6, low=0.5, high=1.5),), save="xy"
)


def suffix(v):
    return jnp.cumsum(v[::-1])[::-1]


def cumprod_products(r, dy):
    x = r[0][0]
    n = len(x)
    i, j, k = (jnp.arange(n).reshape(s) for s in ((n, 1, 1), (1, n, 1), (1, 1, n)))
    factors = jnp.where((j <= i) & (j != k), x[None, :, None], 1)
    return (
        jnp.einsum(
            "i,ik->k", dy, jnp.prod(factors, 1) * (k <= i)[:, 0].astype(dy.dtype)
        ),
    )


cumprod.wrong(
    "nan_at_zero_unseen",
    0,
    lambda r, dy: (suffix(dy * r[1]) / r[0][0],),
    "0/0 where a factor is 0, and none is.",
    dtypes=WIDE,
    visible_at="other values",
    elsewhere=lambda d: (array(d, 2.0, 0.5, 0.0, 3.0, -1.0, 2.0),),
)
cumprod.right("products_without_one", cumprod_products)
cumprod.right(
    "products_at_zero",
    cumprod_products,
    "A factor is 0.",
    args=lambda d: (array(d, 2.0, 0.5, 0.0, 3.0, -1.0, 2.0),),
)
cumprod.wrong(
    "nan_at_zero",
    0,
    lambda r, dy: (suffix(dy * r[1]) / r[0][0],),
    "0/0 where a factor is 0.",
    args=lambda d: (array(d, 2.0, 0.5, 0.0, 3.0, -1.0, 2.0),),
)
cumprod.wrong(
    "not_divided",
    0,
    lambda r, dy: (suffix(dy * r[1]),),
    "x is missing in the denominator.",
)

product = Family(
    "prod", jnp.prod, lambda d: (uniform(d, 5, low=0.5, high=1.5),), save="xy"
)
product.right(
    "leave_one_out",
    lambda r, dy: (dy * jnp.stack([jnp.prod(jnp.delete(r[0], k)) for k in range(5)]),),
    save="x",
)
product.wrong(
    "nan_at_zero",
    0,
    lambda r, dy: (dy * r[1] / r[0][0],),
    "0/0 where a factor is 0.",
    args=lambda d: (array(d, 2.0, 0.0, 3.0, 0.5, 1.5),),
)
product.wrong(
    "nan_at_zero_unseen",
    0,
    lambda r, dy: (dy * r[1] / r[0][0],),
    "0/0 where a factor is 0, and none is.",
    args=product.args,
    visible_at="other values",
    elsewhere=lambda d: (array(d, 2.0, 0.0, 3.0, 0.5, 1.5),),
)
product.wrong(
    "zero_at_zero",
    0,
    lambda r, dy: (
        jnp.where(r[0][0] == 0, 0, dy * r[1] / jnp.where(r[0][0] == 0, 1, r[0][0])),
    ),
    "The zero factor's own gradient is not 0.",
    args=lambda d: (array(d, 2.0, 0.0, 3.0, 0.5, 1.5),),
)
