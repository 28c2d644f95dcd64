"""Smooth activations, gated units and dropout."""

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

# gated units


def glu_args(dtype):
    return (normal(dtype, 3, 10),)


def glu_f(x):
    a, b = jnp.split(x, 2, axis=-1)
    return a * jax.nn.sigmoid(b)


def glu_backward(residuals, dy, order=(0, 1), slope=True):
    a, b = jnp.split(residuals[0], 2, axis=-1)
    s = jax.nn.sigmoid(b)
    parts = dy * s, dy * a * s * (1 - s) if slope else dy * a
    return (jnp.concatenate([parts[order[0]], parts[order[1]]], axis=-1),)


glu = Family("glu", glu_f, glu_args)
glu.right("split_concatenate", glu_backward)
glu.right(
    "stored_halves",
    lambda r, dy: (jnp.concatenate([dy * r[1], dy * r[2] * (1 - r[1])], -1),),
    forward=lambda x: (jax.nn.glu(x), (x, jax.nn.sigmoid(x[:, 5:]), glu_f(x))),
)
glu.wrong(
    "halves_swapped",
    0,
    lambda r, dy: glu_backward(r, dy, (1, 0)),
    "The halves are concatenated in the wrong order.",
)
glu.wrong(
    "gate_slope_missing",
    0,
    lambda r, dy: glu_backward(r, dy, slope=False),
    "σ'(b) is missing.",
)
glu.wrong(
    "gate_gradient_zero",
    0,
    lambda r, dy: (glu_backward(r, dy)[0].at[:, 5:].set(0),),
    "The gate gets no gradient.",
)


def swiglu_f(params, x):
    return (jax.nn.silu(x @ params["gate"]) * (x @ params["up"])) @ params["down"]


def swiglu_args(dtype):
    params = {
        "gate": normal(dtype, 5, 7, seed=1, scale=0.5),
        "up": normal(dtype, 5, 7, seed=2, scale=0.5),
        "down": normal(dtype, 7, 3, seed=3, scale=0.5),
    }
    return params, normal(dtype, 2, 5)


def swiglu_backward(residuals, dy, paths=("gate", "up"), swap=False, silu_at="x"):
    p, x = residuals
    g, u = x @ p["gate"], x @ p["up"]
    h = jax.nn.silu(g) * u
    dh = dy @ p["down"].T
    dg = dh * u * silu_slope(g if silu_at == "x" else jax.nn.silu(g))
    du = dh * jax.nn.silu(g)
    dx = sum({"gate": dg @ p["gate"].T, "up": du @ p["up"].T}[k] for k in paths)
    dp = {"gate": x.T @ dg, "up": x.T @ du, "down": h.T @ dy}
    if swap:
        dp["gate"], dp["up"] = dp["up"], dp["gate"]
    return dp, dx


GATE, UP = "args[0]['gate']", "args[0]['up']"
swiglu = Family("swiglu", swiglu_f, swiglu_args)
swiglu.right("recomputed", swiglu_backward)
swiglu.wrong(
    "gate_path_missing",
    1,
    lambda r, dy: swiglu_backward(r, dy, ("up",)),
    "dx lacks the gate's path.",
)
swiglu.wrong(
    "up_path_missing",
    1,
    lambda r, dy: swiglu_backward(r, dy, ("gate",)),
    "dx lacks the up projection's path.",
)
swiglu.wrong(
    "gradients_swapped",
    (GATE, UP),
    lambda r, dy: swiglu_backward(r, dy, swap=True),
    "The two equal shapes are exchanged.",
)
swiglu.wrong(
    "slope_at_activation",
    (GATE, 1),
    lambda r, dy: swiglu_backward(r, dy, silu_at="y"),
    "silu' is taken at the activation.",
)

# dropout, with a key as an argument


def dropout_f(key, x, rate=0.3):
    keep = jax.random.bernoulli(key, 1 - rate, x.shape)
    return jnp.where(keep, x / (1 - rate), 0)


def dropout_args(dtype):
    return jax.random.key(7), normal(dtype, 6, 5)


def dropout_backward(residuals, dy, rate=0.3, salt=0):
    key, _ = residuals
    key = jax.random.fold_in(key, salt) if salt else key
    keep = jax.random.bernoulli(key, 1 - rate, dy.shape)
    return None, jnp.where(keep, dy / (1 - rate), 0)


dropout = Family("dropout", dropout_f, dropout_args)
dropout.right("mask_drawn_again", dropout_backward)
dropout.right(
    "stored_mask",
    lambda keep, dy: (None, dy * keep / 0.7),
    forward=lambda key, x: (dropout_f(key, x), jax.random.bernoulli(key, 0.7, x.shape)),
)
dropout.wrong(
    "no_rescaling",
    1,
    lambda r, dy: (None, 0.7 * dropout_backward(r, dy)[1]),
    "1/(1-p) is missing.",
)
dropout.wrong("no_mask", 1, lambda r, dy: (None, dy / 0.7), "The mask is lost.")
dropout.wrong(
    "another_mask",
    1,
    lambda r, dy: dropout_backward(r, dy, salt=1),
    "The mask is drawn from another key.",
)
dropout.wrong(
    "mask_from_output",
    1,
    lambda y, dy: (None, dy * (y > 0) / 0.7),
    "Kept negative entries are dropped.",
    save="y",
)

# maxout: the larger of two affine pieces

maxout = Family(
    "maxout", lambda x: x.reshape(4, 3, 2).max(-1), lambda d: (normal(d, 4, 6),)
)


def maxout_backward(r, dy):
    x = r[0].reshape(4, 3, 2)
    hit = jax.nn.one_hot(jnp.argmax(x, -1), 2, dtype=dy.dtype)
    return ((hit * dy[..., None]).reshape(4, 6),)


def tied_pairs(dtype):
    x = normal(dtype, 4, 6)
    return (x.at[:, 1].set(x[:, 0]),)


maxout.right("one_hot", maxout_backward)
maxout.right(
    "compare",
    lambda r, dy: (
        (dy[..., None] * (r[0].reshape(4, 3, 2) == r[1][..., None])).reshape(4, 6),
    ),
    forward=lambda x: (x.reshape(4, 3, 2).max(-1), (x, x.reshape(4, 3, 2).max(-1))),
)
maxout.right(
    "first_of_a_tie",
    maxout_backward,
    "The first maximum takes all of dy.",
    args=tied_pairs,
    kink=True,
)
maxout.wrong(
    "all_of_a_tie",
    0,
    lambda r, dy: (
        (
            dy[..., None]
            * (r[0].reshape(4, 3, 2) == r[0].reshape(4, 3, 2).max(-1, keepdims=True))
        ).reshape(4, 6),
    ),
    "Each of two equal maxima gets all of dy.",
    args=tied_pairs,
)
maxout.wrong(
    "to_the_minimum",
    0,
    lambda r, dy: (
        (
            dy[..., None]
            * jax.nn.one_hot(jnp.argmin(r[0].reshape(4, 3, 2), -1), 2, dtype=dy.dtype)
        ).reshape(4, 6),
    ),
    "argmin for argmax.",
)
