"""Planted in functions of one entry at a time, in softmax, and in gated products."""

import jax
import jax.numpy as jnp
import numpy as np

from tests.reference.mistakes.case import Planted, normal

# tanh, which keeps its output


def one_array():
    return (normal(5, 7, seed=20),)


def tanh_forward(x):
    y = jnp.tanh(x)
    return y, (x, y)


tanh = Planted("tanh", __file__, tanh_forward, one_array)
tanh.right("as_it_is", lambda r, dy: ((1 - r[1] ** 2) * dy,))


@tanh.wrong("plus", "C3", ["edit: @tanh_plus"])
def _tanh_plus(residuals, dy):
    _, y = residuals
    return ((1 + y**2) * dy,)  # @tanh_plus


@tanh.wrong(
    "input_for_output",
    "C9",
    ["residual: residuals[0] residuals[1]", "residual: args[0] residuals[1]"],
)
def _tanh_input(residuals, dy):
    x, _ = residuals
    return ((1 - x**2) * dy,)


@tanh.wrong("not_squared", "C2", ["edit: @tanh_square", "factor: missing"])
def _tanh_square(residuals, dy):
    _, y = residuals
    return ((1 - y) * dy,)  # @tanh_square


tanh.wrong("sign", "C3", ["sign: all"], lambda r, dy: (-(1 - r[1] ** 2) * dy,))
tanh.wrong(
    "cotangent_of_ones", "C1", ["cotangent: ones"], lambda r, dy: (1 - r[1] ** 2,)
)
tanh.wrong(
    "first_entry_of_cotangent",
    "C1",
    ["cotangent: first"],
    lambda r, dy: ((1 - r[1] ** 2) * dy[0, 0],),
)
tanh.wrong(
    "clipped_cotangent",
    "C1",
    ["cotangent: clip"],
    lambda r, dy: ((1 - r[1] ** 2) * jnp.clip(dy, -1, 1),),
)
tanh.wrong(
    "absolute_cotangent",
    "C1",
    ["cotangent: abs"],
    lambda r, dy: ((1 - r[1] ** 2) * jnp.abs(dy),),
)
tanh.wrong(
    "mean_cotangent",
    "C1",
    ["cotangent: mean"],
    lambda r, dy: ((1 - r[1] ** 2) * jnp.mean(dy),),
)
tanh.wrong(
    "factor_forgotten",
    "C2",
    ["factor: missing", "path: missing"],
    lambda r, dy: (dy,),
)

# sigmoid


def sigmoid_forward(x):
    y = jax.nn.sigmoid(x)
    return y, y


sigmoid = Planted("sigmoid", __file__, sigmoid_forward, one_array)


@sigmoid.wrong("one_factor", "C2", ["factor: missing y", "factor: missing residuals"])
def _sigmoid_one(y, dy):
    return ((1 - y) * dy,)


@sigmoid.wrong("swapped_difference", "C3", ["sign: all", "edit: @sigmoid_swap"])
def _sigmoid_swap(y, dy):
    return (y * (y - 1) * dy,)  # @sigmoid_swap


# exponential linear unit: a threshold


def elu_forward(x):
    return jnp.where(x > 0, x, jnp.expm1(jnp.minimum(x, 0))), x


elu = Planted("elu", __file__, elu_forward, one_array)
elu.right("as_it_is", lambda x, dy: (jnp.where(x > 0, 1, jnp.exp(x)) * dy,))


@elu.wrong("branches_swapped", "C11", ["edit: @elu_swap"])
def _elu_swap(x, dy):
    return (jnp.where(x < 0, 1.0, jnp.exp(x)) * dy,)  # @elu_swap


@elu.wrong("negative_branch_is_zero", "C11 C2", ["path: missing", "edit: @elu_zero"])
def _elu_zero(x, dy):
    return (jnp.where(x > 0, 1.0, 0.0) * dy,)  # @elu_zero


# power, NaN at zero


def power_args():
    x = np.abs(np.asarray(normal(7, seed=21))) + 0.1
    x[2] = x[5] = 0
    return (jnp.asarray(x),)


def power_forward(x):
    return x**3 + jnp.where(x > 0, x, 0) ** 2, x


power = Planted("power", __file__, power_forward, power_args)


@power.wrong("nan_at_zero", "C11", ["nan: log", "nan: div", "nan: mul"])
def _power_nan(x, dy):
    return ((3 * x**3 / x + 2 * x) * dy,)


# softplus with a temperature that stays a constant of the forward

BETA = 1.7


def softplus_forward(x):
    z = BETA * x
    return (jnp.maximum(z, 0) + jnp.log1p(jnp.exp(-jnp.abs(z)))) / BETA, x


softplus = Planted("softplus", __file__, softplus_forward, one_array)
softplus.right("as_it_is", lambda x, dy: (jax.nn.sigmoid(BETA * x) * dy,))


@softplus.wrong("temperature_kept_in_front", "C4", ["scale: 1.7"])
def _softplus_beta(x, dy):
    return (BETA * jax.nn.sigmoid(BETA * x) * dy,)


@softplus.wrong("temperature_forgotten_inside", "C4", ["edit: @softplus_inside"])
def _softplus_inside(x, dy):
    return (jax.nn.sigmoid(x / BETA) * dy,)  # @softplus_inside


# dropout with its mask as argument

KEEP = 0.7


