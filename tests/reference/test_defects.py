"""Every known defect of other checkers, as a regression test of this one.

Each test plants the wrong backward pass that another tool calls right, and asks for the
verdict. The defects were found by running or by reading jax.test_util (JAX 0.10.2),
torch's gradcheck, NVIDIA Warp, ChainRulesTestUtils, EnzymeTestUtils, Chainer and
pyadjoint; where it is jax.test_util, the test shows that it does accept.
"""

import json
import re
from dataclasses import fields

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_vjp as jax_check_vjp

from reference import Verdict, check_gradient, check_vjp
from reference.report import SCHEMA, Leaf, Report, assert_correct

RIGHT, WRONG = Verdict.RIGHT, Verdict.WRONG


def pair(f, damage=lambda *dargs: dargs):
    """f and its pullback, the latter passed through `damage`."""

    def forward(*args):
        return f(*args), args

    def backward(args, dy):
        return tuple(damage(*jax.vjp(f, *args)[1](dy)))

    return forward, backward


def verdicts(report):
    """From a leaf's name to its verdict."""
    return {name: leaf.verdict for name, leaf in report.leaves.items()}


def jax_accepts(forward, backward, *args):
    """Whether jax.test_util.check_vjp calls a backward right."""
    f = lambda *args: forward(*args)[0]  # noqa: E731
    pullback = lambda *args: (f(*args), lambda dy: backward(args, dy))  # noqa: E731
    try:
        jax_check_vjp(f, pullback, args)
    except AssertionError:
        return False
    return True


def normalise(x):
    return x / jnp.sqrt(jnp.sum(x * x))


def softmax(x):
    y = jnp.exp(x - jnp.max(x))
    return y / jnp.sum(y)


# jax.test_util


def test_a_direction_that_equals_the_data_of_a_user_hides_nothing():
    """x / |x| does not change along x, and users draw x from RandomState(0) too."""
    x = np.random.RandomState(0).randn(7)
    forward, backward = pair(normalise, lambda dx: (2 * dx,))
    assert jax_accepts(forward, backward, x)
    assert check_vjp(forward, backward, x).verdict is WRONG


@pytest.mark.parametrize("seed", range(3))
def test_data_drawn_with_the_seed_of_the_check_hide_nothing(seed):
    x = np.random.default_rng(seed).standard_normal(7)
    forward, backward = pair(normalise, lambda dx: (2 * dx,))
    assert check_vjp(forward, backward, x, seed=seed).verdict is WRONG


def test_nan_where_autodiff_is_nan_is_not_right():
    """Reverse mode multiplies 0 by infinity below zero, where the derivative is 0."""
    forward, backward = pair(lambda x: jnp.where(x > 0, jnp.sqrt(x), 0))
    x = np.array([-1.0, -2.0, -0.3])
    assert np.isnan(backward((x,), np.ones(3))[0]).all()
    report = check_vjp(forward, backward, x)
    assert report.verdict not in (RIGHT, Verdict.KINK)


def test_nan_where_the_truth_is_finite_is_wrong():
    forward, backward = pair(jnp.sin, lambda dx: (dx.at[2].set(jnp.nan),))
    report = check_vjp(forward, backward, np.array([0.3, -1.2, 0.7]))
    assert report.verdict is WRONG
    assert "is nan at [2]" in report.leaves["args[0]"].sentence


def test_a_tolerance_does_not_grow_with_the_size():
    """1009 numbers in float32: jax.test_util accepts a tangent of flipped sign."""
    x = np.random.default_rng(4).standard_normal(1009).astype(np.float32)
    forward, backward = pair(jnp.sin, lambda dx: (-dx,))
    assert check_vjp(forward, backward, x).verdict is WRONG


def test_leaves_are_never_pooled():
    """Derivatives near 1 are nothing beside one of 1e9 in a common inner product."""

    def f(big, small):
        return 1e9 * jnp.sum(jnp.sin(big)) + jnp.sum(jnp.sin(small))

    forward, backward = pair(f, lambda dbig, dsmall: (dbig, 0 * dsmall))
    args = np.array([0.3, -1.2, 0.7]), np.array([0.5, 2.0])
    assert jax_accepts(forward, backward, *args)
    report = check_vjp(forward, backward, *args)
    assert verdicts(report) == {"args[0]": RIGHT, "args[1]": WRONG}


