"""Broadcasts, reductions and movements of axes."""

import jax.numpy as jnp
from jax import lax

from tests.zoo.case import (
    Family,
    first_of,
    mean_of,
    narrow,
    normal,
    ones_for,
    uniform,
    with_cotangent,
)

# bias of a column against a matrix

bias = Family(
    "bias_add", lambda x, b: x + b, lambda d: (normal(d, 4, 3), normal(d, 3, seed=1))
)
bias.right("sum", lambda r, dy: (dy, dy.sum(0)))
bias.right("ones_matmul", lambda r, dy: (dy, jnp.ones(dy.shape[0], dy.dtype) @ dy))
bias.wrong("mean", 1, lambda r, dy: (dy, dy.mean(0)), "Mean for sum.")
bias.wrong("first", 1, lambda r, dy: (dy, dy[0]), "Only the first row.")
bias.wrong("zeros", 1, lambda r, dy: (dy, jnp.zeros_like(r[1])), "Zeros.")
bias.wrong(
    "ones_for_dy",
    (0, 1),
    with_cotangent(lambda r, dy: (dy, dy.sum(0)), ones_for),
    "dy is ignored.",
)
bias.imprecise(
    "sum_in_bfloat16",
    1,
    lambda r, dy: (
        dy,
        lax.scan(
            lambda s, v: (s + v, None),
            jnp.zeros(3, narrow.bf16),
            dy.astype(narrow.bf16),
        )[0].astype(dy.dtype),
    ),
    "A running sum in bfloat16.",
    ("float32",),
    args=lambda d: (normal(d, 500, 3), normal(d, 3, seed=1)),
)
bias.imprecise(
    "sum_of_rounded_rows",
    1,
    lambda r, dy: (dy, dy.astype(narrow.f16).astype(dy.dtype).sum(0)),
    "dy is rounded to float16 first.",
    ("float32",),
)

outer_product = Family(
    "multiply_broadcast",
    lambda a, b: a[:, None] * b[None, :],
    lambda d: (normal(d, 4), normal(d, 3, seed=1)),
)
outer_product.right(
    "sums", lambda r, dy: ((dy * r[1]).sum(1), (dy * r[0][:, None]).sum(0))
)
outer_product.wrong(
    "factor_missing",
    0,
    lambda r, dy: (dy.sum(1), (dy * r[0][:, None]).sum(0)),
    "b is missing.",
)
outer_product.wrong(
    "factor_missing_at_ones",
    0,
    lambda r, dy: (dy.sum(1), (dy * r[0][:, None]).sum(0)),
    "b is missing, and is 1.",
    args=lambda d: (normal(d, 4), jnp.ones(3, d)),
    visible_at="other values",
    elsewhere=outer_product.args,
)
outer_product.wrong(
    "sum_after_product_of_means",
    1,
    lambda r, dy: ((dy * r[1]).sum(1), dy.sum(0) * r[0].sum()),
    "Σ dy Σ a for Σ dy a.",
)
outer_product.wrong(
    "sum_after_product_of_one",
    1,
    lambda r, dy: ((dy * r[1]).sum(1), dy.sum(0) * r[0].sum()),
    "Σ dy Σ a for Σ dy a, with one row.",
    args=lambda d: (normal(d, 1), normal(d, 3, seed=1)),
    visible_at="other shape",
    elsewhere=outer_product.args,
)

scale = Family(
    "scale_by_scalar",
    lambda x, s: x * s,
    lambda d: (normal(d, 3, 4), jnp.asarray(0.7, d)),
)
scale.right("sum_of_everything", lambda r, dy: (dy * r[1], jnp.vdot(dy, r[0])))
scale.wrong(
    "scalar_of_mean", 1, lambda r, dy: (dy * r[1], (dy * r[0]).mean()), "Mean for sum."
)
scale.wrong(
    "one_entry",
    1,
    lambda r, dy: (dy * r[1], (dy * r[0])[0, 0]),
    "Only the first entry.",
)
scale.wrong("none", 1, lambda r, dy: (dy * r[1], None), "None for the scalar.")

# reductions

