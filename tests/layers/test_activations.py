"""Every activation against jax.nn in each dtype, at its kinks, and when broken."""

import math
import zlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from purefw.layers.celu import celu
from purefw.layers.elu import elu
from purefw.layers.geglu import geglu
from purefw.layers.glu import glu
from purefw.layers.leaky_relu import leaky_relu
from purefw.layers.log_softmax import log_softmax
from purefw.layers.logsumexp import logsumexp
from purefw.layers.prelu import PReLUParams, prelu
from purefw.layers.sparsemax import sparsemax
from purefw.layers.swiglu import swiglu
from purefw.shared.last_axis import check_last_axis, split_halves
from reference import chance
from reference.baselines.activations import ACTIVATION_FORMS
from reference.registry.activations import ACTIVATIONS
from tests.refute import refuted

OURS = list(ACTIVATION_FORMS)
NOT_ENTRYWISE = {"prelu_of_each", "glu", "swiglu", "geglu"}
NOT_ENTRYWISE |= {"softmax", "log_softmax", "logsumexp", "sparsemax"}
ENTRYWISE = [name for name in OURS if name not in NOT_ENTRYWISE]
ALONG_ROWS = [log_softmax(), logsumexp(), sparsemax()]
DTYPES = ["float64", "float32", "bfloat16", "float16"]


def drawn(name, situation, dtype):
    """Params, x and a random dy of a registered situation."""
    key = jax.random.key(zlib.crc32(f"{name} {situation}".encode()))
    params_key, x_key, dy_key = jax.random.split(key, 3)
    x = ACTIVATIONS[name].inputs[situation](x_key)
    params = ACTIVATIONS[name].draw_params(params_key)
    y = jax.eval_shape(ACTIVATIONS[name].rule.apply, params, x)
    dy = jax.random.normal(dy_key, y.shape)
    return jax.tree.map(lambda v: v.astype(dtype), (params, x, dy))


@pytest.mark.parametrize("name", OURS)
def test_value_is_that_of_jax_nn(name):
    params, x, _ = drawn(name, "typical", "float64")
    theirs = ACTIVATION_FORMS[name](params, x)
    # 64 roundings of the largest; worst measured 54, where mish of jax.nn errs.
    atol = 64 * 2**-53 * abs(theirs).max()
    np.testing.assert_allclose(
        ACTIVATIONS[name].rule.apply(params, x), theirs, rtol=0, atol=atol
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ENTRYWISE)
def test_no_finite_x_gives_nan(name, dtype, keys):
    rule, info = ACTIVATIONS[name].rule, jnp.finfo(dtype)
    sizes = jnp.array([info.max, 1e4, 100.0, 1.0, info.tiny, 0.0]).astype(dtype)
    x = jnp.concatenate([sizes, -sizes])
    y, residuals = rule.forward(rule.init(next(keys)), x)
    dx = rule.backward(residuals, jnp.full_like(x, 0.5))[1]
    assert not jnp.isnan(y).any() and not jnp.isnan(dx).any()


@pytest.mark.parametrize("name", ENTRYWISE)
def test_nan_in_x_stays_nan_in_y(name, keys):
    rule = ACTIVATIONS[name].rule
    y = rule.apply(rule.init(next(keys)), jnp.array([jnp.nan, 1.0]))
    assert jnp.isnan(y[0]) and not jnp.isnan(y[1])


KINKS = {
    "relu": {0.0: 0.0},
    "leaky_relu": {0.0: 1.0},
    "prelu": {0.0: 1.0},
    "elu": {0.0: 0.7},
    "selu": {0.0: 1.0507009873554805 * 1.6732632423543772},
    "hard_tanh": {-1.0: 1.0, 1.0: 1.0},
    "hard_sigmoid": {-3.0: 0.0, 3.0: 0.0},
    "hard_swish": {-3.0: 0.0, 3.0: 1.0},
    "relu6": {0.0: 0.0, 6.0: 0.0},
}
SMOOTH = {"celu": {0.0: 1.0}, "softsign": {0.0: 1.0}, "squared_relu": {0.0: 0.0}}
SMOOTH |= {name: {0.0: 0.5} for name in ("gelu", "gelu_tanh", "silu")}
SMOOTH |= {"sigmoid": {0.0: 0.25}, "tanh": {0.0: 1.0}}
SMOOTH |= {"mish": {0.0: 0.6}, "softplus": {0.0: 0.5}, "log_sigmoid": {0.0: 0.5}}


@pytest.mark.parametrize("name", [*KINKS, *SMOOTH])
def test_slope_where_branches_meet_is_the_stated_one(name, keys):
    rule, stated = ACTIVATIONS[name].rule, (KINKS | SMOOTH)[name]
    x, slope = jnp.array(list(stated)), jnp.array(list(stated.values()))
    dy, params = chance.normal(next(keys), x.shape), rule.init(next(keys))
    dx = rule.backward(rule.forward(params, x)[1], dy)[1]
    auto = jax.vjp(lambda x: ACTIVATION_FORMS[name](params, x), x)[1](dy)[0]
    np.testing.assert_allclose(dx, slope * dy, rtol=1e-15)  # worst: one rounding
    np.testing.assert_allclose(dx, auto, rtol=1e-15)  # worst: one rounding


def halves(x):
    return jnp.split(x, 2, axis=-1)


def join(a, b):
    return (), jnp.concatenate([a, b], axis=-1)


def normal_cdf(x):
    return lax.erfc(-x * 0.5**0.5) / 2


def glu_without_one_minus_sigma(x, dy):
    value, gate = halves(x)
    return join(lax.logistic(gate) * dy, value * lax.logistic(gate) * dy)


