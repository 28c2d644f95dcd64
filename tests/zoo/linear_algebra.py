"""Matrix products."""

import functools

import jax
import jax.numpy as jnp
from jax import lax

from tests.zoo.case import (
    WIDE,
    Family,
    array,
    narrow,
    normal,
    without,
)

# dense layer

P = {"weight": "args[0]['weight']", "bias": "args[0]['bias']"}


def dense_f(params, x):
    return x @ params["weight"] + params["bias"]


def dense_args(dtype, n=3, i=5, o=4, bias=1.0):
    return {
        "weight": normal(dtype, i, o),
        "bias": bias * normal(dtype, o, seed=1),
    }, normal(dtype, n, i, seed=2)


def dense_backward(
    r, dy, dw=lambda x, dy: x.T @ dy, db=lambda dy: dy.sum(0), dx=lambda w, dy: dy @ w.T
):
    params, x = r
    return {"weight": dw(x, dy), "bias": db(dy)}, dx(params["weight"], dy)


dense = Family("dense", dense_f, dense_args)
dense.right("matmul", dense_backward)
dense.right(
    "einsum",
    functools.partial(
        dense_backward,
        dw=functools.partial(jnp.einsum, "ni,no->io"),
        db=functools.partial(jnp.einsum, "no->o"),
        dx=functools.partial(jnp.einsum, "io,no->ni"),
    ),
)
dense.right(
    "ones_times_dy",
    functools.partial(
        dense_backward, db=lambda dy: jnp.ones((len(dy),), dy.dtype) @ dy
    ),
)
dense.right(
    "vmapped_outer_products",
    functools.partial(
        dense_backward, dw=lambda x, dy: jax.vmap(jnp.outer)(x, dy).sum(0)
    ),
)
dense.right(
    "fori_loop",
    functools.partial(
        dense_backward,
        dw=lambda x, dy: lax.fori_loop(
            0,
            len(x),
            lambda n, s: s + jnp.outer(x[n], dy[n]),
            jnp.zeros((x.shape[1], dy.shape[1]), x.dtype),
        ),
    ),
)
dense.right(
    "float32_accumulation",
    lambda r, dy: jax.tree.map(
        lambda a: a.astype(dy.dtype),
        dense_backward(
            jax.tree.map(lambda a: a.astype(narrow.f32), r), dy.astype(narrow.f32)
        ),
    ),
    "Widened inside.",
    dtypes=("float32", "bfloat16", "float16"),
)
dense.wrong(
    "square_weight_not_transposed",
    1,
    functools.partial(dense_backward, dx=lambda w, dy: dy @ w),
    "W for Wᵀ; the shapes agree on a square.",
    args=lambda d: dense_args(d, 3, 5, 5),
)
dense.wrong(
    "symmetric_weight_not_transposed",
    1,
    functools.partial(dense_backward, dx=lambda w, dy: dy @ w),
    "W for Wᵀ, and the given W is symmetric.",
    args=lambda d: (
        {"weight": array(d, (1.0, 2.0), (2.0, -0.5)), "bias": array(d, 0.3, 0.1)},
        normal(d, 3, 2),
    ),
    visible_at="other values",
    elsewhere=lambda d: dense_args(d, 3, 2, 2),
)
dense.wrong(
    "square_input_not_transposed",
    P["weight"],
    functools.partial(dense_backward, dw=lambda x, dy: x @ dy),
    "x for xᵀ; batch and width are equal.",
    args=lambda d: dense_args(d, 5, 5, 4),
)
dense.wrong(
    "bias_averaged",
    P["bias"],
    functools.partial(dense_backward, db=lambda dy: dy.mean(0)),
    "Mean over the batch.",
)
dense.wrong(
    "bias_summed_over_features",
    P["bias"],
    functools.partial(dense_backward, db=lambda dy: dy.sum(1)),
    "The wrong axis; batch and width are equal.",
    args=lambda d: dense_args(d, 4, 5, 4),
)
dense.wrong(
    "bias_of_first_row",
    P["bias"],
    functools.partial(dense_backward, db=lambda dy: dy[0]),
    "Only the first example.",
)
dense.wrong(
    "bias_of_first_row_at_batch_1",
    P["bias"],
    functools.partial(dense_backward, db=lambda dy: dy[0]),
    "Only the first example, of one.",
    args=lambda d: dense_args(d, 1),
    visible_at="other shape",
    elsewhere=dense_args,
)
dense.wrong(
    "weight_over_batch",
    P["weight"],
    functools.partial(dense_backward, dw=lambda x, dy: x.T @ dy / len(x)),
    "1/N though the loss averages already.",
)
dense.wrong(
    "bias_in_dx",
    1,
    lambda r, dy: (dense_backward(r, dy)[0], (dy + r[0]["bias"]) @ r[0]["weight"].T),
    "The bias is added to dy.",
)
dense.wrong(
    "bias_in_dx_at_zero",
    1,
    lambda r, dy: (
        dense_backward(r, dy)[0],
        dy @ r[0]["weight"].T + r[0]["bias"].sum(),
    ),
    "The bias is added, and is 0.",
    args=lambda d: dense_args(d, bias=0.0),
    visible_at="other values",
    elsewhere=dense_args,
)
dense.wrong(
    "one_weight_of_30000",
    P["weight"],
    functools.partial(
        dense_backward, dw=lambda x, dy: (x.T @ dy).at[137, 61].add(0.01)
    ),
    "One entry has an added 0.01.",
    args=lambda d: dense_args(d, 3, 300, 100),
    dtypes=WIDE,
)
dense.imprecise(
    "summed_in_bfloat16",
    P["bias"],
    functools.partial(
        dense_backward,
        db=lambda dy: lax.scan(
            lambda s, row: (s + row, None),
            jnp.zeros(dy.shape[1], narrow.bf16),
            dy.astype(narrow.bf16),
        )[0].astype(dy.dtype),
    ),
    "A running sum in bfloat16.",
    ("float32",),
    args=lambda d: dense_args(d, 200),
)

