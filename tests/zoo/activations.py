"""Elementwise activations."""

import functools

import jax
import jax.numpy as jnp

from tests.zoo.case import (
    Family,
    array,
    clipped,
    mean_of,
    narrow,
    normal,
    one_entry,
    uniform,
    with_cotangent,
    without,
)


def spread(dtype):
    return (normal(dtype, 5, 7, scale=2.0),)


def with_zeros(dtype):
    return (array(dtype, -2.0, 0.0, 1.5, 0.0, -0.25, 3.0, 0.0),)


def positive(dtype):
    return (uniform(dtype, 5, 7, low=0.1, high=2.0),)


# relu


def relu_by_mask(residuals, dy):
    (x,) = residuals
    return (jnp.where(x > 0, dy, 0),)


relu = Family("relu", lambda x: jnp.maximum(x, 0), spread)
relu.right("mask_of_input", relu_by_mask)
relu.right("mask_of_output", lambda y, dy: (dy * (y > 0).astype(dy.dtype),), save="y")
relu.right(
    "stored_boolean_mask",
    lambda mask, dy: (dy * mask,),
    forward=lambda x: (jax.nn.relu(x), x > 0),
)
relu.right(
    "heaviside",
    lambda residuals, dy: (dy * jnp.heaviside(residuals[0], jnp.zeros_like(dy)),),
)
for at_zero in (0.0, 0.5, 1.0):
    relu.right(
        f"convention_{at_zero}_at_zero",
        lambda r, dy, c=at_zero: (
            jnp.where(r[0] > 0, dy, jnp.where(r[0] == 0, c * dy, 0)),
        ),
        "Any slope from 0 to 1 is a subgradient at 0.",
        args=with_zeros,
        kink=True,
    )
relu.wrong(
    "slope_2_at_zero",
    0,
    lambda r, dy: (jnp.where(r[0] > 0, dy, jnp.where(r[0] == 0, 2 * dy, 0)),),
    "2 is no subgradient of relu at 0.",
    args=with_zeros,
)
relu.wrong(
    "slope_minus_1_at_zero",
    0,
    lambda r, dy: (jnp.sign(r[0]) * dy * (r[0] > 0) - dy * (r[0] == 0),),
    "-1 is no subgradient of relu at 0.",
    args=with_zeros,
)
relu.wrong(
    "mask_of_cotangent",
    0,
    lambda r, dy: (jnp.where(dy > 0, dy, 0),),
    "The mask is taken from dy, not from x.",
)
relu.wrong(
    "guided",
    0,
    lambda r, dy: (jnp.where((r[0] > 0) & (dy > 0), dy, 0),),
    "Guided backpropagation also drops negative cotangents.",
)
relu.wrong("no_mask", 0, lambda r, dy: (dy,), "The mask is missing.", args=spread)
relu.wrong(
    "no_mask_at_positive_inputs",
    0,
    lambda r, dy: (dy,),
    "The mask is missing, and every given input is positive.",
    args=positive,
    visible_at="other values",
    elsewhere=spread,
)
relu.wrong(
    "clipped_cotangent",
    0,
    with_cotangent(relu_by_mask, clipped),
    "dy is clipped to [-1, 1].",
)
relu.wrong(
    "one_in_ten_thousand",
    0,
    one_entry(relu_by_mask, 0, (37, 59), 1.01),
    "One entry of 10,000 is 1 % too large.",
    args=lambda dtype: (jnp.abs(normal(dtype, 100, 100)) + 1,),
)
relu.wrong(
    "one_in_a_million",
    0,
    one_entry(relu_by_mask, 0, 765_432, 0.0),
    "One entry of 1,000,000 is zero.",
    args=lambda dtype: (jnp.abs(normal(dtype, 1_000_000)) + 1,),
    dtypes=("float32",),
)

# leaky relu, a slope per call and a learned one

