"""Overflow, underflow, large means and division by zero."""

import jax.numpy as jnp
from jax import lax

from tests.zoo.case import (
    ALL,
    WIDE,
    Family,
    array,
    clipped,
    normal,
    times,
    uniform,
    without,
)
from tests.zoo.numerics import between

# overflow and underflow of squares


def hypot_f(x, y):
    s = lax.stop_gradient(jnp.maximum(jnp.abs(x), jnp.abs(y)))
    return s * jnp.sqrt((x / s) ** 2 + (y / s) ** 2)


def hypot_squares(r, dy):
    x, y = r
    h = jnp.sqrt(x * x + y * y)
    return dy * x / h, dy * y / h


def hypot_args(scale):
    return lambda d: (normal(d, 6, scale=scale), normal(d, 6, seed=1, scale=scale))


hypot = Family("hypot", hypot_f, hypot_args(1.0))
hypot.right("squares", hypot_squares)
hypot.right(
    "from_output",
    lambda r, dy: (dy * (r[0][0] / r[1]), dy * (r[0][1] / r[1])),
    save="xy",
)
hypot.right(
    "huge",
    lambda r, dy: (dy * (r[0][0] / r[1]), dy * (r[0][1] / r[1])),
    save="xy",
    args=hypot_args(1e20),
    dtypes=("float32", "float64", "bfloat16"),
)
hypot.wrong(
    "squared",
    (0, 1),
    lambda r, dy: (dy * r[0][0] / r[1] ** 2, dy * r[0][1] / r[1] ** 2),
    "r² for r.",
    save="xy",
)
hypot.wrong(
    "absolute_values",
    (0, 1),
    lambda r, dy: tuple(map(jnp.abs, hypot_squares(r, jnp.abs(dy)))),
    "Signs are lost.",
)
hypot.imprecise(
    "overflow",
    (0, 1),
    hypot_squares,
    "x² overflows at 1e20.",
    ("float32", "bfloat16"),
    args=hypot_args(1e20),
)
hypot.imprecise(
    "overflow_in_float16",
    (0, 1),
    hypot_squares,
    "x² overflows at 1000.",
    ("float16",),
    args=hypot_args(1000.0),
)
hypot.imprecise(
    "underflow",
    (0, 1),
    hypot_squares,
    "x² underflows at 1e-25.",
    ("float32", "bfloat16"),
    args=hypot_args(1e-25),
)

quartic = Family("scaled_quartic", lambda x: (x / 128) ** 4, between(-60, 60))
quartic.right("scaled_first", times(lambda x: (x / 128) ** 3 / 32))
quartic.wrong(
    "scale_once", 0, times(lambda x: 4 * (x / 128) ** 3), "The inner 1/128 is missing."
)
quartic.imprecise(
    "cube_overflows",
    0,
    times(lambda x: x**3 * (4 / 128**4)),
    "x³ at 60 overflows in float16.",
    ("float16",),
)

mean = Family("mean_of_many", lambda x: jnp.mean(x), lambda d: (normal(d, 70_000),))
mean.right(
    "python_division",
    lambda r, dy: (jnp.full(r[0].shape, dy / r[0].size),),
    dtypes=("float32", "float64", "bfloat16"),
)
mean.wrong(
    "rounded_size",
    0,
    lambda r, dy: (jnp.full(r[0].shape, dy / 65_536),),
    "The next power of two for the size.",
)
mean.wrong(
    "last_entry",
    0,
    lambda r, dy: (jnp.full(r[0].shape, dy / r[0].size).at[-1].set(0),),
    "One of 70,000 entries gets nothing.",
)
mean.wrong(
    "tail_block",
    0,
    lambda r, dy: (jnp.full(r[0].shape, dy / r[0].size).at[69_888:].set(0),),
    "The tail beyond blocks of 256 gets nothing.",
)
mean.imprecise(
    "size_in_float16",
    0,
    lambda r, dy: (jnp.full(r[0].shape, dy / jnp.asarray(r[0].size, dy.dtype)),),
    "70,000 is infinite in float16.",
    ("float16",),
)

# statistics around a large mean