# plain and batched products

matmul = Family(
    "matmul", jnp.matmul, lambda d: (normal(d, 3, 5), normal(d, 5, 4, seed=1))
)
matmul.right("transposes", lambda r, dy: (dy @ r[1].T, r[0].T @ dy))
matmul.right(
    "dot_general",
    lambda r, dy: (
        lax.dot_general(dy, r[1], (((1,), (1,)), ((), ()))),
        lax.dot_general(r[0], dy, (((0,), (0,)), ((), ()))),
    ),
)
matmul.right(
    "million_times",
    lambda r, dy: (1e6 * (dy @ r[1].T), 1e6 * (r[0].T @ dy)),
    forward=lambda a, b: (1e6 * (a @ b), (a, b)),
    dtypes=("float32", "float64", "bfloat16"),
)
matmul.wrong(
    "swapped_on_squares",
    (0, 1),
    lambda r, dy: (r[0].T @ dy, dy @ r[1].T),
    "dA and dB exchanged; all are square.",
    args=lambda d: (normal(d, 4, 4), normal(d, 4, 4, seed=1)),
)
matmul.wrong(
    "order",
    1,
    lambda r, dy: (dy @ r[1].T, (dy @ r[0]).T),
    "(dy A)ᵀ for Aᵀ dy.",
    args=lambda d: (normal(d, 4, 4), normal(d, 4, 4, seed=1)),
)
matmul.imprecise(
    "bfloat16_operands",
    (0, 1),
    lambda r, dy: tuple(
        v.astype(dy.dtype)
        for v in (
            dy.astype(narrow.bf16) @ r[1].astype(narrow.bf16).T,
            r[0].astype(narrow.bf16).T @ dy.astype(narrow.bf16),
        )
    ),
    "Both operands are rounded to bfloat16.",
    ("float32",),
)


def batched_backward(r, dy, collect=lambda w: w.sum(0)):
    a, b = r
    return dy @ b.T, collect(jnp.swapaxes(a, -1, -2) @ dy)


batched = Family(
    "matmul_broadcast",
    jnp.matmul,
    lambda d: (normal(d, 2, 3, 5), normal(d, 5, 4, seed=1)),
)
batched.right("sum_over_the_batch", batched_backward)
batched.right(
    "flattened", lambda r, dy: (dy @ r[1].T, r[0].reshape(-1, 5).T @ dy.reshape(-1, 4))
)
batched.wrong(
    "first_of_the_batch",
    1,
    functools.partial(batched_backward, collect=lambda w: w[0]),
    "Only the first matrix.",
)
batched.wrong(
    "mean",
    1,
    functools.partial(batched_backward, collect=lambda w: w.mean(0)),
    "Mean for sum.",
)
batched.wrong(
    "flattened_in_the_wrong_order",
    1,
    lambda r, dy: (
        dy @ r[1].T,
        r[0].transpose(1, 0, 2).reshape(-1, 5).T @ dy.reshape(-1, 4),
    ),
    "Rows of x and dy are paired in different orders.",
)

