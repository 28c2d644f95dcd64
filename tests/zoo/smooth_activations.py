"""Smooth activations."""

import math

import jax
import jax.numpy as jnp
from jax import lax

from tests.zoo.case import (
    ALL,
    WIDE,
    Family,
    array,
    first_of,
    narrow,
    normal,
    one_entry,
    ones_for,
    times,
    times_of_output,
    uniform,
    with_cotangent,
)


def spread(dtype):
    return (normal(dtype, 5, 7, scale=2.0),)


# tanh

tanh = Family("tanh", jnp.tanh, spread)
tanh.right("one_minus_square", times_of_output(lambda y: 1 - y**2), save="y")
tanh.right("factors", times_of_output(lambda y: (1 - y) * (1 + y)), save="y")
tanh.right("sech_squared", times(lambda x: 1 / jnp.cosh(x) ** 2))
tanh.right(
    "one_minus_square_when_saturated",
    times_of_output(lambda y: 1 - y * y),
    "At 20 the slope is 0 in every dtype up to rounding of the leaf's largest.",
    save="y",
    args=lambda dtype: (array(dtype, 20.0, -20.0, 0.5, -1.0),),
)
tanh.right(
    "by_sigmoid", times(lambda x: 4 * jax.nn.sigmoid(2 * x) * jax.nn.sigmoid(-2 * x))
)
tanh.wrong(
    "one_minus_output",
    0,
    times_of_output(lambda y: 1 - y),
    "The square is missing.",
    save="y",
)
tanh.wrong(
    "square_of_input", 0, times(lambda x: 1 - x**2), "The square is of x, not of y."
)
tanh.wrong(
    "sigmoid_formula",
    0,
    times_of_output(lambda y: y * (1 - y)),
    "The derivative of the sigmoid.",
    save="y",
)
tanh.wrong("sech", 0, times(lambda x: 1 / jnp.cosh(x)), "sech in place of its square.")
tanh.wrong(
    "first_cotangent",
    0,
    with_cotangent(times(lambda x: 1 - jnp.tanh(x) ** 2), first_of),
    "Only the first entry of dy is used.",
)
tanh.wrong(
    "off_by_1e-6", 0, times(lambda x: 1.000001 - jnp.tanh(x) ** 2), "1.000001 for 1."
)
tanh.wrong(
    "absolute_cotangent",
    0,
    with_cotangent(times(lambda x: 1 - jnp.tanh(x) ** 2), jnp.abs),
    "|dy| in place of dy.",
)
tanh.wrong(
    "identity_near_zero",
    0,
    times(lambda x: jnp.where(jnp.abs(x) < 0.1, 1, 1 - jnp.tanh(x) ** 2)),
    "tanh is taken for linear below 0.1, where no given input lies.",
    args=lambda dtype: (uniform(dtype, 4, 3, low=0.3, high=1.5),),
    visible_at="other values",
    elsewhere=lambda dtype: (uniform(dtype, 4, 3, low=-0.09, high=0.09),),
)
tanh.imprecise(
    "output_rounded_to_float16",
    0,
    times_of_output(lambda y: 1 - y.astype(narrow.f32) ** 2),
    "The residual is kept in float16 to save memory.",
    ("float32",),
    forward=lambda x: (jnp.tanh(x), jnp.tanh(x).astype(narrow.f16)),
)
tanh.imprecise(
    "one_minus_square_at_4",
    0,
    times_of_output(lambda y: 1 - y * y),
    "1 - y² of a rounded y where autodiff of the forward is exact.",
    ALL,
    forward=lambda x: ((1 - jnp.exp(-2 * x)) / (1 + jnp.exp(-2 * x)), jnp.tanh(x)),
    args=lambda dtype: (uniform(dtype, 9, low=3.4, high=3.8),),
)

# softplus