variance = Family("variance", jnp.var, lambda d: (normal(d, 300),))
variance.right("centred", lambda r, dy: (2 * dy * (r[0] - r[0].mean()) / r[0].size,))
variance.right(
    "mean_path_kept",
    lambda r, dy: (lambda c: (2 * dy * (c - c.mean()) / c.size,))(r[0] - r[0].mean()),
    "Σ(x-μ) = 0 is subtracted again.",
)
variance.wrong(
    "unbiased",
    0,
    lambda r, dy: (2 * dy * (r[0] - r[0].mean()) / (r[0].size - 1),),
    "1/(n-1) for 1/n.",
)
variance.wrong(
    "not_centred",
    0,
    lambda r, dy: (2 * dy * r[0] / r[0].size,),
    "The mean is taken for 0.",
)
variance.wrong(
    "not_centred_at_mean_0",
    0,
    lambda r, dy: (2 * dy * r[0] / r[0].size,),
    "The mean is taken for 0, and is.",
    args=lambda d: (array(d, 1.0, -1.0, 2.0, -2.0),),
    visible_at="other values",
    elsewhere=lambda d: (normal(d, 4),),
)
variance.imprecise(
    "sum_overflows_in_float16",
    0,
    lambda r, dy: (2 * dy * (r[0] - r[0].sum() / r[0].size) / r[0].size,),
    "Σx is 90,000 in float16.",
    ("float16",),
    args=lambda d: (normal(d, 300, shift=300.0, scale=9.0),),
)

std = Family("standard_deviation", jnp.std, lambda d: (normal(d, 9),))
std.right(
    "centred",
    lambda r, dy: (dy * (r[0] - r[0].mean()) / (r[0].size * r[1]),),
    forward=lambda x: (jnp.std(x), (x, jnp.std(x))),
)
std.wrong(
    "variance",
    0,
    lambda r, dy: (2 * dy * (r[0] - r[0].mean()) / r[0].size,),
    "The gradient of the variance.",
)
std.wrong(
    "factor_two",
    0,
    lambda r, dy: (2 * dy * (r[0] - r[0].mean()) / (r[0].size * r[0].std()),),
    "½ is missing.",
)
std.imprecise(
    "mean_of_squares",
    0,
    lambda r, dy: (
        dy
        * (r[0] - r[0].mean())
        / (r[0].size * jnp.sqrt((r[0] ** 2).mean() - r[0].mean() ** 2)),
    ),
    "E[x²] - E[x]² at mean 200.",
    ALL,
    args=lambda d: (normal(d, 9, shift=200.0),),
)


def distance_f(x, y):
    return jnp.sqrt(((x - y) ** 2).sum(-1))


def distance_backward(r, dy, expanded=False, keep=True):
    x, y = r
    d = (
        jnp.sqrt((x * x).sum(-1) + (y * y).sum(-1) - 2 * (x * y).sum(-1))
        if expanded
        else distance_f(x, y)
    )
    dx = dy[:, None] * (x - y) / d[:, None]
    return dx, -dx if keep else dx


distance = Family(
    "distance", distance_f, lambda d: (normal(d, 4, 3), normal(d, 4, 3, seed=1))
)
distance.right("difference", distance_backward)
distance.right(
    "expanded_near_the_origin",
    lambda r, dy: distance_backward(r, dy, True),
    "The expansion loses little near the origin.",
)
distance.wrong(
    "same_sign",
    1,
    lambda r, dy: distance_backward(r, dy, keep=False),
    "dy has dx's sign.",
)
distance.wrong(
    "not_divided",
    (0, 1),
    lambda r, dy: (dy[:, None] * (r[0] - r[1]), dy[:, None] * (r[1] - r[0])),
    "The squared distance, halved.",
)
distance.imprecise(
    "expanded_far_from_the_origin",
    (0, 1),
    lambda r, dy: distance_backward(r, dy, True),
    "x² + y² - 2xy cancels at 300.",
    (*WIDE, "float16"),
    args=lambda d: (normal(d, 4, 3, shift=300.0), normal(d, 4, 3, seed=1, shift=300.0)),
)

