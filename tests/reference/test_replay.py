"""Replaying a jaxpr: widened, inlined, unstopped and noisy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from reference import Verdict, chance, check_vjp
from reference.verifier.eager import first_nonfinite, one_by_one
from reference.verifier.programs import (
    compared_integers,
    custom_derivatives,
    iterations,
    narrowings,
)
from reference.verifier.replay import Change, changed


@jax.custom_vjp
def sine_with_a_wrong_derivative(x):
    return jnp.sin(x)


sine_with_a_wrong_derivative.defvjp(
    lambda x: (jnp.sin(x), x), lambda x, dy: (-jnp.cos(x) * dy,)
)


def everything(x):
    """Every kind of equation that has a body, and narrow casts inside them."""
    y = jax.nn.relu(x) + jax.jit(jnp.tanh)(x.astype(jnp.float32)).astype(x.dtype)
    y, _ = jax.lax.scan(lambda c, a: (jnp.logaddexp(c, a), c), y, jnp.stack([y, 2 * y]))
    y = y.at[jnp.array([0, 0])].add(y[1].astype(jnp.bfloat16).astype(x.dtype))
    y = jax.lax.cond(y.sum() > 0, lambda z: z + 1, lambda z: z, y)
    y = jax.lax.while_loop(lambda z: z.sum() < 30, lambda z: 2 * z, y)
    return jax.checkpoint(jnp.sin)(y)


@pytest.fixture
def x(keys):
    return chance.normal(next(keys), (3,))


def test_an_unchanged_replay_changes_nothing(x):
    np.testing.assert_array_equal(changed(everything, Change())(x), everything(x))


def test_widening_undoes_the_casts(x):
    def plain(x):
        return jnp.tanh(x) + 0.5 * x

    def cast(x):
        return jnp.tanh(x.astype(jnp.float32)) + 0.5 * x.astype(jnp.float32)

    widened = changed(cast, Change(widen=True))(x)
    assert widened.dtype == jnp.float64
    np.testing.assert_array_equal(widened, plain(x))
    assert (
        abs(cast(x).astype(x.dtype) - plain(x)).max() > 1e-9
    )  # The cast does lose digits.


def test_widening_reaches_into_every_body(x):
    assert narrowings(jax.make_jaxpr(changed(everything, Change(widen=True)))(x)) == []
    assert len(narrowings(jax.make_jaxpr(everything)(x))) == 2


def test_a_cast_is_named_with_its_line(x):
    (first, _) = narrowings(jax.make_jaxpr(everything)(x))
    assert first.startswith("test_replay.py:") and "to float32" in first


def test_inlining_opens_a_wrong_derivative(x):
    def total(x):
        return sine_with_a_wrong_derivative(x).sum()

    np.testing.assert_allclose(jax.grad(total)(x), -jnp.cos(x))
    opened = changed(total, Change(inline=True))
    np.testing.assert_array_equal(jax.grad(opened)(x), jnp.cos(x))


def test_unstopping_lets_the_gradient_through(x):
    def total(x):
        return (x * jax.lax.stop_gradient(x)).sum()

    opened = changed(total, Change(unstop=True))
    np.testing.assert_allclose(jax.grad(opened)(x), 2 * x, rtol=1e-15)
    np.testing.assert_array_equal(jax.grad(total)(x), x)


def test_custom_derivatives_are_named():
    names = custom_derivatives(jax.make_jaxpr(sine_with_a_wrong_derivative)(1.0))
    assert len(names) == 1 and names[0].startswith("custom_vjp_call")


def test_noise_is_of_the_size_of_rounding_and_grows_with_cancellation(x):
    def noise_of(f):
        runs = [changed(f, Change(seed=np.uint32(s)))(x) for s in range(8)]
        return float(np.ptp(np.stack(runs), axis=0).max())

    assert 0 < noise_of(jnp.exp) < 1e-14
    assert 1e-9 < noise_of(lambda x: (x + 1e8) - 1e8) < 1e-6
    assert noise_of(lambda x: -x) == 0  # Negation is exact.


def test_integers_that_a_function_compares_with_are_found():
    def masked(labels):
        return jnp.where(labels == -100, 0, labels)

    assert compared_integers(jax.make_jaxpr(masked)(jnp.arange(3))) == [-100]


def test_the_first_overflow_is_named(x):
    def f(x):
        return jnp.log(jnp.exp(x))

    assert first_nonfinite(jax.make_jaxpr(f)(x), 1e4 + x)[0] == "exp"
    assert first_nonfinite(jax.make_jaxpr(f)(x), x) == ("", ())
    assert first_nonfinite(jax.make_jaxpr(jnp.log)(x), 0 * x)[0] == "log"


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_one_by_one_rounds_every_result(dtype):
    """Compiled together they may keep what 16 bits lose: 300² overflows float16."""

    def cancelling(x):
        half = x * (x / 2)
        return jax.nn.relu((jnp.exp(-x / 40) - 1) + 1), x * x - half - half

    x = jnp.linspace(300, 400, 7, dtype=dtype)
    apart = one_by_one(cancelling)(x)
    for a, b in zip(apart, cancelling(x)):
        np.testing.assert_array_equal(a, b)
    if dtype == jnp.float16:
        assert not np.isfinite(apart[1]).any()


def test_prolonged_loops_run_twice_as_long_and_a_step():
    def double(x):
        y = jax.lax.fori_loop(0, 3, lambda _, y: 2 * y, x)
        return jax.lax.while_loop(lambda y: y.max() < 100 * x.max(), lambda y: 2 * y, y)

    def cumulative(x):
        return jax.lax.scan(lambda c, a: (c + a, c), 0 * x[0], x)

    x = jnp.array([1.0, 0.5])
    assert iterations(jax.make_jaxpr(double)(x))
    assert not iterations(jax.make_jaxpr(cumulative)(x))
    twice = changed(double, Change(prolong=True))(x)
    np.testing.assert_array_equal(twice, 128 * x)  # 7 steps, then none.
    np.testing.assert_array_equal(
        changed(cumulative, Change(prolong=True))(x)[0], cumulative(x)[0]
    )


def halved_below_one(x):
    """As often as each entry needs it: under vmap, whoever is done waits."""
    halve = jax.vmap(lambda x: jax.lax.while_loop(lambda y: y > 1, lambda y: y / 2, x))
    return halve(x)


def test_a_loop_under_vmap_ends_for_each_entry_by_itself():
    x = jnp.array([[0.7, 5.0], [3.0, 100.0]])
    halved = jax.vmap(halved_below_one)
    np.testing.assert_array_equal(changed(halved, Change())(x), halved(x))
    twice = changed(halved, Change(prolong=True))(x)  # 0, 4, 3 and 8 steps more.
    np.testing.assert_array_equal(twice, halved(x) / 2.0 ** np.array([[0, 4], [3, 8]]))
    slopes = jax.jvp(changed(halved, Change(inline=True)), (x,), (jnp.ones_like(x),))[1]
    np.testing.assert_array_equal(slopes, halved(x) / x)


@pytest.mark.parametrize("n,rounds", [(256, False), (3000, True)])
def test_a_whole_number_that_a_narrow_dtype_rounds_is_noise(n, rounds):
    def f(x):
        return x.astype(jnp.bfloat16) / n

    with jax.enable_x64(True):
        change = [Change(widen=True, seed=np.uint32(k)) for k in range(8)]
        runs = np.array([changed(f, c)(jnp.ones(1))[0] for c in change])
    assert (np.ptp(runs) * n > 1e-3) == rounds


def test_the_noise_of_a_maximum_that_starts_from_minus_infinity_is_a_number():
    def shifted(x):
        narrow = x.astype(jnp.float32) / 3.1
        return jnp.exp(narrow - jnp.max(narrow, initial=-jnp.inf))

    with jax.enable_x64(True):
        change = [Change(widen=True, seed=np.uint32(k)) for k in range(8)]
        runs = np.array([changed(shifted, c)(jnp.arange(3.0)) for c in change])
    assert np.isfinite(runs).all()
    assert (np.ptp(runs[:, :2], axis=0) > 1e-9).all()


@pytest.mark.parametrize("wrong", [False, True])
def test_a_jump_of_the_backward_is_no_rounding(wrong):
    """The wrong one takes sign(1 - s s), which is 0, and ±1 at the last bits of s."""

    def forward(x, s):
        return jnp.maximum(1 - s * x, 0), (x, s)

    def backward(residuals, dy):
        x, s = residuals
        hit, own = ((jnp.sign(1 - s * v) + 1) / 2 for v in (s if wrong else x, x))
        return -s * hit * dy, -x * own * dy

    x, s = np.array([0.3, -1.2, 2.5, 0.7, -0.4]), np.array([1.0, -1, 1, -1, 1])
    report = check_vjp(forward, backward, x, s)
    verdict = Verdict.WRONG if wrong else Verdict.RIGHT
    assert report.leaves["args[0]"].verdict is verdict, report