total = Family("sum_of_squares", lambda x: (x * x).sum(1), lambda d: (normal(d, 3, 5),))
total.right("two_x", lambda r, dy: (2 * dy[:, None] * r[0],))
total.right("x_plus_x", lambda r, dy: ((lambda t: t + t)(r[0] * dy[:, None]),))
total.wrong("two", 0, lambda r, dy: (dy[:, None] * r[0],), "2 is missing.")
total.wrong(
    "cotangent_of_row_0",
    0,
    with_cotangent(lambda r, dy: (2 * dy[:, None] * r[0],), first_of),
    "dy[0] for all.",
)
total.wrong(
    "mean_cotangent",
    0,
    with_cotangent(lambda r, dy: (2 * dy[:, None] * r[0],), mean_of),
    "mean(dy) for all.",
)
total.wrong(
    "wrong_axis_on_a_square",
    0,
    lambda r, dy: (2 * dy[None, :] * r[0],),
    "dy runs along the other axis.",
    args=lambda d: (normal(d, 4, 4),),
)

weighted = Family(
    "weighted_mean",
    lambda x, w: (w * x).sum() / w.sum(),
    lambda d: (normal(d, 6), uniform(d, 6, seed=1, low=0.1)),
    save="xy",
)
weighted.right(
    "centred",
    lambda r, dy: (dy * r[0][1] / r[0][1].sum(), dy * (r[0][0] - r[1]) / r[0][1].sum()),
)
weighted.wrong(
    "normaliser_constant",
    1,
    lambda r, dy: (dy * r[0][1] / r[0][1].sum(), dy * r[0][0] / r[0][1].sum()),
    "Σw is taken for a constant.",
)
weighted.wrong(
    "divided_by_n",
    (0, 1),
    lambda r, dy: (dy * r[0][1] / 6, dy * (r[0][0] - r[1]) / 6),
    "n for Σw.",
)

masked_mean = Family(
    "masked_mean",
    lambda x, m: jnp.where(m, x, 0).sum() / jnp.maximum(m.sum(), 1).astype(x.dtype),
    lambda d: (normal(d, 6), jnp.array([True, False, True, True, False, True])),
)
masked_mean.right(
    "mask_over_count",
    lambda r, dy: (dy * r[1] / jnp.maximum(r[1].sum(), 1).astype(dy.dtype), None),
)
masked_mean.right(
    "nothing_kept",
    lambda r, dy: (dy * r[1] / jnp.maximum(r[1].sum(), 1).astype(dy.dtype), None),
    "An empty mask gives 0 and gradient 0.",
    args=lambda d: (normal(d, 3), jnp.zeros(3, bool)),
)
masked_mean.wrong(
    "all_counted",
    0,
    lambda r, dy: (dy * r[1] / r[1].size, None),
    "The size for the count.",
)
masked_mean.wrong(
    "all_counted_where_all_kept",
    0,
    lambda r, dy: (dy * r[1] / r[1].size, None),
    "The size for the count, and all are kept.",
    args=lambda d: (normal(d, 3), jnp.ones(3, bool)),
    visible_at="other values",
    elsewhere=masked_mean.args,
)
masked_mean.wrong(
    "mask_lost",
    0,
    lambda r, dy: (jnp.full_like(r[0], dy / 4), None),
    "Masked entries get a gradient.",
)
masked_mean.wrong(
    "nan_where_nothing_kept",
    0,
    lambda r, dy: (dy * r[1] / r[1].sum().astype(dy.dtype), None),
    "0/0 for an empty mask, which is not given.",
    visible_at="other values",
    elsewhere=lambda d: (normal(d, 3), jnp.zeros(3, bool)),
)

# moving axes

transpose = Family(
    "transpose", lambda x: x.transpose(1, 2, 0), lambda d: (normal(d, 2, 3, 5),)
)
transpose.right("inverse", lambda r, dy: (dy.transpose(2, 0, 1),))
transpose.right("einsum", lambda r, dy: (jnp.einsum("bca->abc", dy),))
transpose.wrong(
    "same_permutation_on_a_cube",
    0,
    lambda r, dy: (dy.transpose(1, 2, 0),),
    "The permutation for its inverse.",
    args=lambda d: (normal(d, 3, 3, 3),),
)
transpose.wrong(
    "reshaped", 0, lambda r, dy: (dy.reshape(2, 3, 5),), "reshape for transpose."
)