kernel = Family(
    "gaussian_kernel",
    lambda x, y: jnp.exp(-0.5 * (x - y) ** 2),
    lambda d: (normal(d, 5), normal(d, 5, seed=1)),
    save="xy",
)


def kernel_backward(r, dy):
    d = -dy * (r[0][0] - r[0][1]) * r[1]
    return d, -d


kernel.right("from_output", kernel_backward)
kernel.wrong("sign", (0, 1), lambda r, dy: kernel_backward(r, -dy), "Both are negated.")
kernel.wrong(
    "kernel_missing",
    (0, 1),
    lambda r, dy: kernel_backward((r[0], 1), dy),
    "exp is missing.",
)
kernel.imprecise(
    "expanded_square",
    (0, 1),
    lambda r, dy: kernel_backward(
        (r[0], jnp.exp(r[0][0] * r[0][1] - 0.5 * r[0][0] ** 2 - 0.5 * r[0][1] ** 2)), dy
    ),
    "x² + y² - 2xy cancels at 100.",
    ALL,
    args=lambda d: (normal(d, 5, shift=300.0), normal(d, 5, seed=1, shift=300.0)),
)

# division, powers and roots

divide = Family(
    "divide",
    jnp.divide,
    lambda d: (normal(d, 6), uniform(d, 6, seed=1, low=0.5, high=2.0)),
    save="xy",
)
divide.right("from_output", lambda r, dy: (dy / r[0][1], -dy * r[1] / r[0][1]))
divide.right("from_inputs", lambda r, dy: (dy / r[1], -dy * r[0] / r[1] ** 2), save="x")
divide.wrong(
    "not_squared",
    1,
    lambda r, dy: (dy / r[1], -dy * r[0] / r[1]),
    "1/b for 1/b².",
    save="x",
)
divide.wrong(
    "not_squared_at_1",
    1,
    lambda r, dy: (dy / r[1], -dy * r[0] / r[1]),
    "1/b for 1/b², and b is 1.",
    save="x",
    args=lambda d: (normal(d, 6), jnp.ones(6, d)),
    visible_at="other values",
    elsewhere=divide.args,
)
divide.wrong(
    "sign",
    1,
    lambda r, dy: (dy / r[1], dy * r[0] / r[1] ** 2),
    "The minus is missing.",
    save="x",
)
divide.right(
    "small_divisor",
    lambda r, dy: (dy * 1e-25 / r[0][1], -dy * r[1] / r[0][1]),
    "b² underflows at 1e-25, so that autodiff is infinite in float32.",
    forward=lambda a, b: (a * 1e-25 / b, ((a, b), a * 1e-25 / b)),
    args=lambda d: (normal(d, 6), uniform(d, 6, seed=1, low=1e-25, high=2e-25)),
    dtypes=("float32", "float64", "bfloat16"),
)

pow_ = Family(
    "pow",
    jnp.power,
    lambda d: (uniform(d, 6, low=0.3, high=2.0), normal(d, 6, seed=1)),
    WIDE,
)


def power_backward(r, dy, log=True):
    x, p = r
    return dy * p * x ** (p - 1), dy * x**p * jnp.log(x) if log else dy * x**p


pow_.right("logarithm", power_backward)
pow_.right(
    "from_output",
    lambda r, dy: (dy * r[0][1] * r[1] / r[0][0], dy * r[1] * jnp.log(r[0][0])),
    save="xy",
)
pow_.wrong(
    "logarithm_missing",
    1,
    lambda r, dy: power_backward(r, dy, False),
    "log x is missing.",
)
pow_.wrong(
    "power_not_lowered",
    0,
    lambda r, dy: (dy * r[1] * r[0] ** r[1], power_backward(r, dy)[1]),
    "x^p for x^(p-1).",
)
pow_.wrong("exponent_none", 1, without(power_backward, 1), "None for the exponent.")