# bilinear and quadratic forms

quadratic = Family(
    "quadratic_form",
    lambda x, a: x @ a @ x,
    lambda d: (normal(d, 4), normal(d, 4, 4, seed=1)),
)
quadratic.right(
    "symmetrised",
    lambda r, dy: (dy * (r[1] + r[1].T) @ r[0], dy * jnp.outer(r[0], r[0])),
)
quadratic.right(
    "both_products",
    lambda r, dy: (
        dy * (r[1] @ r[0]) + dy * (r[0] @ r[1]),
        dy * r[0][:, None] * r[0][None, :],
    ),
)
quadratic.wrong(
    "symmetry_assumed",
    0,
    lambda r, dy: (2 * dy * (r[1] @ r[0]), dy * jnp.outer(r[0], r[0])),
    "2Ax for (A + Aᵀ)x.",
)
quadratic.wrong(
    "symmetry_assumed_and_given",
    0,
    lambda r, dy: (2 * dy * (r[1] @ r[0]), dy * jnp.outer(r[0], r[0])),
    "2Ax for (A + Aᵀ)x, and A is symmetric.",
    args=lambda d: (normal(d, 2), array(d, (2.0, 0.5), (0.5, 1.0))),
    visible_at="other values",
    elsewhere=lambda d: (normal(d, 2), normal(d, 2, 2, seed=1)),
)
quadratic.wrong(
    "one_side_only",
    0,
    lambda r, dy: (dy * (r[1] @ r[0]), dy * jnp.outer(r[0], r[0])),
    "x is constant on the left.",
)

outer = Family("outer", jnp.outer, lambda d: (normal(d, 3), normal(d, 5, seed=1)))
outer.right("matvec", lambda r, dy: (dy @ r[1], r[0] @ dy))
outer.wrong("row_sums", 0, lambda r, dy: (dy.sum(1), r[0] @ dy), "v is missing in du.")
outer.wrong(
    "swapped_on_a_square",
    (0, 1),
    lambda r, dy: (r[0] @ dy, dy @ r[1]),
    "du and dv exchanged.",
    args=lambda d: (normal(d, 4), normal(d, 4, seed=1)),
)


def lora_f(w, a, b, x):
    return x @ (w + 0.5 * a @ b)


def lora_backward(r, dy, alpha=0.5, adapter=True):
    w, a, b, x = r
    dw = x.T @ dy
    return (
        dw,
        alpha * dw @ b.T,
        alpha * a.T @ dw,
        dy @ (w + alpha * a @ b if adapter else w).T,
    )


lora = Family(
    "lora",
    lora_f,
    lambda d: (
        normal(d, 5, 4),
        normal(d, 5, 2, seed=1),
        normal(d, 2, 4, seed=2),
        normal(d, 3, 5, seed=3),
    ),
)
lora.right("full_weight", lora_backward)
lora.right(
    "low_rank",
    lambda r, dy: (
        r[3].T @ dy,
        0.5 * r[3].T @ (dy @ r[2].T),
        0.5 * (r[3] @ r[1]).T @ dy,
        dy @ r[0].T + 0.5 * (dy @ r[2].T) @ r[1].T,
    ),
)
lora.wrong(
    "adapter_missing_in_dx",
    3,
    functools.partial(lora_backward, adapter=False),
    "dx passes the frozen weight only.",
)
lora.wrong(
    "adapter_missing_at_b_0",
    3,
    functools.partial(lora_backward, adapter=False),
    "dx passes the frozen weight only, and B starts at 0.",
    args=lambda d: (*lora.args(d)[:2], jnp.zeros((2, 4), d), lora.args(d)[3]),
    visible_at="other values",
    elsewhere=lora.args,
)
lora.wrong(
    "scale_forgotten",
    (1, 2, 3),
    functools.partial(lora_backward, alpha=1.0),
    "The adapter's scale is missing.",
)
lora.wrong(
    "frozen_weight_none",
    0,
    without(lora_backward, 0),
    "None for the base weight, which has a gradient.",
)