concatenate = Family(
    "concatenate",
    lambda a, b: jnp.concatenate([a, b], 1),
    lambda d: (normal(d, 3, 2), normal(d, 3, 4, seed=1)),
)
concatenate.right("slices", lambda r, dy: (dy[:, :2], dy[:, 2:]))
concatenate.right("split", lambda r, dy: tuple(jnp.split(dy, [2], axis=1)))
concatenate.wrong(
    "overlap",
    1,
    lambda r, dy: (dy[:, :2], dy[:, 1:5]),
    "The second slice starts one early.",
)
concatenate.wrong(
    "order_at_equal_sizes",
    (0, 1),
    lambda r, dy: (dy[:, 2:], dy[:, :2]),
    "The halves are exchanged.",
    args=lambda d: (normal(d, 3, 2), normal(d, 3, 2, seed=1)),
)

pad = Family(
    "pad", lambda x: jnp.pad(x, ((1, 2), (0, 3))), lambda d: (normal(d, 3, 4),)
)
pad.right("slice", lambda r, dy: (dy[1:-2, :-3],))
pad.wrong("off_by_one", 0, lambda r, dy: (dy[2:-1, :-3],), "The slice starts one late.")
pad.wrong(
    "low_for_high",
    0,
    lambda r, dy: (dy[1:-2, 3:],),
    "Padding is removed on the wrong side.",
)

roll = Family("roll", lambda x: jnp.roll(x, 2, 0), lambda d: (normal(d, 5),))
roll.right("back", lambda r, dy: (jnp.roll(dy, -2, 0),))
roll.wrong(
    "forward", 0, lambda r, dy: (jnp.roll(dy, 2, 0),), "Rolled in the same sense."
)
roll.wrong(
    "forward_at_half_the_size",
    0,
    lambda r, dy: (jnp.roll(dy, 2, 0),),
    "Rolled in the same sense, half-way round.",
    args=lambda d: (normal(d, 4),),
    visible_at="other shape",
    elsewhere=roll.args,
)

flip = Family("flip", lambda x: x[:, ::-1] * 3, lambda d: (normal(d, 2, 5),))
flip.right("flip", lambda r, dy: (3 * jnp.flip(dy, 1),))
flip.wrong("not_flipped", 0, lambda r, dy: (3 * dy,), "Not flipped.")
flip.wrong(
    "both_axes", 0, lambda r, dy: (3 * dy[::-1, ::-1],), "Both axes are flipped."
)

window = Family("slice", lambda x: x[1:6:2] ** 2, lambda d: (normal(d, 7),))
window.right(
    "scatter", lambda r, dy: (jnp.zeros_like(r[0]).at[1:6:2].set(2 * r[0][1:6:2] * dy),)
)
window.wrong(
    "stride_lost",
    0,
    lambda r, dy: (jnp.zeros_like(r[0]).at[1:4].set(2 * r[0][1:6:2] * dy),),
    "The stride is forgotten.",
)

differences = Family("diff", lambda x: x[1:] - x[:-1], lambda d: (normal(d, 8),))
differences.right("diff_of_padded", lambda r, dy: (-jnp.diff(jnp.pad(dy, 1)),))
differences.right(
    "two_adds", lambda r, dy: (jnp.zeros_like(r[0]).at[1:].add(dy).at[:-1].add(-dy),)
)
differences.wrong("sign", 0, lambda r, dy: (jnp.diff(jnp.pad(dy, 1)),), "The sign.")
differences.wrong(
    "left_neighbour_lost",
    0,
    lambda r, dy: (jnp.pad(dy, (1, 0)),),
    "Each x also enters the next difference.",
)
differences.wrong(
    "periodic",
    0,
    lambda r, dy: (lambda d: (jnp.roll(d, 1) - d,))(jnp.append(dy, dy[0])),
    "The ends are joined.",
)

