"""ROUNDING on inputs that eat digits, and a truth that loses them itself.

The figures of the tables are ratios to what autodiff's own error allows, in float32:
3 and more is IMPRECISE.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.nn import sigmoid, softmax

from reference import Verdict, check_vjp

RIGHT, WRONG, IMPRECISE = Verdict.RIGHT, Verdict.WRONG, Verdict.IMPRECISE
EPS = 1e-5


def draw(*shape, seed=0):
    """Standard normal numbers."""
    rng = np.random.default_rng([11, seed])
    return rng.standard_normal(shape).astype(np.float32)


def slow(*values):
    """A case that runs under -m slow."""
    return pytest.param(*values, marks=pytest.mark.slow)


def judged(f, backward, *args, dtypes=None):
    """The report on the cotangent `backward(args, dy)` of f."""
    return check_vjp(lambda *a: (f(*a), a), backward, *args, dtypes=dtypes)


def ratio(report, dtype="float32"):
    """The largest ratio of a leaf."""
    return max(leaf.rounding[dtype] for leaf in report.leaves.values())


def mean(x):
    return jnp.mean(x, axis=-1, keepdims=True)


def layer_norm(x):
    centred = x - mean(x)
    return centred / jnp.sqrt(mean(centred**2) + EPS)


def layer_norm_backward(variance):
    """The layer norm's, with a variance of one's own."""

    def backward(args, dy):
        (x,) = args
        root = jnp.sqrt(variance(x) + EPS)
        xhat = (x - mean(x)) / root
        return ((dy - mean(dy) - xhat * mean(dy * xhat)) / root,)

    return backward


def two_passes(x):
    return mean((x - mean(x)) ** 2)


def one_pass(x):
    return mean(x**2) - mean(x) ** 2


@pytest.mark.parametrize(
    "variance,shift,verdict,least,most",
    [
        slow(two_passes, 0.0, RIGHT, 0.0, 1.5),
        slow(two_passes, 1e2, RIGHT, 0.0, 1.5),
        (two_passes, 1e4, RIGHT, 0.0, 1.5),
        slow(one_pass, 0.0, RIGHT, 0.0, 1.5),
        slow(one_pass, 1e2, IMPRECISE, 10.0, np.inf),
        (one_pass, 1e4, IMPRECISE, 10.0, np.inf),
    ],
)
def test_a_layer_norm_far_from_zero(variance, shift, verdict, least, most):
    x = draw(5, 17) + np.float32(shift)
    report = judged(layer_norm, layer_norm_backward(variance), x)
    assert report.verdict is verdict, report
    assert least <= ratio(report) <= most


def softmax_backward(args, dy):
    p = softmax(args[0])
    return (p * (dy - jnp.sum(p * dy, axis=-1, keepdims=True)),)


def raw_softmax_backward(args, dy):
    e = jnp.exp(args[0])
    p = e / jnp.sum(e, axis=-1, keepdims=True)
    return (p * (dy - jnp.sum(p * dy, axis=-1, keepdims=True)),)


@pytest.mark.parametrize(
    "scale,backward,verdict",
    [
        (1, softmax_backward, RIGHT),
        slow(30, softmax_backward, RIGHT),
        slow(88, softmax_backward, RIGHT),
        (200, softmax_backward, RIGHT),
        slow(1, raw_softmax_backward, IMPRECISE),  # It overflows at 30 times these.
        (200, raw_softmax_backward, IMPRECISE),
    ],
)
def test_softmax_at_large_logits(scale, backward, verdict):
    x = draw(3, 7)
    x *= np.float32(scale) / np.abs(x).max()
    assert judged(softmax, backward, x).verdict is verdict


def log_of_exp(x):
    return jnp.log(1 + jnp.exp(x))


def test_a_backward_that_beats_autodiff_is_told():
    def backward(args, dy):
        return (dy * sigmoid(args[0]),)

    finite = judged(log_of_exp, backward, draw(5) + np.float32(95))
    assert finite.verdict is RIGHT
    assert "better than autodiff in float32, which is not finite" in str(finite)
    nearer = judged(layer_norm_by_one_pass, layer_norm_backward(two_passes), far())
    assert nearer.verdict is RIGHT
    assert "better than autodiff in float32, which is" in str(nearer)


def test_a_backward_as_good_as_autodiff_is_not_praised():
    report = judged(layer_norm, layer_norm_backward(two_passes), draw(5, 17))
    assert "better" not in str(report)


def layer_norm_by_one_pass(x):
    return (x - mean(x)) / jnp.sqrt(one_pass(x) + EPS)


def far():
    return draw(5, 17) + np.float32(100)


def sech_squared(x):
    e = jnp.exp(-2 * jnp.abs(x))
    return 4 * e / (1 + e) ** 2


def logistic_slope(x):
    return sigmoid(x) * sigmoid(-x)


SATURATED = {  # f, its slope, x where autodiff's y (1 - y) or 1 - y^2 is all rounding
    "sigmoid, y = 1": (sigmoid, logistic_slope, (50.0, 70.0, 90.0)),
    "sigmoid, y near 1": (sigmoid, logistic_slope, (30.0, 36.0, 37.0, 38.0)),
    "tanh": (jnp.tanh, sech_squared, (20.0, -25.0, 30.0)),
    "tanh by sigmoid": (lambda x: 2 * sigmoid(2 * x) - 1, sech_squared, (20.0, -25.0)),
    "tanh by exponentials": (
        lambda x: (jnp.exp(x) - jnp.exp(-x)) / (jnp.exp(x) + jnp.exp(-x)),
        sech_squared,
        (20.0, -25.0, 30.0),
    ),
}


FEW = [name if name == "tanh" else slow(name) for name in SATURATED]


@pytest.mark.parametrize("name", FEW)
@pytest.mark.parametrize("factor", [1.0, 1.01])
def test_a_slope_that_autodiff_loses_in_float64(name, factor):
    f, slope, x = SATURATED[name]
    x = np.array(x, np.float32)
    report = judged(f, lambda args, dy: (dy * factor * slope(args[0]),), x)
    assert report.verdict is (RIGHT if factor == 1 else WRONG), report


@pytest.mark.parametrize("name", FEW)
def test_what_rounding_of_autodiff_does_not_explain_is_wrong(name):
    f, slope, x = SATURATED[name]

    def backward(args, dy):
        return (dy * (slope(args[0]) + 1e-12),)

    with jax.enable_x64(True):
        assert judged(f, backward, np.array(x)).verdict is WRONG


def test_a_jump_at_a_tie_is_not_taken_for_rounding():
    def backward(args, dy):
        x, y = args
        share = 0.5 * (x > y) + (x == y)  # At a tie all, elsewhere half.
        return 2 * dy * share, 2 * dy * (1 - share)

    x = draw(5)
    assert judged(jnp.maximum, backward, x, x).verdict is WRONG


def test_the_operation_that_misleads_reverse_mode_is_named():
    def safe_root(x):
        return jnp.where(x > 0, jnp.sqrt(x), 0.0) + x

    def backward(args, dy):
        (x,) = args
        root = jnp.sqrt(jnp.where(x > 0, x, 1.0))
        return (dy * jnp.where(x > 0, 0.5 / root, 0.0) + dy,)

    def rounded(x):
        return jnp.round(8 * x) / 8 + jax.lax.stop_gradient(x)

    oracle_names = misleading_in(safe_root, np.array([-1.0, 2.0]))
    assert any("select_n" in name and "not finite" in name for name in oracle_names)
    assert not misleading_in(safe_root, np.array([1.0, 2.0]))
    names = misleading_in(rounded, np.array([1.0, 2.0]))
    assert [n.split(" ")[0] for n in names] == ["round", "stop_gradient"]
    assert judged(safe_root, backward, draw(5)).verdict in (RIGHT, Verdict.KINK)


def misleading_in(f, x):
    """The operations of f that can mislead autodiff at x."""
    from reference.verifier.oracle import Oracle, exact_arithmetic
    from reference.verifier.problem import flatten
    from reference.verifier.subject import Subject

    subject = Subject("f", lambda x: (f(x), x), lambda r, dy: (dy,), (x,), ("x",))
    with exact_arithmetic():
        problem = flatten(subject, f(x))
        return Oracle(problem.functions).misleading([x], [])