@pytest.mark.parametrize(
    "damage, sentence",
    [
        (lambda dx: dx[:, None], r"shape \(6,\).*\(6, 1\)"),
        (lambda dx: jnp.sum(dx), r"shape \(6,\).*\(\)"),
        (lambda dx: dx.astype(jnp.float32), r"float64.*float32"),
        (lambda dx: [dx], "structure"),
    ],
    ids=["column", "scalar", "float32", "list"],
)
def test_shape_dtype_and_structure_of_a_cotangent_are_seen(damage, sentence):
    forward, backward = pair(jnp.sin, lambda dx: (damage(dx),))
    report = check_vjp(forward, backward, np.linspace(-1, 1, 6))
    assert report.verdict is Verdict.CONTRACT
    assert re.search(sentence, report.broken[0]), report.broken


def test_integer_and_key_arguments_are_judged_around():
    """An embedding of dropped-out ids: float0 or None where there is no cotangent."""

    def forward(table, ids, key):
        keep = jax.random.bernoulli(key, 0.5, ids.shape)
        return table[ids] * keep[:, None], (ids, keep, table.shape[0])

    def backward(residuals, dy):
        ids, keep, rows = residuals
        dtable = jnp.zeros((rows, dy.shape[1]), dy.dtype)
        return dtable.at[ids].add(dy * keep[:, None]), None, None

    def overwriting(residuals, dy):
        ids, keep, rows = residuals
        dtable = jnp.zeros((rows, dy.shape[1]), dy.dtype)
        return dtable.at[ids].set(dy * keep[:, None]), None, None

    table = np.random.default_rng(2).standard_normal((5, 3))
    args = table, np.array([0, 3, 3, 1, 3, 0, 2]), jax.random.key(2)
    assert check_vjp(forward, backward, *args).verdict is RIGHT
    assert check_vjp(forward, overwriting, *args).verdict is WRONG


def test_a_string_among_the_arguments_breaks_the_contract_in_one_sentence():
    forward, backward = pair(lambda x, mode: jnp.sin(x))
    report = check_vjp(forward, backward, np.array([0.3]), "same")
    assert report.verdict is Verdict.CONTRACT
    assert "args[1]" in report.broken[0] and "\n" not in report.broken[0]


# torch.autograd.gradcheck


@pytest.mark.parametrize(
    "damage",
    [
        lambda dy: jnp.abs(dy),
        lambda dy: jnp.clip(dy, -1, 1),
        lambda dy: jnp.clip(dy, -100, 100),
        lambda dy: jnp.maximum(dy, 0),
        lambda dy: dy * dy,
        lambda dy: dy / (1 + 1e-6 * dy * dy),
    ],
    ids=["abs", "clip 1", "clip 100", "relu", "square", "saturation"],
)
@pytest.mark.parametrize("f", [jnp.tanh, lambda x: jnp.mean(x * x)])
def test_a_backward_that_is_not_linear_in_dy_is_wrong(f, damage):
    forward, right = pair(f)
    backward = lambda args, dy: right(args, damage(dy))  # noqa: E731
    report = check_vjp(forward, backward, np.array([0.3, -1.2, 0.7]))
    assert report.verdict is WRONG


@pytest.mark.parametrize("factor", [0.0, -1.0])
def test_a_small_gradient_is_judged_as_strictly_as_a_large_one(factor):
    """Under dy = 1 the gradient of softmax is zero, whatever a backward returns."""
    x = np.random.default_rng(4).standard_normal(101)
    forward, backward = pair(softmax, lambda dx: (factor * dx,))
    assert check_vjp(forward, backward, x).verdict is WRONG


