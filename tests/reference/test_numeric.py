"""The witnesses that see values only: bars that cover, errors as numbers."""

import struct
import zlib

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from reference import chance
from reference.verdict import Verdict
from reference.verifier.numeric import (
    Difference,
    along,
    directional_derivative,
    judge_difference,
    taylor,
)

# name -> (f of a module with sin, exp, ... and x; the points). f is evaluated once by
# NumPy, as the black box, and once by mpmath with 60 digits, as the truth.
ZOO = {
    "sin": (lambda m, x: m.sin(x), [0.0, 0.5, 1.0, -2.0, 30.0, 1e2, 1e3, 1e4]),
    "exp": (lambda m, x: m.exp(x), [0.0, 1.0, -1.0, -20.0, 20.0, -200.0, 100.0, 3.0]),
    "log": (lambda m, x: m.log(x), [1e-12, 1e-9, 1e-6, 1e-3, 0.3, 1.0, 7.0, 1e6]),
    "1e9 + sin": (lambda m, x: 1e9 + m.sin(x), [0.1, 0.3, 0.7, 1.0, 2.0, 2.5, -1, -3]),
    "1e-12 sin": (lambda m, x: 1e-12 * m.sin(x), [0.0, 0.3, 1.0, 2.0, -1.0, 9.0]),
    "1e-300 exp": (lambda m, x: 1e-300 * m.exp(x), [0.0, 1.0, 2.0, -3.0]),
    "1e300 sin": (lambda m, x: 1e300 * m.sin(x), [0.3, 1.0, 2.0]),
    "sin 1e4": (
        lambda m, x: m.sin(1e4 * x),
        [0.0, 0.3, 0.7, 1.0, 2.0, -1.7, -1.8, 9.0],
    ),
    "sin 1e6": (lambda m, x: m.sin(1e6 * x), [0.0, 0.3, 0.7, 1.0, -1.1, 2.3, 2.6, 1.4]),
    "square": (lambda m, x: x * x, [1e12, 1e8, 1e3, 1.0, 0.5, 1e-3, 1e-8]),
    "cube": (lambda m, x: x * x * x - 3 * x, [0.1, 1.0000001, -3.0, 100.0, 0.99, 2.0]),
    "ninth": (lambda m, x: x**9 - 4 * x**5 + x, [0.3, 1.3, -2.0, 0.01, 3.0]),
    "tanh": (lambda m, x: m.tanh(x), [0.0, 0.3, 1.0, 3.0, 5.0, 10.0, 15.0, 25.0]),
    "logistic": (lambda m, x: 1 / (1 + m.exp(-x)), [0.0, 3.0, -3.0, -30.0, 30.0, 36.0]),
    "inverse": (lambda m, x: 1 / x, [1e3, 1.0, -1e-2, 1e-3, 1e-6, 5e-8, 1e-9, 3.0]),
    "sqrt": (lambda m, x: m.sqrt(x), [1e8, 1.0, 0.2, 1e-3, 1e-6, 1e-8, 1e-10]),
    "x sqrt": (lambda m, x: x * m.sqrt(x), [1e-8, 1e-6, 1e-3, 1.0, 50.0]),
    "cancelling": (lambda m, x: (1e9 + m.sin(x)) - 1e9, [0.3, 1.0, 1.885, -0.4, 2.2]),
    "runge": (lambda m, x: 1 / (1 + 25 * x * x), [0.0, 0.1, 0.2, 0.5, 1.0, -0.3]),
    "narrow": (lambda m, x: m.exp(-x * x / 2e-6), [0.0, 1e-3, 2e-3, -1e-3, 5e-4]),
    "x sin 1/x": (lambda m, x: x * m.sin(1 / x), [3e-3, 0.01, 0.03, 0.1, 0.3, 1.0]),
    "cos log": (lambda m, x: m.cos(m.log(x)), [1e-4, 1e-3, 0.01, 0.1, 1.0, 40.0]),
    "line": (lambda m, x: 3.7 * x + 0.1, [0.0, 1.0, -7.0, 1e3, 1e6]),
    "constant": (lambda m, x: 5.0 + 0 * x, [0.0, 1.0]),
    "softplus": (lambda m, x: m.log(1 + m.exp(-1e6 * x)), [0.0, 1e-6, -1e-7, 3e-6]),
    "exp 30": (lambda m, x: m.exp(30 * x), [0.0, 1.0, -1.0]),
    "ripple": (lambda m, x: m.sin(x) + 1e-6 * m.sin(1e5 * x), [0.0, 1.0, 2.0, -1.3]),
    "pole": (lambda m, x: 1 / (x - 1), [1.0001, 0.9, 1 + 1e-7, 1 + 1e-5, 2.0]),
    "gaussian": (lambda m, x: m.exp(-x * x / 2), [0.0, 0.5, 1.0, 3.0, 6.0, -8.0]),
    "arctan": (
        lambda m, x: m.arctan(x) if m is np else m.atan(x),
        [0.0, 1.0, 9.0, 1e3],
    ),
    "sinh": (lambda m, x: m.sinh(x), [0.0, 1.0, -5.0, 50.0]),
    "quotient": (lambda m, x: m.sin(x) / x, [0.1, 1.0, 3.0, -9.0, 1e-3]),
    "gelu": (lambda m, x: x / (1 + m.exp(-1.702 * x)), [0.0, 1.0, -1.0, 4.0, -9.0]),
    "power": (lambda m, x: m.exp(0.1 * m.log(x)), [1e-9, 1e-3, 1.0, 9.0]),
}
NOISY = ["sin", "exp", "runge", "tanh", "cube", "sqrt", "cos log", "gaussian", "gelu"]
CASES = [(name, float(x), 0.0) for name, (_, points) in ZOO.items() for x in points]
CASES += [(name, float(x), 1e-6) for name in NOISY for x in ZOO[name][1][1:4]]