def swiglu_of_swapped_halves(x, dy):
    dvalue, dgate = halves(swiglu().backward(x, dy)[1])
    return join(dgate, dvalue)


def geglu_without_density(x, dy):
    value, gate = halves(x)
    return join(gate * normal_cdf(gate) * dy, value * normal_cdf(gate) * dy)


def gelu_tanh_without_the_three(x, dy):
    c, a = (2 / math.pi) ** 0.5, 0.044715
    v = 2 * c * x * (1 + a * x * x)
    return (), lax.logistic(v) * (
        1 + x * lax.logistic(-v) * 2 * c * (1 + a * x * x)
    ) * dy


def prelu_without_mask(residuals, dy):
    dx = prelu().backward(residuals, dy)[1]
    return PReLUParams(jnp.sum(residuals.x * dy).reshape(1)), dx


def mish_without_sigma(x, dy):
    t = jnp.tanh(jax.nn.softplus(x))
    return (), (t + x * (1 - t * t)) * dy


def softmax_of(residuals):
    """p from what logsumexp keeps."""
    return jnp.exp(residuals.x - residuals.m) / residuals.total


MUTANTS = {
    "relu": lambda mask, dy: ((), dy),
    "tanh": lambda y, dy: ((), (1 - y) * dy),
    "sigmoid": lambda y, dy: ((), y * dy),
    "softmax": lambda p, dp: ((), p * (1 - p) * dp),
    "leaky_relu": lambda mask, dy: ((), jnp.where(mask, dy, 0)),
    "prelu": prelu_without_mask,
    "elu": lambda x, dy: ((), jnp.where(x > 0, 1, 0.7 * jnp.expm1(x)) * dy),
    "selu": lambda x, dy: ((), jnp.where(x > 0, 1.0507, 1.67326 * jnp.exp(x)) * dy),
    "celu": lambda x, dy: ((), jnp.where(x > 0, 1, 1.3 * jnp.exp(x / 1.3)) * dy),
    "gelu": lambda x, dy: ((), normal_cdf(x) * dy),
    "gelu_tanh": gelu_tanh_without_the_three,
    "silu": lambda x, dy: ((), lax.logistic(x) * (1 + x) * dy),
    "mish": mish_without_sigma,
    "softplus": lambda x, dy: ((), lax.logistic(-x) * dy),
    "softsign": lambda x, dy: ((), dy / (1 + jnp.abs(x))),
    "log_sigmoid": lambda x, dy: ((), lax.logistic(x) * dy),
    "hard_tanh": lambda mask, dy: ((), dy),
    "hard_sigmoid": lambda mask, dy: ((), jnp.where(mask, dy / 5, 0)),
    "hard_swish": lambda x, dy: ((), jnp.clip(x / 6 + 0.5, 0, 1) * dy),
    "relu6": lambda mask, dy: ((), dy),
    "squared_relu": lambda r, dy: ((), r * dy),
    "glu": glu_without_one_minus_sigma,
    "swiglu": swiglu_of_swapped_halves,
    "geglu": geglu_without_density,
    "log_softmax": lambda r, dy: ((), dy - r.e / r.total * dy),
    "logsumexp": lambda r, dy: (
        (),
        softmax_of(r) * jnp.broadcast_to(dy[:1, None], r.x.shape),
    ),
    "sparsemax": lambda s, dy: (
        (),
        jnp.where(s, dy - dy.mean(axis=-1, keepdims=True), 0),
    ),
}


def test_every_rule_has_a_mutant():
    assert {"prelu_of_each", *MUTANTS} == set(OURS)


@pytest.mark.parametrize("name", MUTANTS)
def test_the_mutant_is_refuted(name):
    params, x, _ = drawn(name, "typical", "float64")
    assert refuted(ACTIVATIONS[name].rule, x, MUTANTS[name], params=params)


@pytest.mark.parametrize(
    "build,message",
    [
        (lambda: leaky_relu(math.inf), "leaky_relu: slope must be finite, got inf"),
        (lambda: leaky_relu(math.nan), "leaky_relu: slope must be finite, got nan"),
        (lambda: elu(0.0), "elu: alpha must be positive and finite, got 0.0"),
        (lambda: elu(math.inf), "elu: alpha must be positive and finite, got inf"),
        (lambda: celu(-1.0), "celu: alpha must be positive and finite, got -1.0"),
        (lambda: prelu(0), "prelu: n must be at least 1, got 0"),
    ],
)
def test_wrong_hyperparameter_is_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_prelu_refuses_another_width(keys):
    rule = prelu(5)
    with pytest.raises(ValueError, match=r"prelu: x must have shape \(..., 5\), got"):
        rule.forward(rule.init(next(keys)), jnp.zeros((5, 3)))


@pytest.mark.parametrize("shape", [(3, 5), (2, 0)])
@pytest.mark.parametrize("rule", [glu(), swiglu(), geglu()], ids=lambda r: r.name)
def test_last_axis_without_two_halves_is_refused(rule, shape):
    with pytest.raises(ValueError, match=f"{rule.name}: x must have an even number"):
        rule.forward((), jnp.zeros(shape))


@pytest.mark.parametrize("rule", ALONG_ROWS, ids=lambda r: r.name)
def test_empty_last_axis_is_refused(rule):
    with pytest.raises(ValueError, match=f"{rule.name}: x must have at least one"):
        rule.forward((), jnp.zeros((3, 0)))


def test_scalar_is_refused_where_a_last_axis_is_needed():
    with pytest.raises(ValueError, match=r"who: x must have at least .* shape \(\)"):
        check_last_axis("who", jnp.zeros(()))
    with pytest.raises(ValueError, match=r"who: x must have an even .* shape \(\)"):
        split_halves("who", jnp.zeros(()))
