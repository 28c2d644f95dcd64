"""Every kind of point is told from every other, by slopes and by values alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from reference.verifier.kinks import dodge, gap_exponent, secants

SMOOTH = {
    "sine": (jnp.sin, 1.0),
    "sine at its zero": (jnp.sin, 0.0),
    "sine of 1e4 x": (lambda x: jnp.sin(1e4 * x), 0.3),
    "line": (lambda x: 3 * x, 1.0),
    "zero": (lambda x: 0 * x, 0.0),
    "x^2": (lambda x: x**2, 0.0),
    "x^3": (lambda x: x**3, 0.0),
    "x^4": (lambda x: x**4, 0.0),
    "x^6": (lambda x: x**6, 0.0),
    "x^7": (lambda x: x**7, 0.0),
    "exp": (jnp.exp, 3.0),
    "exp - x": (lambda x: jnp.exp(x) - x, 0.0),
    "saturated tanh": (jnp.tanh, 18.0),
    "log near its edge": (jnp.log, 1e-3),
    "log at its edge": (jnp.log, 2e-9),
    "sqrt near its edge": (jnp.sqrt, 1e-8),
    "softplus of 1e6 x": (
        lambda x: jnp.log1p(jnp.exp(-1e6 * abs(x))) / 1e6 + jnp.maximum(x, 0),
        0.0,
    ),
    "huber at its seam": (lambda x: jnp.where(x < 1, x * x / 2, x - 0.5), 1.0),
    "between jumps": (jnp.floor, 2.5),
    "a kink at 0.03": (lambda x: abs(x - 0.03) + x**2, 0.0),
}
KINKS = {
    "relu": (lambda x: jnp.maximum(x, 0), 0.0),
    "abs": (abs, 0.0),
    "clip": (lambda x: jnp.clip(x, -1, 1), 1.0),
    "hinge": (lambda x: jnp.maximum(1 - x, 0), 1.0),
    "soft threshold": (lambda x: jnp.sign(x) * jnp.maximum(abs(x) - 0.5, 0), 0.5),
    "max tie": (lambda x: jnp.max(jnp.stack([2 * x, 1 + x])), 1.0),
    "median tie": (lambda x: jnp.sort(jnp.stack([x, 0 * x + 1, 9 - x]))[1], 1.0),
    "small in a curve": (lambda x: 1e-3 * abs(x) + jnp.exp(5 * x), 0.0),
    "in a ripple": (lambda x: abs(x) + jnp.sin(1e4 * x), 0.0),
    "under an explosion": (lambda x: jnp.exp(1e3 * x) + 10 * abs(x), 0.0),
}
HOELDER = {
    "|x|^4/3": (lambda x: jnp.cbrt(x) ** 4, 0.0),
    "|x|^3/2": (lambda x: abs(x) ** 1.5, 0.0),
    "odd, of even slope": (lambda x: jnp.cbrt(abs(x)) * x, 0.0),
}
SINGULAR = {
    "sqrt |x|": (lambda x: jnp.sqrt(abs(x)), 0.0),
    "cbrt, of even slope": (jnp.cbrt, 0.0),
    "x log |x|": (lambda x: x * jnp.log(abs(x)), 0.0),
    "log |x|": (lambda x: jnp.log(abs(x)), 0.0),
    "1/x": (lambda x: 1 / x, 0.0),
    "sqrt at its edge": (jnp.sqrt, 0.0),
}
JUMPS = {
    "floor": (jnp.floor, 2.0),
    "step": (lambda x: jnp.where(x > 0, 1.0, 0.0) + jnp.sin(x), 0.0),
}
NEAR = {
    "near tie 1e-9": (lambda x: jnp.maximum(x, 1e-9), 0.0, 1e-9),
    "3e-6": (lambda x: abs(x - 3e-6) + x**2, 0.0, 3e-6),
    "1e-4 in a curve": (lambda x: abs(x - 1e-4) + jnp.exp(x), 0.0, 1e-4),
    "3e-12": (lambda x: jnp.maximum(x, 3e-12), 0.0, 3e-12),
    "dead zone": (
        lambda x: jnp.maximum(x - 1e-6, 0) - jnp.maximum(-x - 1e-6, 0),
        0.0,
        1e-6,
    ),
    "jump at 1e-8": (jnp.floor, 2 - 1e-8, 1e-8),
}
KINDS = {
    "smooth": SMOOTH,
    "kink": KINKS,
    "hoelder": HOELDER,
    "singular": SINGULAR,
    "discontinuous": JUMPS,
    "near kink": NEAR,
}
CASES = [(kind, name) for kind, cases in KINDS.items() for name in cases]


def _slope_and_value(f, x):
    def slope_at(h):
        at = jnp.asarray(x + h, jnp.float64)
        return float(jax.jvp(f, (at,), (jnp.ones_like(at),))[1])

    return slope_at, lambda h: float(f(jnp.asarray(x + h, jnp.float64)))


@pytest.mark.parametrize("kind,name", CASES)
def test_slopes_tell_the_kind(kind, name):
    f, x, *distance = KINDS[kind][name]
    found = gap_exponent(*_slope_and_value(f, x))
    assert found.kind == kind
    if distance:
        assert 0.99 * distance[0] <= found.distance <= 10 * distance[0]
    else:
        assert found.distance == 0


@pytest.mark.parametrize("kind,name", CASES)
def test_values_alone_tell_the_kind(kind, name):
    f, x, *_ = KINDS[kind][name]
    _, value_at = _slope_and_value(f, x)
    slope_at, noise_at = secants(value_at)
    assert gap_exponent(slope_at, value_at, noise_at=noise_at).kind == kind


@pytest.mark.parametrize(
    "name,exponent",
    [("|x|^4/3", 1 / 3), ("|x|^3/2", 0.5), ("odd, of even slope", 1 / 3)],
)
def test_exponent_of_hoelder(name, exponent):
    found = gap_exponent(*_slope_and_value(*HOELDER[name]))
    np.testing.assert_allclose(found.exponent, exponent, atol=1e-3)


def test_a_jump_without_values_is_not_seen():
    slope_at, _ = _slope_and_value(jnp.floor, 2.0)
    assert gap_exponent(slope_at).kind == "smooth"


def test_scale_of_a_large_point():
    slope_at, value_at = _slope_and_value(lambda x: jnp.maximum(x - 1e8, 0), 1e8)
    assert gap_exponent(slope_at, value_at).kind == "near kink"
    assert gap_exponent(slope_at, value_at, scale=1e8).kind == "kink"


def test_nothing_finite_is_singular():
    assert gap_exponent(lambda h: np.nan).kind == "singular"


def test_noise_of_slopes_is_no_kink():
    rng = np.random.default_rng(7)

    def slope_at(h):
        return 1.0 + 1e-6 * rng.standard_normal()

    assert gap_exponent(slope_at, noise_at=lambda h: 1e-5).kind == "smooth"
    assert gap_exponent(slope_at).kind != "smooth"


def test_dodge_moves_the_kinky_coordinates_only():
    x = np.array([0.0, 0.5, -2.0, 0.0, 1e-9])
    moved = dodge(x, lambda x: abs(x) < 1e-6, rng=np.random.default_rng(7))
    assert (moved[[1, 2]] == x[[1, 2]]).all()
    assert (abs(moved[[0, 3, 4]]) > 1e-6).all()
    assert (abs(moved - x) < 1e-2).all()


def test_dodge_leaves_a_tie():
    x = np.array([3.0, 3.0, 1.0])

    def tied(x):
        return np.array([np.sum(abs(x - v) < 1e-6) > 1 for v in x])

    moved = dodge(x, tied, rng=np.random.default_rng(7), distance=1e-4)
    assert moved[2] == 1.0
    assert ((abs(moved - x)[:2] >= 3e-3) & (abs(moved - x)[:2] <= 6e-3)).all()


def test_dodge_goes_ten_distances_away():
    x = np.array([1.0])
    moved = dodge(x, lambda y: y == x, rng=np.random.default_rng(7), distance=1e-2)
    assert 0.1 <= abs(moved - x)[0] <= 0.2


def test_dodge_gives_up_after_sixteen_tries():
    calls = []

    def everywhere(x):
        calls.append(x)
        return np.ones(x.shape, bool)

    assert dodge(np.zeros(3), everywhere, rng=np.random.default_rng(7)) is None
    assert len(calls) == 17