softplus = Family("softplus", jax.nn.softplus, spread)
softplus.right("sigmoid", times(jax.nn.sigmoid))
softplus.right("from_output", times_of_output(lambda y: -jnp.expm1(-y)), save="y")
softplus.right(
    "sigmoid_at_large_inputs",
    times(jax.nn.sigmoid),
    "Bounded at every input.",
    args=lambda dtype: (array(dtype, 90.0, -90.0, 1e4, -1e4, 0.3),),
)
softplus.wrong(
    "sigmoid_of_output",
    0,
    times_of_output(jax.nn.sigmoid),
    "The sigmoid of y, not of x.",
    save="y",
)
softplus.wrong("tanh", 0, times(jnp.tanh), "tanh for the sigmoid.")
softplus.wrong(
    "threshold_20_as_5",
    0,
    times(lambda x: jnp.where(x > 5, 1, jax.nn.sigmoid(x))),
    "The linear branch begins at 5, beyond every given input.",
    args=lambda dtype: (normal(dtype, 6),),
    visible_at="other values",
    elsewhere=lambda dtype: (array(dtype, 5.5, 6.0, 1.0),),
)
softplus.wrong(
    "nan_at_800",
    0,
    times(lambda x: jnp.exp(x) / (1 + jnp.exp(x))),
    "exp overflows in every dtype, and inf / inf is NaN.",
    args=lambda dtype: (array(dtype, 800.0, 1.0, -2.0),),
)
softplus.imprecise(
    "ratio_of_exponentials",
    0,
    times(lambda x: jnp.exp(x) / (1 + jnp.exp(x))),
    "exp overflows, and inf / inf is NaN.",
    ("float32", "bfloat16", "float16"),
    args=lambda dtype: (array(dtype, 95.0, 1.0, -2.0),),
)
softplus.imprecise(
    "one_minus_exp_of_output",
    0,
    times_of_output(lambda y: 1 - jnp.exp(-y)),
    "1 - exp(-y) at y = 1e-4, without expm1.",
    ALL,
    save="y",
    args=lambda dtype: (uniform(dtype, 8, low=-9.0, high=-8.0),),
)

# silu


def silu_slope(x):
    s = jax.nn.sigmoid(x)
    return s * (1 + x * (1 - s))


silu = Family("silu", lambda x: x * jax.nn.sigmoid(x), spread)
silu.right("product_rule", times(silu_slope))
silu.right(
    "from_output",
    lambda r, dy: (dy * (r[1] + jax.nn.sigmoid(r[0][0]) * (1 - r[1])),),
    save="xy",
)
silu.right(
    "calls_jax_nn",
    times(lambda x: jax.nn.sigmoid(x) + jax.nn.silu(x) * jax.nn.sigmoid(-x)),
    forward=lambda x: (jax.nn.silu(x), (x,)),
)
silu.wrong("gate_only", 0, times(jax.nn.sigmoid), "x s'(x) is missing.")
silu.wrong(
    "minus",
    0,
    times(lambda x: jax.nn.sigmoid(x) * (1 - x * jax.nn.sigmoid(-x))),
    "Minus for plus.",
)
silu.wrong(
    "x_forgotten",
    0,
    times(lambda x: jax.nn.sigmoid(x) * (1 + jax.nn.sigmoid(-x))),
    "The factor x is missing.",
)
silu.wrong(
    "beta_1.702",
    0,
    times(
        lambda x: (
            jax.nn.sigmoid(1.702 * x) * (1 + 1.702 * x * jax.nn.sigmoid(-1.702 * x))
        )
    ),
    "The derivative of the quick GELU.",
)
silu.wrong(
    "one_bad_entry",
    0,
    one_entry(times(silu_slope), 0, (83, 17), -1.0),
    "One entry of 15,000 has the wrong sign.",
    args=lambda dtype: (normal(dtype, 150, 100),),
    dtypes=("float32", "bfloat16"),
)

# gelu

C = math.sqrt(2 / math.pi)


def gelu_tanh(x):
    return 0.5 * x * (1 + jnp.tanh(C * (x + 0.044715 * x**3)))


def gelu_tanh_slope(x, a=0.044715, b=3 * 0.044715, half=0.5, path=True):
    t = jnp.tanh(C * (x + a * x**3))
    inner = half * x * (1 - t**2) * C * (1 + b * x**2)
    return 0.5 * (1 + t) + inner if path else 0.5 * (1 + t)