def _phi(name, x, noise=0.0):
    def phi(t):
        value = float(ZOO[name][0](np, np.float64(x + t)))
        return value + noise * (zlib.crc32(struct.pack("d", t)) / 2**31 - 1)

    return phi


def _truth(name, x):
    with mpmath.workdps(60):
        f = ZOO[name][0]
        return float(mpmath.diff(lambda t: f(mpmath.mp, mpmath.mpf(x) + t), 0))


def test_the_zoo_has_two_hundred_functions():
    assert len(CASES) >= 200


@pytest.mark.parametrize("name,x,noise", CASES)
def test_bar_covers_the_derivative(name, x, noise):
    d = directional_derivative(_phi(name, x, noise))
    # Worst of these: 2.6 bars; of 7500 random points: 5.5.
    assert abs(d.value - _truth(name, x)) <= 10 * d.error
    assert d.evaluations <= 101


@pytest.mark.parametrize(
    "name,x,visible",
    [
        ("sin", 1.0, 1e-13),
        ("1e-12 sin", 1.0, 1e-13),
        ("exp", 20.0, 1e-12),
        ("log", 1e-3, 1e-12),
        ("inverse", 1e-6, 1e-12),
        ("sin 1e4", 1.0, 1e-9),
        ("ripple", 1.0, 1e-8),
        ("square", 1e8, 1e-6),
        ("1e9 + sin", 1.0, 1e-5),
    ],
)
def test_bar_is_narrow_where_values_allow(name, x, visible):
    assert directional_derivative(_phi(name, x)).visible <= visible


def test_noise_widens_the_bar_to_its_size():
    d = directional_derivative(_phi("sin", 1.0, 1e-6))
    assert 1e-7 <= d.error <= 1e-3


@pytest.mark.parametrize(
    "phi,low,high",
    [
        (abs, -1.0, 1.0),
        (lambda t: max(t, 0.0), 0.0, 1.0),
        (lambda t: 1e-6 * abs(t) + np.sin(t + 1), np.cos(1) - 1e-6, np.cos(1) + 1e-6),
        (lambda t: np.exp(t) if t > 0 else 1 - t, -1.0, 1.0),
    ],
)
def test_bar_is_the_interval_of_slopes_at_a_kink(phi, low, high):
    d = directional_derivative(phi)
    np.testing.assert_allclose(d.value - d.error, low, atol=2e-8)
    np.testing.assert_allclose(d.value + d.error, high, atol=2e-8)