def test_a_tolerance_does_not_grow_with_the_other_columns_of_the_jacobian():
    """torch's fast mode sums rows of 1e6 first, and allows that much for this entry."""
    weights = 1e6 * np.random.default_rng(4).standard_normal((53, 53))
    weights[7, 3] = 0.0
    forward, right = pair(lambda x: weights.astype(x.dtype) @ x)
    backward = lambda args, dy: (right(args, dy)[0].at[3].add(dy[7]),)  # noqa: E731
    report = check_vjp(forward, backward, np.zeros(53))
    assert report.verdict is WRONG
    assert report.leaves["args[0]"].index == (3,)


# NVIDIA Warp


def test_the_leaf_and_the_entry_that_fail_are_named_and_not_the_last_ones():
    f = lambda a, b, c: jnp.sin(a) * b[:3] + c  # noqa: E731
    forward, backward = pair(f, lambda da, db, dc: (da, db.at[1].multiply(1.01), dc))
    args = np.array([0.3, -1.2, 0.7]), np.linspace(1, 2, 5), np.ones(3)
    report = check_vjp(forward, backward, *args)
    assert verdicts(report) == {"args[0]": RIGHT, "args[1]": WRONG, "args[2]": RIGHT}
    leaf = report.leaves["args[1]"]
    assert leaf.index == (1,)
    assert leaf.relative == pytest.approx(0.01, rel=0.02)
    assert leaf.hand == pytest.approx(1.01 * leaf.autodiff)


def test_one_wrong_entry_in_a_million_is_found():
    """Not among the first k, and its error is a millionth of its value."""
    damage = lambda dx: (dx.at[987_654].multiply(1 + 1e-6),)  # noqa: E731
    forward, backward = pair(jnp.sin, damage)
    x = np.random.default_rng(4).uniform(-1, 1, 1_000_000)
    report = check_vjp(forward, backward, x)
    assert report.verdict is WRONG
    assert report.leaves["args[0]"].index == (987_654,)


# ChainRulesTestUtils and EnzymeTestUtils


def test_nested_containers_are_judged_as_strictly_as_bare_arrays():
    """An error of 5e-9, which they pass inside a container and not outside of one."""
    f = lambda tree: {"y": (jnp.sin(tree["a"][0]["b"]), jnp.cos(tree["c"]))}  # noqa: E731

    def damage(dtree):
        dtree["a"][0]["b"] *= 1 + 5e-9
        return (dtree,)

    forward, backward = pair(f, damage)
    tree = {"a": [{"b": np.array([0.3, 1.2])}], "c": np.array([0.5])}
    report = check_vjp(forward, backward, tree)
    assert sorted(verdicts(report).values()) == [RIGHT, WRONG]
    wrong = next(k for k, v in verdicts(report).items() if v is WRONG)
    assert wrong.endswith("['a'][0]['b']")


def test_a_small_entry_beside_a_large_one_is_judged():
    """Norms compare the vectors (1e9, 1) and (1e9, 2) as equal to 1e-9."""
    f = lambda x: 1e9 * jnp.sin(x[0]) + jnp.sin(x[1]) + 3e9 * jnp.sin(x[2])  # noqa: E731
    forward, backward = pair(f, lambda dx: (dx.at[1].multiply(2),))
    report = check_vjp(forward, backward, np.array([0.3, -1.2, 0.7]))
    assert report.verdict is WRONG
    assert report.leaves["args[0]"].index == (1,)


def test_entries_whose_cotangent_is_zero_are_not_dropped():
    """A backward that invents 1 where dy is 0."""
    forward = lambda x: (jnp.sin(x), x)  # noqa: E731
    backward = lambda x, dy: (jnp.where(dy == 0, 1, jnp.cos(x) * dy),)  # noqa: E731
    assert check_vjp(forward, backward, np.array([0.3, -1.2])).verdict is WRONG


def test_an_infinite_entry_is_not_dropped():
    forward, backward = pair(jnp.sin, lambda dx: (dx.at[1].set(jnp.inf),))
    report = check_vjp(forward, backward, np.array([0.3, -1.2]))
    assert report.verdict is WRONG
    assert "is inf at [1]" in report.leaves["args[0]"].sentence