leaky = Family(
    "leaky_relu", functools.partial(jax.nn.leaky_relu, negative_slope=0.2), spread
)
leaky.right("where", lambda r, dy: (jnp.where(r[0] >= 0, dy, 0.2 * dy),))
leaky.right(
    "from_output",
    lambda y, dy: (dy * jnp.where(y > 0, 1.0, 0.2).astype(dy.dtype),),
    save="y",
)
leaky.right(
    "zero_belongs_left",
    lambda r, dy: (jnp.where(r[0] > 0, dy, 0.2 * dy),),
    "At 0 the slope 0.2 is as valid as 1.",
    args=with_zeros,
    kink=True,
)
leaky.wrong(
    "default_slope",
    0,
    lambda r, dy: (jnp.where(r[0] >= 0, dy, 0.01 * dy),),
    "The slope is the default 0.01, not the forward's 0.2.",
)
leaky.wrong(
    "slope_times_x",
    0,
    lambda r, dy: (jnp.where(r[0] >= 0, dy, 0.2 * r[0] * dy),),
    "The forward's branch is copied.",
)


def prelu_f(x, slope):
    return jnp.where(x > 0, x, slope * x)


def prelu_backward(residuals, dy):
    x, slope = residuals
    dx = jnp.where(x > 0, dy, slope * dy)
    return dx, jnp.sum(jnp.where(x > 0, 0, x * dy), axis=0)


def prelu_args(dtype):
    return normal(dtype, 6, 5), uniform(dtype, 5, seed=1, low=0.1, high=0.4)


prelu = Family("prelu", prelu_f, prelu_args)
prelu.right("where_then_sum", prelu_backward)
prelu.right(
    "minimum",
    lambda r, dy: (
        dy * jnp.where(r[0] > 0, jnp.ones_like(dy), r[1]),
        jnp.einsum("nd,nd->d", dy, jnp.minimum(r[0], 0)),
    ),
)
prelu.wrong(
    "slope_gradient_not_summed_but_averaged",
    1,
    lambda r, dy: (
        prelu_backward(r, dy)[0],
        jnp.mean(jnp.where(r[0] > 0, 0, r[0] * dy), axis=0),
    ),
    "Mean over the batch in place of the sum.",
)
prelu.wrong(
    "slope_gradient_unmasked",
    1,
    lambda r, dy: (prelu_backward(r, dy)[0], jnp.sum(r[0] * dy, axis=0)),
    "Positive inputs reach the slope's gradient.",
)
prelu.wrong(
    "no_slope_gradient",
    1,
    without(prelu_backward, 1),
    "None for a float argument with a gradient.",
)

# clip


def clip_args(dtype):
    return (normal(dtype, 4, 9, scale=2.0),)


clip = Family("clip", lambda x: jnp.clip(x, -1, 2), clip_args)
clip.right("gate", lambda r, dy: (dy * ((r[0] > -1) & (r[0] < 2)),))
clip.right(
    "closed_gate",
    lambda r, dy: (jnp.where((r[0] >= -1) & (r[0] <= 2), dy, 0),),
    "At the bounds 1 is a subgradient.",
    args=lambda dtype: (array(dtype, -1.0, 2.0, 0.5, -3.0, 4.0),),
    kink=True,
)
clip.right(
    "open_gate_at_the_bounds",
    lambda r, dy: (jnp.where((r[0] > -1) & (r[0] < 2), dy, 0),),
    "At the bounds 0 is a subgradient.",
    args=lambda dtype: (array(dtype, -1.0, 2.0, 0.5, -3.0, 4.0),),
    kink=True,
)
clip.wrong("no_gate", 0, lambda r, dy: (dy,), "The clamp is not gated.")
clip.wrong(
    "one_sided_gate",
    0,
    lambda r, dy: (jnp.where(r[0] < 2, dy, 0),),
    "The lower bound is not gated.",
)
clip.wrong(
    "no_gate_inside",
    0,
    lambda r, dy: (dy,),
    "The clamp is not gated, and no given input is clamped.",
    args=lambda dtype: (uniform(dtype, 3, 5, low=-0.9, high=1.9),),
    visible_at="other values",
    elsewhere=clip_args,
)
clip.wrong(
    "gate_at_shifted_bound",
    0,
    lambda r, dy: (jnp.where((r[0] > -2) & (r[0] < 2), dy, 0),),
    "The gate opens at -2, the clamp at -1.",
)

# hard swish