contraction = Family(
    "einsum_three",
    lambda a, b, c: jnp.einsum("ij,jk,kl->il", a, b, c),
    lambda d: (normal(d, 2, 3), normal(d, 3, 4, seed=1), normal(d, 4, 5, seed=2)),
)


def contraction_backward(r, dy, middle="ij,il,kl->jk"):
    a, b, c = r
    return (
        jnp.einsum("il,jk,kl->ij", dy, b, c),
        jnp.einsum(middle, a, dy, c),
        jnp.einsum("ij,jk,il->kl", a, b, dy),
    )


contraction.right("einsum", contraction_backward)
contraction.right(
    "matmuls",
    lambda r, dy: (dy @ (r[1] @ r[2]).T, r[0].T @ dy @ r[2].T, (r[0] @ r[1]).T @ dy),
)
contraction.wrong(
    "middle_without_c",
    1,
    lambda r, dy: (
        contraction_backward(r, dy)[0],
        jnp.einsum("ij,il,kl->jk", r[0], dy, jnp.ones_like(r[2])),
        contraction_backward(r, dy)[2],
    ),
    "c is replaced by ones.",
)

# values and metadata together

stats = Family(
    "value_index_count",
    lambda x, n: {
        "top": x.max(),
        "where": x.argmax(),
        "sum": x.sum() * n.astype(x.dtype),
        "even": (n % 2) == 0,
    },
    lambda d: (normal(d, 6), jnp.array(3)),
)
stats.right(
    "float_outputs_only",
    lambda r, dy: (
        jnp.full_like(r[0], dy["sum"] * r[1].astype(r[0].dtype))
        .at[r[0].argmax()]
        .add(dy["top"]),
        None,
    ),
)
stats.wrong(
    "one_cotangent_lost",
    0,
    lambda r, dy: (jnp.full_like(r[0], dy["sum"] * r[1].astype(r[0].dtype)), None),
    "The maximum's cotangent is dropped.",
)
stats.wrong(
    "other_cotangent_lost",
    0,
    lambda r, dy: (jnp.zeros_like(r[0]).at[r[0].argmax()].add(dy["top"]), None),
    "The sum's cotangent is dropped.",
)
stats.wrong(
    "count_forgotten",
    0,
    lambda r, dy: (
        jnp.full_like(r[0], dy["sum"]).at[r[0].argmax()].add(dy["top"]),
        None,
    ),
    "n is missing.",
)
stats.wrong(
    "count_forgotten_at_1",
    0,
    lambda r, dy: (
        jnp.full_like(r[0], dy["sum"]).at[r[0].argmax()].add(dy["top"]),
        None,
    ),
    "n is missing, and is 1.",
    args=lambda d: (normal(d, 6), jnp.array(1)),
    visible_at="other values",
    elsewhere=stats.args,
)

pair = Family(
    "sum_and_product",
    lambda a, b: (a + b, a * b),
    lambda d: (normal(d, 4), normal(d, 4, seed=1)),
)
pair.right("both", lambda r, dy: (dy[0] + dy[1] * r[1], dy[0] + dy[1] * r[0]))
pair.wrong(
    "product_lost",
    (0, 1),
    lambda r, dy: (dy[0], dy[0]),
    "The second cotangent is dropped.",
)
pair.wrong(
    "sum_lost",
    1,
    lambda r, dy: (dy[0] + dy[1] * r[1], dy[1] * r[0]),
    "The first cotangent is dropped for b.",
)
pair.wrong(
    "cotangents_exchanged",
    (0, 1),
    lambda r, dy: (dy[1] + dy[0] * r[1], dy[1] + dy[0] * r[0]),
    "The cotangents are exchanged.",
)

unused = Family(
    "unused_argument",
    lambda x, y: jnp.sin(x),
    lambda d: (normal(d, 4), normal(d, 2, seed=1)),
)
unused.right("zeros", lambda r, dy: (dy * jnp.cos(r[0]), jnp.zeros_like(r[1])))
unused.right("none", lambda r, dy: (dy * jnp.cos(r[0]), None))
unused.wrong(
    "not_zero",
    1,
    lambda r, dy: (dy * jnp.cos(r[0]), r[1] * dy.sum()),
    "y does not enter.",
)