# What this verifier once got wrong


def test_a_forward_may_close_over_arrays_of_its_own_dtype():
    weights = np.array([0.3, -1.2, 0.7])
    report = check_gradient(lambda x: jnp.sum(weights * x), lambda x: weights, weights)
    assert report.verdict is RIGHT


def test_nothing_is_judged_where_the_forward_is_nan():
    """The logarithm of a negative sum, at weights of signs of their own."""

    def forward(x):
        s = jnp.sum(x, axis=1)
        return jnp.where(s > 0, jnp.log(jnp.where(s > 0, s, 1)), jnp.nan), (x, s)

    def backward(residuals, dy):
        x, s = residuals
        return (jnp.broadcast_to((dy / s)[:, None], x.shape),)

    x = np.array([[0.4, 0.3], [0.2, 0.3], [0.7, 0.1]])
    assert check_vjp(forward, backward, x).verdict is RIGHT


# Chainer


def rough(x):
    """Weierstrass's function, which has no derivative anywhere."""
    k = np.arange(40)
    return float(np.sum(0.7**k * np.cos(np.pi * 9.0**k * np.sum(x))))


def test_a_function_smooth_nowhere_is_not_resampled_for_ever():
    report = check_gradient(rough, np.zeros_like, np.array([0.3, 0.2]))
    assert report.forward_passes < 4000  # 1010 measured.
    assert report.verdict not in (RIGHT, Verdict.KINK)


def test_kinks_at_every_probe_do_not_stop_the_check():
    """|sin(1e9 x)|, whose kinks lie closer than any step could dodge."""
    f = lambda x: jnp.sum(jnp.abs(jnp.sin(1e9 * x)))  # noqa: E731
    forward, backward = pair(f, lambda dx: (1.1 * dx,))
    report = check_vjp(forward, backward, np.array([0.3, 0.2]))
    assert report.reference_passes + report.forward_passes < 4000  # 569 measured.
    assert report.verdict is WRONG


# Differences against an absolute tolerance, and pyadjoint's Taylor rate


@pytest.mark.parametrize("module", [np, jnp], ids=["numpy", "jax"])
def test_the_zero_gradient_of_a_small_function_is_wrong(module):
    """An absolute tolerance of 1e-6 calls zero the gradient of 1e-12 sin."""
    f = lambda x: 1e-12 * module.sum(module.sin(x))  # noqa: E731
    right = lambda x: 1e-12 * module.cos(x)  # noqa: E731
    x = np.array([0.3, 1.2])
    assert check_gradient(f, right, x).verdict is RIGHT
    assert check_gradient(f, lambda x: 0 * x, x).verdict is WRONG


@pytest.mark.parametrize("module", [np, jnp], ids=["numpy", "jax"])
def test_a_linear_functional_is_judged_although_its_taylor_rate_is_undefined(module):
    """The remainder is rounding at every step; a slope of it says nothing."""
    weights = np.array([0.3, -1.2, 0.7])
    f = lambda x: module.sum(weights.astype(x.dtype) * x)  # noqa: E731
    x = np.array([1.0, 2.0, 0.5])
    assert check_gradient(f, lambda x: weights + 0 * x, x).verdict is RIGHT
    assert check_gradient(f, lambda x: (1 + 1e-4) * weights + 0 * x, x).verdict is WRONG


@pytest.mark.parametrize("module", [np, jnp], ids=["numpy", "jax"])
def test_a_gradient_too_large_by_1e_minus_4_is_wrong(module):
    """A rate above 1.9 passes it."""
    f = lambda x: module.sum(module.exp(x))  # noqa: E731
    x = np.array([0.3, -1.2])
    too_large = lambda x: (1 + 1e-4) * module.exp(x)  # noqa: E731
    assert check_gradient(f, too_large, x).verdict is WRONG


# What a check leaves behind, and what it returns