gelu = Family("gelu_tanh", gelu_tanh, spread)
gelu.right("chain_rule", times(gelu_tanh_slope))
gelu.right(
    "jax_nn_forward",
    times(gelu_tanh_slope),
    forward=lambda x: (jax.nn.gelu(x, approximate=True), (x,)),
)
gelu.right(
    "as_sigmoid",
    times(
        lambda x: (lambda s, z: s + x * s * (1 - s) * z)(
            jax.nn.sigmoid(2 * C * (x + 0.044715 * x**3)), 2 * C * (1 + 0.134145 * x**2)
        )
    ),
)
gelu.right(
    "float32_inside",
    lambda r, dy: (
        (dy.astype(narrow.f32) * gelu_tanh_slope(r[0].astype(narrow.f32))).astype(
            dy.dtype
        ),
    ),
    "Widened to float32 inside.",
    dtypes=("bfloat16", "float16", "float32"),
    forward=lambda x: (gelu_tanh(x.astype(narrow.f32)).astype(x.dtype), (x,)),
)
gelu.imprecise(
    "input_kept_in_bfloat16",
    0,
    lambda r, dy: (dy * gelu_tanh_slope(r[0].astype(dy.dtype)),),
    "The pre-activation is stored in bfloat16.",
    ("float32",),
    forward=lambda x: (gelu_tanh(x), (x.astype(narrow.bf16),)),
)
gelu.wrong(
    "constant_mistyped",
    0,
    times(lambda x: gelu_tanh_slope(x, a=0.044175)),
    "0.044175 for 0.044715.",
)
gelu.wrong(
    "constant_in_the_inner_derivative",
    0,
    times(lambda x: gelu_tanh_slope(x, b=0.134)),
    "0.134 for 0.134145.",
)
gelu.wrong(
    "three_forgotten",
    0,
    times(lambda x: gelu_tanh_slope(x, b=0.044715)),
    "The 3 of d(x³) is missing.",
)
gelu.wrong(
    "tanh_path_missing",
    0,
    times(lambda x: gelu_tanh_slope(x, path=False)),
    "Only the first factor of the product is differentiated.",
)
gelu.wrong(
    "half_forgotten",
    0,
    times(lambda x: gelu_tanh_slope(x, half=1.0)),
    "½ is missing in the second term.",
)
gelu.wrong(
    "of_the_exact_gelu",
    0,
    times(lambda x: jax.scipy.stats.norm.cdf(x) + x * jax.scipy.stats.norm.pdf(x)),
    "The derivative of the erf form, 1e-3 away.",
    dtypes=WIDE,
)


def erf_slope(x):
    return jax.scipy.stats.norm.cdf(x) + x * jnp.exp(-0.5 * x * x) / math.sqrt(
        2 * math.pi
    )


erf = Family("gelu_erf", lambda x: jax.nn.gelu(x, approximate=False), spread, WIDE)
erf.right("cdf_plus_x_pdf", times(erf_slope))
erf.right(
    "by_erfc",
    times(
        lambda x: 0.5 * lax.erfc(-x / math.sqrt(2)) + x * jax.scipy.stats.norm.pdf(x)
    ),
)
erf.wrong(
    "pdf_without_x",
    0,
    times(lambda x: jax.scipy.stats.norm.cdf(x) + jax.scipy.stats.norm.pdf(x)),
    "The factor x is missing.",
)
erf.wrong(
    "pi_for_two_pi",
    0,
    times(
        lambda x: (
            jax.scipy.stats.norm.cdf(x) + x * jnp.exp(-x * x / 2) / math.sqrt(math.pi)
        )
    ),
    "√π for √(2π).",
)
erf.wrong("tanh_form", 0, times(gelu_tanh_slope), "The derivative of the tanh form.")
erf.wrong(
    "constant_0.3989",
    0,
    times(lambda x: jax.scipy.stats.norm.cdf(x) + 0.3989 * x * jnp.exp(-x * x / 2)),
    "0.3989 for 1/√(2π).",
)

# mish


def mish_slope(x):
    t = jnp.tanh(jax.nn.softplus(x))
    return t + x * jax.nn.sigmoid(x) * (1 - t * t)