@pytest.mark.parametrize("distance", [1e-3, 1e-5, 1e-7, 1e-9, 1e-11, 1e-13])
def test_bar_covers_beside_a_kink(distance):
    d = directional_derivative(lambda t: abs(t - distance) + np.sin(t + 1))
    assert abs(d.value - (np.cos(1) - 1)) <= 10 * d.error


def test_half_precision_inside_shows_in_the_bar():
    d = directional_derivative(lambda t: np.sin(np.float32(1 + t)))
    assert abs(d.value - np.cos(1)) <= 10 * d.error
    assert d.visible > 1e-8


def test_nothing_finite_has_an_infinite_bar():
    assert directional_derivative(lambda t: np.nan).error == np.inf
    assert directional_derivative(lambda t: np.nan if t == 0 else t).error == np.inf
    assert directional_derivative(lambda t: np.log(t)).error == np.inf
    assert directional_derivative(lambda t: np.inf).visible == np.inf


def test_zero_function_is_exactly_zero():
    assert directional_derivative(lambda t: 0.0) == Difference(0.0, 0.0, 0.0, 61)


@pytest.mark.parametrize(
    "hand,value,error,tolerance,verdict",
    [
        (2.0, 2.0, 1e-9, 0.0, Verdict.RIGHT),
        (2.0 + 7.9e-9, 2.0, 1e-9, 0.0, Verdict.RIGHT),
        (2.0 + 8.1e-9, 2.0, 1e-9, 0.0, Verdict.WRONG),
        (2.0 + 8.1e-9, 2.0, 1e-9, 1e-8, Verdict.RIGHT),
        (2.0 + 1.1e-8, 2.0, 1e-9, 1e-8, Verdict.WRONG),
        (2.0, 2.0, 3e-6, 0.0, Verdict.INCONCLUSIVE),
        (-2.0, 2.0, 3e-6, 0.0, Verdict.WRONG),
        (np.nan, 2.0, 1e-9, 0.0, Verdict.WRONG),
        (np.inf, 2.0, 1e-9, 0.0, Verdict.WRONG),
        (2.0, 0.0, np.inf, 0.0, Verdict.INCONCLUSIVE),
        (np.nan, 0.0, np.inf, 0.0, Verdict.INCONCLUSIVE),
        (0.0, 0.0, 1e-20, 0.0, Verdict.INCONCLUSIVE),
        (0.0, 0.0, 0.0, 0.0, Verdict.RIGHT),
        (1e-300, 0.0, 0.0, 0.0, Verdict.WRONG),
    ],
)
def test_three_verdicts(hand, value, error, tolerance, verdict):
    visible = error / abs(value) if value else (np.inf if error else 0.0)
    d = Difference(value, error, visible, 61)
    assert judge_difference(float(hand), d, tolerance) is verdict


@pytest.mark.parametrize("wrong", [1e-9, 1e-6, 1e-3, -1.0, 1.0])
@pytest.mark.parametrize("name", ["sin", "1e-12 sin", "exp", "tanh", "runge"])
def test_relative_errors_are_seen(name, wrong):
    x = 1.0
    d, truth = directional_derivative(_phi(name, x)), _truth(name, x)
    assert judge_difference(truth, d, 0.0) is Verdict.RIGHT
    assert judge_difference(truth * (1 + wrong), d, 0.0) is Verdict.WRONG


@pytest.mark.parametrize("wrong", [0.0, 1e-6, 1e-4, 0.1, -0.1, -1.0, -2.0])
@pytest.mark.parametrize(
    "name,x",
    [("sin", 0.0), ("sin", 1.0), ("exp", 1.0), ("cube", 0.1), ("pole", 0.9)]
    + [("log", 1e-3), ("line", 1.0), ("1e-12 sin", 1.0), ("sin 1e4", 1.0)],
)
def test_taylor_finds_the_relative_error(name, x, wrong):
    t = taylor(_phi(name, x), _truth(name, x) * (1 + wrong))
    # Worst: 0.7 bars.
    assert abs(t.relative_error - wrong) <= 10 * t.uncertainty
    assert t.uncertainty <= 1e-9