SETTINGS = (
    "jax_enable_x64",
    "jax_default_device",
    "jax_default_matmul_precision",
    "jax_numpy_dtype_promotion",
    "jax_numpy_rank_promotion",
    "jax_debug_nans",
    "jax_debug_key_reuse",
    "jax_disable_jit",
)


def raising(residuals, dy):
    raise RuntimeError("not today")


@pytest.mark.parametrize("x64", [False, True])
@pytest.mark.parametrize(
    "entrance",
    [
        lambda x: check_vjp(*pair(jnp.sin), x),
        lambda x: check_vjp(pair(jnp.sin)[0], raising, x),
        lambda x: check_gradient(lambda x: x, lambda x: x, x),
        lambda x: check_gradient(lambda x: 1 / np.sum(0 * x), lambda x: x, x),
    ],
    ids=["right", "backward raises", "no scalar", "not finite"],
)
@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")
def test_the_configuration_of_the_caller_is_as_before(entrance, x64):
    device = jax.devices("cpu")[0]
    with (
        jax.enable_x64(x64),
        jax.default_device(device),
        jax.default_matmul_precision("bfloat16"),
        jax.numpy_dtype_promotion("standard"),
        jax.numpy_rank_promotion("allow"),
    ):
        before = {name: getattr(jax.config, name) for name in SETTINGS}
        try:
            entrance(np.array([0.3, -1.2], np.float32))
        except Exception:  # Whether it raises is judged elsewhere.
            pass
        assert {name: getattr(jax.config, name) for name in SETTINGS} == before
        assert jnp.zeros(3).dtype == (jnp.float64 if x64 else jnp.float32)


def test_the_configuration_is_as_before_when_a_check_is_interrupted():
    """A KeyboardInterrupt in the backward leaves through every context."""

    def interrupted(residuals, dy):
        raise KeyboardInterrupt

    with jax.enable_x64(False):
        with pytest.raises(KeyboardInterrupt):
            check_vjp(pair(jnp.sin)[0], interrupted, np.array([0.3], np.float32))
        assert not jax.config.jax_enable_x64
        assert jax.config.jax_default_matmul_precision is None


def test_numpys_random_state_is_as_before():
    before = np.random.get_state()[1].copy()
    check_vjp(*pair(jnp.sin), np.array([0.3, -1.2]))
    assert (np.random.get_state()[1] == before).all()


@pytest.fixture(scope="module")
def reports():
    """One right, one wrong and one that broke its contract."""
    x = np.array([0.3, -1.2])
    forward, right = pair(jnp.sin)
    infinite = pair(jnp.sin, lambda dx: (dx.at[1].set(jnp.inf),))[1]
    listed = pair(jnp.sin, lambda dx: ([dx],))[1]
    return [check_vjp(forward, b, x) for b in (right, infinite, listed)]


def test_the_truth_value_of_a_report_is_an_error(reports):
    for report in reports:
        with pytest.raises(TypeError, match=r"ask report\.verdict"):
            bool(report)


def test_only_right_and_kink_are_correct(reports):
    right, *others = reports
    assert_correct(right)
    for report in others:
        with pytest.raises(AssertionError, match=report.verdict):
            assert_correct(report)


def test_to_json_is_valid_json_with_the_documented_keys(reports):
    def refuse(constant):
        raise ValueError(f"{constant} is not JSON")

    for report in reports:
        body = json.loads(report.to_json(), parse_constant=refuse)
        names = {f.name for f in fields(Report)} - {"given"}
        assert set(body) == {"schema", "verdict", *names}
        assert (body["schema"], body["verdict"]) == (SCHEMA, report.verdict)
        for leaf in body["leaves"].values():
            assert set(leaf) == {f.name for f in fields(Leaf)}


def test_fewer_points_are_visited_when_fewer_are_asked_for():
    def hidden(residuals, dy):
        return (jnp.where(residuals > 0, dy, 2 * dy),)

    x = np.array([0.3, 1.2])

    def forward(x):
        return 1.0 * x, x

    assert check_vjp(forward, hidden, x, points=0).verdict is Verdict.RIGHT
    assert check_vjp(forward, hidden, x).verdict is WRONG
