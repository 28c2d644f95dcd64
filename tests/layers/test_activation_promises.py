"""What activations promise beside their invariants: bounds, masks, torch's ways."""

import jax.numpy as jnp
import numpy as np
import pytest

from purefw.layers.celu import celu
from purefw.layers.elu import elu
from purefw.layers.log_softmax import log_softmax
from purefw.layers.logsumexp import logsumexp
from purefw.layers.mish import mish
from purefw.layers.prelu import PReLUParams, prelu
from purefw.layers.selu import selu
from purefw.layers.softplus import softplus
from purefw.layers.sparsemax import sparsemax
from reference import chance
from reference.registry.activations import ACTIVATIONS

INF = jnp.inf
CLOSE = dict(rtol=1e-13, atol=1e-13)  # a few hundred roundings; worst measured 2e-15


def run(name, x, dy):
    """y and dx of a registered rule without parameters."""
    rule = ACTIVATIONS[name].rule
    y, residuals = rule.forward((), x)
    return y, rule.backward(residuals, dy)[1]


@pytest.mark.parametrize("name", ["softsign", "hard_tanh"])
def test_it_stays_within_one_and_dx_has_the_sign_of_dy(name, keys):
    x, dy = chance.normal(next(keys), (2, 5, 7))
    y, dx = run(name, x, dy)
    assert abs(y).max() <= 1 and (dx * dy >= 0).all()


def test_elu_celu_and_mish_stay_above_their_bounds():
    x = jnp.linspace(-50, 5, 1001)
    assert elu(0.7).apply((), x).min() >= -0.7
    assert mish().apply((), x).min() >= -0.30885 and mish().apply((), x[:1] * 0) == 0
    scaled = 1.3 * celu(1.0).apply((), x / 1.3)
    np.testing.assert_allclose(celu(1.3).apply((), x), scaled, **CLOSE)


def test_selu_keeps_mean_zero_and_variance_one():
    x, weight = np.polynomial.hermite_e.hermegauss(180)
    y = np.asarray(selu().apply((), jnp.asarray(x)))
    weight = weight / weight.sum()
    # The quadrature meets a kink: its own error here is 2e-3.
    assert abs(weight @ y) < 1e-2 and abs(weight @ y**2 - 1) < 1e-2


def test_logsumexp_is_near_the_largest(keys):
    x = chance.normal(next(keys), (5, 7))
    y, top = logsumexp().apply((), x), x.max(axis=1)
    assert (top <= y).all() and (y <= top + np.log(7)).all()


def test_sparsemax_off_its_support_neither_gives_nor_takes(keys):
    x, dy = 3 * chance.normal(next(keys), (2, 5, 7))
    y, dx = run("sparsemax", x, dy)
    off = y == 0
    assert off.any() and not dx[off].any()
    np.testing.assert_array_equal(run("sparsemax", x, jnp.where(off, 9, dy))[1], dx)


MASKED = jnp.array([[-INF, -INF, -INF], [-INF, 2.0, 1.5]])


@pytest.mark.parametrize(
    "rule,row,slope_row",
    [(log_softmax(), -INF, 1.0), (sparsemax(), 0.0, 0.0)],
    ids=["log_softmax", "sparsemax"],
)
def test_masked_entries_and_rows_give_the_stated_values(rule, row, slope_row, keys):
    dy = chance.normal(next(keys), MASKED.shape)
    y, residuals = rule.forward((), MASKED)
    dx = rule.backward(residuals, dy)[1]
    np.testing.assert_array_equal(y[0], jnp.full(3, row))
    np.testing.assert_array_equal(dx[0], slope_row * dy[0])
    assert y[1, 0] == row and dx[1, 0] == slope_row * dy[1, 0]
    assert jnp.isfinite(y[1, 1:]).all() and jnp.isfinite(dx).all()


def test_logsumexp_of_masked_entries_gives_the_stated_values():
    y, residuals = logsumexp().forward((), MASKED)
    dx = logsumexp().backward(residuals, jnp.array([3.0, 2.0]))[1]
    assert y[0] == -INF and jnp.isfinite(y[1])
    assert not dx[0].any() and dx[1, 0] == 0