@pytest.mark.parametrize(
    "phi,slope",
    [
        (lambda t: 3 * (0.7 + t) + 0.1, 3.0),
        (lambda t: (0.7 + t) ** 2, 1.4),
        (lambda t: 0.0, 0.0),
        (lambda t: 1e8 - t / 7, -1 / 7),
    ],
)
def test_taylor_calls_linear_exact(phi, slope):
    t = taylor(phi, slope)
    assert t.exact
    assert abs(t.relative_error) <= 10 * t.uncertainty
    assert not taylor(phi, slope + 0.01).exact


def test_taylor_passes_an_inflection():
    # The remainder falls with h^5 there: the third derivative vanishes.
    t = taylor(lambda t: t + t**5, 1.0)
    assert not t.exact and abs(t.relative_error) <= 1e-14
    order = np.log(t.remainders[0] / t.remainders[4]) / np.log(t.steps[0] / t.steps[4])
    assert abs(order - 5) < 1e-3


def test_taylor_returns_the_picture():
    t = taylor(lambda t: np.sin(1 + t), np.cos(1) * (1 + 1e-4))
    h = t.steps[30]
    np.testing.assert_allclose(t.remainders[30], 2 * h * 1e-4 * np.cos(1), rtol=1e-2)
    assert t.rounding == 32 * 2.0**-53 * np.sin(1.5)
    assert t.steps[0] == 0.5 and t.steps[-1] < 2e-12


def test_taylor_survives_an_edge_of_the_domain():
    t = taylor(lambda t: np.log(1e-3 + t), 1e3 * (1 + 1e-5))
    assert abs(t.relative_error - 1e-5) <= 1e-10
    assert not np.isfinite(t.remainders[0])
    assert taylor(lambda t: np.nan, 1.0).uncertainty == np.inf


def _black_box(params, x, ids):
    """Untraceable: np.asarray and a Python branch on values."""
    w = np.asarray(params["w"])
    y = np.asarray(x) @ w if float(np.sum(w)) > -1e9 else w
    return {"y": np.tanh(y), "row": w[np.asarray(ids)], "ids": ids}


def test_along_reaches_into_pytrees(keys):
    w = np.asarray(chance.normal(next(keys), (3, 5)))
    x = chance.normal(next(keys), (2, 3))
    ids = np.array([2, 0, 2])
    dw = np.asarray(chance.normal(next(keys), (3, 5)))
    dx = np.asarray(chance.normal(next(keys), (2, 3)))
    weight = {
        "y": chance.normal(next(keys), (2, 5)),
        "row": np.asarray(chance.normal(next(keys), (3, 5))),
        "ids": np.zeros(3, jax.dtypes.float0),
    }
    args, direction = ({"w": w}, x, ids), ({"w": dw}, dx, np.zeros(3, int))
    d = directional_derivative(along(_black_box, args, direction, weight))
    y = np.tanh(x @ w)
    truth = np.sum(weight["y"] * (1 - y**2) * (dx @ w + np.asarray(x) @ dw))
    truth = float(truth + np.sum(weight["row"] * dw[ids]))
    assert judge_difference(truth, d, 0.0) is Verdict.RIGHT
    assert judge_difference(truth * (1 + 1e-9), d, 0.0) is Verdict.WRONG


def test_along_keeps_the_kind_of_array():
    def f(x, z):
        assert isinstance(x, jax.Array) and isinstance(z, np.ndarray)
        assert x.dtype == z.dtype == np.float64
        return x.at[0].multiply(2.0) + jnp.asarray(z)

    phi = along(f, (jnp.ones(2), np.ones(2)), (np.ones(2), np.zeros(2)), np.ones(2))
    np.testing.assert_allclose(directional_derivative(phi).value, 3.0, rtol=1e-12)


def test_along_refuses_to_broadcast():
    x = np.ones(2)
    with pytest.raises(ValueError, match=r"along: direction must have shape \(2,\)"):
        along(np.sin, (x,), (np.ones((1, 2)),), x)(0.0)
    with pytest.raises(ValueError, match=r"along: weight must have shape \(2,\), got"):
        along(np.sin, (x,), (x,), np.ones(1))(0.0)