mish = Family("mish", lambda x: x * jnp.tanh(jax.nn.softplus(x)), spread)
mish.right("product_rule", times(mish_slope))
mish.right(
    "stored_tanh",
    lambda r, dy: (
        dy * (r[1] + r[0] * jax.nn.sigmoid(r[0]) * (1 - r[1]) * (1 + r[1])),
    ),
    forward=lambda x: (jax.nn.mish(x), (x, jnp.tanh(jax.nn.softplus(x)))),
)
mish.wrong(
    "sigmoid_forgotten",
    0,
    times(
        lambda x: (
            jnp.tanh(jax.nn.softplus(x)) + x * (1 - jnp.tanh(jax.nn.softplus(x)) ** 2)
        )
    ),
    "The derivative of softplus is missing.",
)
mish.wrong("negated", 0, times(lambda x: -mish_slope(x)), "The sign is wrong.")
mish.wrong(
    "ones_for_dy", 0, with_cotangent(times(mish_slope), ones_for), "dy is ignored."
)

# elu and selu

elu = Family(
    "elu", lambda x: jnp.where(x > 0, x, 1.5 * jnp.expm1(jnp.minimum(x, 0))), spread
)
elu.right(
    "from_input", times(lambda x: jnp.where(x > 0, 1, 1.5 * jnp.exp(jnp.minimum(x, 0))))
)
elu.right(
    "from_output", times_of_output(lambda y: jnp.where(y > 0, 1, y + 1.5)), save="y"
)
elu.right(
    "slope_1_at_zero",
    times(lambda x: jnp.where(x >= 0, 1, 1.5 * jnp.exp(jnp.minimum(x, 0)))),
    "At 0 every slope from 1 to 1.5 is a subgradient.",
    args=lambda dtype: (array(dtype, 0.0, -1.0, 2.0, 0.0),),
    kink=True,
)
elu.wrong(
    "alpha_forgotten",
    0,
    times(lambda x: jnp.where(x > 0, 1, jnp.exp(x))),
    "α is missing.",
)
elu.wrong(
    "plus_one",
    0,
    times_of_output(lambda y: jnp.where(y > 0, 1, y + 1)),
    "y+1 is right for α = 1 only.",
    save="y",
)
elu.imprecise(
    "slope_from_output_minus_alpha",
    0,
    times_of_output(lambda y: jnp.where(y > 0, 1, y + 1.5)),
    "y + α at x = -6 cancels, where autodiff of exp is exact.",
    ALL,
    forward=lambda x: (
        (jnp.where(x > 0, x, 1.5 * jnp.exp(jnp.minimum(x, 0)) - 1.5),) * 2
    ),
    args=lambda dtype: (uniform(dtype, 6, low=-6.0, high=-5.5),),
)

softsign = Family("softsign", lambda x: x / (1 + jnp.abs(x)), spread)
softsign.right("square", times(lambda x: 1 / (1 + jnp.abs(x)) ** 2))
softsign.right(
    "from_output", times_of_output(lambda y: (1 - jnp.abs(y)) ** 2), save="y"
)
softsign.wrong(
    "no_square", 0, times(lambda x: 1 / (1 + jnp.abs(x))), "The square is missing."
)
softsign.wrong(
    "sign", 0, times(lambda x: jnp.sign(x) / (1 + jnp.abs(x)) ** 2), "A sign too many."
)

snake = Family(
    "snake",
    lambda x, a: x + jnp.sin(a * x) ** 2 / a,
    lambda d: (normal(d, 4, 3), uniform(d, 3, seed=1, low=0.5, high=2.0)),
)


def snake_backward(r, dy, quotient=True):
    x, a = r
    dx = dy * (1 + jnp.sin(2 * a * x))
    da = dy * (x * jnp.sin(2 * a * x) / a - (jnp.sin(a * x) / a) ** 2 * quotient)
    return dx, da.sum(0)


snake.right("double_angle", snake_backward)
snake.right(
    "sin_cos",
    lambda r, dy: (
        dy * (1 + 2 * jnp.sin(r[1] * r[0]) * jnp.cos(r[1] * r[0])),
        snake_backward(r, dy)[1],
    ),
)
snake.wrong(
    "quotient_rule",
    1,
    lambda r, dy: snake_backward(r, dy, False),
    "1/a is not differentiated.",
)
snake.wrong(
    "factor_a",
    0,
    lambda r, dy: (
        dy * (1 + jnp.sin(2 * r[1] * r[0]) * r[1]),
        snake_backward(r, dy)[1],
    ),
    "The a of the inner derivative is not cancelled by 1/a.",
)