TORCH = {
    "relu": lambda f, x: f.relu(x),
    "sigmoid": lambda f, x: f.sigmoid(x),
    "tanh": lambda f, x: f.tanh(x),
    "softmax": lambda f, x: f.softmax(x, -1),
    "leaky_relu": lambda f, x: f.leaky_relu(x, 0.1),
    "elu": lambda f, x: f.elu(x, 0.7),
    "selu": lambda f, x: f.selu(x),
    "celu": lambda f, x: f.celu(x, 1.3),
    "gelu": lambda f, x: f.gelu(x),
    "gelu_tanh": lambda f, x: f.gelu(x, approximate="tanh"),
    "silu": lambda f, x: f.silu(x),
    "mish": lambda f, x: f.mish(x),
    "softplus": lambda f, x: f.softplus(x),
    "softsign": lambda f, x: f.softsign(x),
    "log_sigmoid": lambda f, x: f.logsigmoid(x),
    "hard_tanh": lambda f, x: f.hardtanh(x),
    "hard_sigmoid": lambda f, x: f.hardsigmoid(x),
    "hard_swish": lambda f, x: f.hardswish(x),
    "relu6": lambda f, x: f.relu6(x),
    "glu": lambda f, x: f.glu(x),
    "log_softmax": lambda f, x: f.log_softmax(x, -1),
    "logsumexp": lambda f, x: x.logsumexp(-1),
}
# In float64 torch's backward holds alpha and 1/6 in float32; worst measured 1.5e-7.
TORCH_FLOAT32 = dict(rtol=3e-7)
# Where torch takes another subgradient: the kink and torch's slope there.
TORCH_DIFFERS = {"leaky_relu": {0.0: 0.1}, "hard_tanh": {-1.0: 0.0, 1.0: 0.0}}
KINKS = {"relu": [0.0], "elu": [0.0], "selu": [0.0], "relu6": [0.0, 6.0]}
KINKS |= {"hard_sigmoid": [-3.0, 3.0], "hard_swish": [-3.0, 3.0]}


def torch_run(name, x, draw_dy):
    torch = pytest.importorskip("torch", reason="torch is an extra: pip install torch")
    t = torch.tensor(np.array(x), requires_grad=True)
    y = TORCH[name](torch.nn.functional, t)
    dy = draw_dy(tuple(y.shape))
    y.backward(torch.tensor(np.array(dy)))
    return y.detach().numpy(), t.grad.numpy(), dy


@pytest.mark.parametrize("name", TORCH)
def test_torch_has_the_same_values_and_gradients(name, keys):
    x = 4 * chance.normal(next(keys), (5, 6))
    y, dx, dy = torch_run(name, x, lambda shape: chance.normal(next(keys), shape))
    ours, our_dx = run(name, x, dy)
    close = TORCH_FLOAT32 if name in ("celu", "hard_sigmoid") else CLOSE
    np.testing.assert_allclose(ours, y, **CLOSE)
    np.testing.assert_allclose(our_dx, dx, **close)


def test_torch_prelu_has_the_same_values_and_gradients_but_at_zero(keys):
    torch = pytest.importorskip("torch", reason="torch is an extra: pip install torch")
    x, dy = chance.normal(next(keys), (2, 5, 7))
    x = x.at[0, 0].set(0.0)
    slope = chance.normal(next(keys), (7,))
    t, s = (torch.tensor(np.array(v), requires_grad=True) for v in (x, slope))
    torch.nn.functional.prelu(t, s).backward(torch.tensor(np.array(dy)))
    rule = prelu(7)
    _, residuals = rule.forward(PReLUParams(slope), x)
    dparams, dx = rule.backward(residuals, dy)
    np.testing.assert_allclose(dparams.slope, s.grad.numpy(), **CLOSE)
    np.testing.assert_allclose(dx.at[0, 0].mul(slope[0]), t.grad.numpy(), **CLOSE)


@pytest.mark.parametrize("name", KINKS)
def test_torch_takes_the_same_subgradient_at_kinks(name):
    x = jnp.array(KINKS[name])
    _, dx, dy = torch_run(name, x, jnp.ones)
    np.testing.assert_allclose(run(name, x, dy)[1], dx, **CLOSE)


@pytest.mark.parametrize("name", TORCH_DIFFERS)
def test_torch_takes_the_other_subgradient_where_the_docstring_says_so(name):
    x = jnp.array(list(TORCH_DIFFERS[name]))
    _, dx, dy = torch_run(name, x, jnp.ones)
    np.testing.assert_allclose(dx, list(TORCH_DIFFERS[name].values()), **CLOSE)
    assert (run(name, x, dy)[1] != dx).all()


def test_torch_cuts_softplus_off_at_twenty_and_we_do_not():
    x = jnp.array([20.5, 30.0])
    y, _, _ = torch_run("softplus", x, jnp.ones)
    np.testing.assert_array_equal(y, x)
    ours = softplus().apply((), x)
    assert (ours > x).all() and abs(ours - x).max() < 2.1e-9