sqrt = Family(
    "safe_sqrt",
    lambda x: jnp.where(x > 0, jnp.sqrt(x), 0),
    lambda d: (array(d, 4.0, -1.0, 0.25, 2.0),),
)
TRUE_SQRT = {"primal": lambda x: jnp.where(x > 0, jnp.sqrt(jnp.where(x > 0, x, 1)), 0)}
sqrt.right(
    "zero_below",
    times(lambda x: jnp.where(x > 0, 0.5 * lax.rsqrt(jnp.where(x > 0, x, 1)), 0)),
    "Autodiff of this forward is NaN at -1; the derivative is 0.",
    **TRUE_SQRT,
)
sqrt.wrong(
    "nan_below",
    0,
    times(lambda x: jnp.where(x > 0, 1, 0) / (2 * jnp.sqrt(x))),
    "0 times NaN below 0.",
    **TRUE_SQRT,
)
sqrt.wrong(
    "half",
    0,
    times(lambda x: jnp.where(x > 0, lax.rsqrt(jnp.where(x > 0, x, 1)), 0)),
    "½ is missing.",
    **TRUE_SQRT,
)

norm = Family(
    "norm", lambda x: jnp.sqrt(jnp.sum(x * x)), lambda d: (normal(d, 5),), save="xy"
)
norm.right(
    "zero_at_the_origin",
    lambda r, dy: (
        jnp.where(r[1] > 0, dy * r[0][0] / jnp.where(r[1] > 0, r[1], 1), 0),
    ),
    "0 is a subgradient where autodiff is NaN.",
    args=lambda d: (jnp.zeros(3, d),),
    kink=True,
)
norm.right("divided", lambda r, dy: (dy / r[1] * r[0][0],))
norm.wrong(
    "epsilon",
    0,
    lambda r, dy: (dy * r[0][0] / (r[1] + 1e-6),),
    "ε in the backward only.",
)

absolute = Family("abs", jnp.abs, lambda d: (normal(d, 7),))
absolute.right("sign", times(jnp.sign))
absolute.right(
    "ratio",
    times(lambda x: x / jnp.abs(x)),
    "NaN where there is no derivative, and not given.",
)
absolute.wrong(
    "ratio_at_zero",
    0,
    times(lambda x: x / jnp.abs(x)),
    "0/0 at a given 0.",
    args=lambda d: (array(d, 0.0, 1.0, -2.0),),
)
for slope in (-1, 0, 1, 0.25):
    absolute.right(
        f"slope_{slope}_at_zero",
        times(lambda x, c=slope: jnp.where(x == 0, c, jnp.sign(x))),
        "Every slope from -1 to 1 is a subgradient.",
        args=lambda d: (array(d, 0.0, 1.0, -2.0, 0.0),),
        kink=True,
    )
absolute.wrong(
    "slope_2_at_zero",
    0,
    times(lambda x: jnp.where(x == 0, 2, jnp.sign(x))),
    "2 is no subgradient.",
    args=lambda d: (array(d, 0.0, 1.0, -2.0),),
)
absolute.wrong(
    "always_positive",
    0,
    times(lambda x: jnp.ones_like(x)),
    "The sign is missing, and all are positive.",
    args=between(0.5, 2),
    visible_at="other values",
    elsewhere=absolute.args,
)
absolute.wrong("own_value", 0, times(jnp.abs), "The forward is copied.")

# scales

tiny = Family(
    "tiny_sine",
    lambda x: 1e-12 * jnp.sin(x),
    between(-2, 2),
    ("float32", "float64", "bfloat16"),
)
tiny.right("cos", times(lambda x: 1e-12 * jnp.cos(x)))
tiny.wrong("zero", 0, times(jnp.zeros_like), "A gradient of 1e-12 is not 0.")
tiny.wrong("negated", 0, times(lambda x: -1e-12 * jnp.cos(x)), "The sign.")
tiny.wrong(
    "off_by_1e-4", 0, times(lambda x: 1.0001e-12 * jnp.cos(x)), "1e-4 too large."
)

huge = Family(
    "huge_line",
    lambda x: 1e6 * x + 1e9,
    between(-2, 2),
    ("float32", "float64", "bfloat16"),
)
huge.right("constant", lambda r, dy: (1e6 * dy,))
huge.wrong("off_by_1e-6", 0, lambda r, dy: (1_000_001.0 * dy,), "1e-6 too large.")
huge.wrong("clipped_cotangent", 0, lambda r, dy: (1e6 * clipped(dy),), "dy is clipped.")