hard_swish = Family("hard_swish", jax.nn.hard_swish, spread)
hard_swish.right(
    "piecewise",
    lambda r, dy: (
        dy * jnp.where(r[0] < -3, 0, jnp.where(r[0] <= 3, r[0] / 3 + 0.5, 1)),
    ),
)
hard_swish.right(
    "product_rule",
    lambda r, dy: (dy * (jax.nn.relu6(r[0] + 3) / 6 + r[0] * (jnp.abs(r[0]) < 3) / 6),),
)
hard_swish.wrong(
    "gate_only",
    0,
    lambda r, dy: (dy * jax.nn.relu6(r[0] + 3) / 6,),
    "x times the derivative of the gate is missing.",
)
hard_swish.wrong(
    "sixth_for_third",
    0,
    lambda r, dy: (
        dy * jnp.where(r[0] < -3, 0, jnp.where(r[0] <= 3, r[0] / 6 + 0.5, 1)),
    ),
    "x/6 in place of x/3.",
)

# sigmoid


def sigmoid_from_output(y, dy):
    return (dy * y * (1 - y),)


def sigmoid_by_hand(x):
    e = jnp.exp(-jnp.abs(x))
    y = jnp.where(x >= 0, 1 / (1 + e), e / (1 + e))
    return y, y


sigmoid = Family("sigmoid", jax.nn.sigmoid, spread, save="y")
sigmoid.right("from_output", sigmoid_from_output)
sigmoid.right(
    "both_sides",
    lambda r, dy: (dy * jax.nn.sigmoid(r[0]) * jax.nn.sigmoid(-r[0]),),
    save="x",
)
sigmoid.right("stable_forward", sigmoid_from_output, forward=sigmoid_by_hand)
sigmoid.right(
    "cosh",
    lambda r, dy: (dy / (4 * jnp.cosh(r[0] / 2) ** 2),),
    save="x",
)
sigmoid.right(
    "both_sides_when_saturated",
    lambda r, dy: (dy * jax.nn.sigmoid(r[0]) * jax.nn.sigmoid(-r[0]),),
    "Far out the product of both sides keeps its relative accuracy.",
    save="x",
    args=lambda dtype: (array(dtype, 40.0, -40.0, 12.0, 0.5),),
)
sigmoid.right(
    "accumulated_in_float32",
    lambda y, dy: ((dy.astype(narrow.f32) * y * (1 - y)).astype(dy.dtype),),
    "Widened to float32 inside, as kernels do.",
    forward=lambda x: (
        jax.nn.sigmoid(x),
        jax.nn.sigmoid(x.astype(narrow.f32)),
    ),
    dtypes=("bfloat16", "float16", "float32"),
)
sigmoid.wrong(
    "pre_activation_for_output",
    0,
    lambda r, dy: (dy * r[0] * (1 - r[0]),),
    "y(1-y) is taken of x.",
    save="x",
)
sigmoid.wrong(
    "applied_twice",
    0,
    lambda y, dy: (dy * jax.nn.sigmoid(y) * (1 - jax.nn.sigmoid(y)),),
    "The sigmoid is applied to the output again.",
)
sigmoid.wrong(
    "tanh_formula", 0, lambda y, dy: (dy * (1 - y * y),), "The derivative of tanh."
)
sigmoid.wrong("plus", 0, lambda y, dy: (dy * y * (1 + y),), "1+y in place of 1-y.")
sigmoid.wrong(
    "constant_0.2500005",
    0,
    lambda y, dy: (dy * (0.2500005 - (y - 0.5) ** 2),),
    "Off by 5e-7 through a mistyped quarter.",
)
sigmoid.wrong(
    "mean_cotangent",
    0,
    with_cotangent(sigmoid_from_output, mean_of),
    "dy is replaced by its mean.",
)
sigmoid.imprecise(
    "rounded_output_near_1",
    0,
    sigmoid_from_output,
    "1 - y of a rounded y close to 1, where the forward's own derivative is exact.",
    ("float32", "float64", "bfloat16", "float16"),
    forward=lambda x: (jnp.exp(-jnp.log1p(jnp.exp(-x))), jax.nn.sigmoid(x)),
    args=lambda dtype: (uniform(dtype, 8, low=6.5, high=7.5),),
)
sigmoid.imprecise(
    "output_kept_in_bfloat16",
    0,
    lambda y, dy: (dy * y.astype(dy.dtype) * (1 - y.astype(dy.dtype)),),
    "The residual is rounded to bfloat16.",
    ("float32",),
    forward=lambda x: (jax.nn.sigmoid(x), jax.nn.sigmoid(x).astype(narrow.bf16)),
)