def dropout_args():
    rng = np.random.default_rng(22)
    return normal(5, 7, seed=22), jnp.asarray(rng.random((5, 7)) < KEEP)


def dropout_forward(x, mask):
    return jnp.where(mask, x / KEEP, 0), (x, mask)


dropout = Planted("dropout", __file__, dropout_forward, dropout_args)
dropout.right("as_it_is", lambda r, dy: (jnp.where(r[1], dy / KEEP, 0), None))
dropout.wrong(
    "without_mask",
    "C2 C8",
    ["factor: missing args[1]", "factor: missing residuals[1]"],
    lambda r, dy: (dy / KEEP, None),
)
dropout.wrong(
    "without_rescaling",
    "C4",
    ["scale: 0.7", "scale: 0.699"],
    lambda r, dy: (jnp.where(r[1], dy, 0), None),
)
dropout.wrong(
    "mask_inverted",
    "C8",
    ["residual: residuals[1] not", "edit: @dropout_inverted"],
    lambda r, dy: (jnp.where(r[1], 0, dy / KEEP), None),  # @dropout_inverted
)

# softmax over the last axis


def softmax_forward(x):
    e = jnp.exp(x - jax.lax.stop_gradient(jnp.max(x, axis=-1, keepdims=True)))
    p = e / jnp.sum(e, axis=-1, keepdims=True)  # @softmax_p
    return p, p


softmax = Planted("softmax", __file__, softmax_forward, one_array)
softmax.right(
    "as_it_is",
    lambda p, dp: (p * (dp - jnp.sum(p * dp, axis=-1, keepdims=True)),),
)


softmax.wrong(
    "diagonal_alone", "C2", ["path: @softmax_p missing"], lambda p, dp: (p * dp,)
)
softmax.wrong(
    "sigmoid_derivative",
    "C2",
    ["product: p", "product: y", "path: @softmax_p"],
    lambda p, dp: (p * (1 - p) * dp,),
)


@softmax.wrong("sum_over_rows", "C6", ["edit: @softmax_axis"])
def _softmax_axis(p, dp):
    return (p * (dp - jnp.sum(p * dp, axis=0, keepdims=True)),)  # @softmax_axis


@softmax.wrong("mean_for_sum", "C4", ["path: @softmax_p scaled", "edit: @softmax_mean"])
def _softmax_mean(p, dp):
    return (p * (dp - jnp.mean(p * dp, axis=-1, keepdims=True)),)  # @softmax_mean


@softmax.wrong(
    "sum_of_cotangent_alone",
    "C2",
    ["edit: @softmax_alone", "product: sum", "residual: p"],
)
def _softmax_alone(p, dp):
    return (p * (dp - jnp.sum(dp, axis=-1, keepdims=True)),)  # @softmax_alone


# SwiGLU: y = silu(a) b


def swiglu_args():
    return normal(5, 3, seed=23), normal(5, 3, seed=24)


def swiglu_forward(a, b):
    s = jax.nn.sigmoid(a)
    return a * s * b, (a, b, s)


def swiglu_backward(residuals, dy):
    a, b, s = residuals
    return dy * b * (s + a * s * (1 - s)), dy * a * s


swiglu = Planted("swiglu", __file__, swiglu_forward, swiglu_args)
swiglu.right("as_it_is", swiglu_backward)
swiglu.wrong(
    "gradients_swapped",
    "C3",
    ["swap: args[0] args[1]"],
    lambda r, dy: swiglu_backward(r, dy)[::-1],
)
swiglu.wrong(
    "da_is_zero", "C14", ["zero: args[0]"], lambda r, dy: (None, dy * r[0] * r[2])
)


@swiglu.wrong("product_rule_half_used", "C2", ["path: missing", "edit: @swiglu_half"])
def _swiglu_half(residuals, dy):
    a, b, s = residuals
    return dy * b * s, dy * a * s  # @swiglu_half


@swiglu.wrong(
    "a_for_b", "C9", ["residual: residuals[0] residuals[1]", "residual: args[0]"]
)
def _swiglu_ab(residuals, dy):
    a, b, s = residuals
    return dy * b * (s + a * s * (1 - s)), dy * b * s


# logsumexp: one number a row


def logsumexp_forward(x):
    m = jnp.max(x, axis=-1)
    y = m + jnp.log(jnp.sum(jnp.exp(x - m[:, None]), axis=-1))
    return y, (x, y)


logsumexp = Planted("logsumexp", __file__, logsumexp_forward, one_array)
logsumexp.right(
    "as_it_is", lambda r, dy: (dy[:, None] * jnp.exp(r[0] - r[1][:, None]),)
)
logsumexp.wrong(
    "unnormalised",
    "C2",
    ["factor: extra", "residual: residuals[1]", "edit: @lse"],
    lambda r, dy: (dy[:, None] * jnp.exp(r[0]),),  # @lse
)
logsumexp.wrong(
    "cotangent_of_first_row",
    "C1",
    ["cotangent: first"],
    lambda r, dy: (dy[0] * jnp.exp(r[0] - r[1][:, None]),),
)


@logsumexp.wrong("rounded_to_16_bits", "C12", ["precision: @lse_16"])
def _lse_16(residuals, dy):
    x, y = residuals
    p = jnp.exp(x - y[:, None]).astype(jnp.bfloat16).astype(x.dtype)  # @lse_16
    return (dy[:, None] * p,)
