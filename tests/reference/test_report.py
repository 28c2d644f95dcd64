"""What a report shows: the witnesses, what could not be seen, how to see it again."""

import contextlib
import io
import math
import re
from dataclasses import fields
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from reference import (
    Verdict,
    check_custom_vjp,
    check_gradient,
    check_loss,
    check_rule,
    check_vjp,
)
from reference.render import picture
from reference.report import SCHEMA, Leaf, Report

WRONG = Verdict.WRONG
DOCUMENT = Path(__file__).parents[2] / "docs" / "verification.md"


def times(factor, f=jnp.sin, df=jnp.cos):
    """f entry by entry and its backward times a factor."""
    return lambda x: (f(x), x), lambda x, dy: (factor * df(x) * dy,)


@pytest.fixture(scope="module")
def wrong():
    return check_vjp(*times(1.01), np.array([0.3, -1.2, 0.7]))


def test_a_wrong_leaf_has_every_witness(wrong):
    leaf = wrong.leaves["args[0]"]
    assert leaf.hand == pytest.approx(1.01 * leaf.autodiff)
    assert leaf.forward_mode == pytest.approx(leaf.autodiff)
    assert leaf.difference[0] == pytest.approx(
        leaf.autodiff, abs=8 * leaf.difference[1]
    )
    assert leaf.taylor.relative_error == pytest.approx(0.01)
    assert (leaf.kink.kind, leaf.point) == ("smooth", "given")


def test_a_right_leaf_names_its_worst_entry_too():
    leaf = check_vjp(*times(1), np.array([0.3, -1.2, 0.7])).leaves["args[0]"]
    assert len(leaf.index) == 1 and leaf.hand == pytest.approx(leaf.autodiff)
    assert 0 < leaf.visible <= leaf.visible_worst < 1e-10


def test_the_cost_is_told(wrong):
    assert wrong.seconds > 0 and wrong.forward_passes > 100
    last = str(wrong).split("reproduce:")[0].splitlines()[-2:]
    passes = f"{wrong.hand_passes} backward, {wrong.reference_passes} reference and"
    assert any(passes in line for line in last)


def test_html_escapes_and_draws_the_remainder(wrong):
    page = wrong._repr_html_()
    assert page.count("<svg") == 1 and "polyline" in page
    assert page.count("<tr") == 2
    named = Report("<b>", {"<i>": Leaf("<i>", WRONG, "a < b")}, broken=("<u>",))
    page = named._repr_html_()
    assert "<i>" not in page and "&lt;i&gt;" in page
    assert "<u>" not in page and "a &lt; b" in page and "<svg" not in page


def test_the_picture_falls_with_the_first_power_where_the_slope_is_wrong(wrong):
    points = re.search(
        r"points='([^']+)' stroke='red'", picture(wrong.leaves["args[0]"])
    )
    x, y = np.array([p.split(",") for p in points[1].split()], float).T
    taylor = wrong.leaves["args[0]"].taylor
    fall = np.polyfit(np.log(taylor.steps), np.log(taylor.remainders), 1)[0]
    assert fall == pytest.approx(1, abs=0.05)
    assert (np.diff(x) < 0).all() and (np.diff(y) > 0).all()


@pytest.mark.parametrize("record", [Report, Leaf])
def test_every_key_of_the_json_form_is_documented(record):
    keys = set(re.findall(r"^\| `(\w+)` \|", DOCUMENT.read_text(), re.MULTILINE))
    everything = {f.name for r in (Report, Leaf) for f in fields(r)} - {"given"}
    assert {f.name for f in fields(record)} - {"given"} <= keys
    assert keys == everything | {"schema", "verdict"} | set(Verdict) - {""}
    assert f"`schema` is {SCHEMA}" in DOCUMENT.read_text()


def relu(value_at_0):
    def backward(x, dy):
        return (jnp.where(x > 0, dy, jnp.where(x == 0, value_at_0 * dy, 0)),)

    return lambda x: (jnp.maximum(x, 0), x), backward


def test_a_kink_is_named_with_its_interval_and_exponent():
    report = check_vjp(*relu(0.25), np.array([0.0, 1.2, -0.7]))
    leaf = report.leaves["args[0]"]
    assert (leaf.verdict, leaf.kink.kind) == (Verdict.KINK, "kink")
    assert abs(leaf.kink.exponent) < 0.15
    assert "interval [" in str(report) and "on a kink there" in str(report)


def test_the_distance_to_a_kink_is_told():
    def forward(x):
        return jnp.maximum(x, 1e-9), x

    def backward(x, dy):
        return (jnp.where(x > 1e-9, dy, 1e-3 * dy),)

    report = check_vjp(forward, backward, np.array([0.0, 1.2, -0.7]))
    leaf = report.leaves["args[0]"]
    assert (leaf.verdict, leaf.kink.kind) == (WRONG, "near kink")
    assert 1e-9 <= leaf.kink.distance <= 1e-8
    assert "has a kink within" in str(report)


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0, 1.5, -0.1])
@pytest.mark.parametrize("module", [np, jnp])
def test_every_slope_of_relu_at_0_between_0_and_1_is_valid(value, module):
    gradient = lambda x: module.where(x > 0, 1.0, module.where(x == 0, value, 0.0))  # noqa: E731
    f = lambda x: module.sum(module.maximum(x, 0))  # noqa: E731
    report = check_gradient(f, gradient, np.array([0.0, 1.2, -0.7]))
    valid = (Verdict.RIGHT, Verdict.KINK)
    assert (report.verdict in valid) == (0 <= value <= 1), report
    assert report.verdict in (*valid, WRONG)


def test_numpy_of_float64_is_judged_where_jax_has_32_bits():
    """As from the command line; NumPy makes float64 of its constants."""
    gradient = lambda x: np.where(x > 0, 1.0, np.where(x == 0, 0.5, 0.0))  # noqa: E731
    f = lambda x: np.sum(np.maximum(x, 0))  # noqa: E731
    with jax.enable_x64(False):
        report = check_gradient(f, gradient, np.array([0.3, 1.2, -0.7]))
    assert report.verdict is Verdict.RIGHT, report


def test_a_zero_derivative_is_no_kink_for_differences():
    f, gradient = lambda x: float(np.sum(x**4)), lambda x: 4 * x**3
    report = check_gradient(f, gradient, np.zeros(2))
    assert report.verdict is Verdict.RIGHT
    assert check_gradient(f, lambda x: 4 * x**3 + 1e-3, np.zeros(2)).verdict is WRONG


def test_what_was_never_exercised_is_told():
    def forward(table, ids):
        return table[ids], (table.shape, ids)

    def backward(residuals, dy):
        shape, ids = residuals
        return jnp.zeros(shape, dy.dtype).at[ids].add(dy), None

    table = np.random.default_rng(3).standard_normal((10, 3))
    report = check_vjp(forward, backward, table, np.array([1, 4, 4, 7]))
    assert report.leaves["args[0]"].exercised == pytest.approx(0.3)
    assert "70% of its entries never exercised" in str(report)


def test_zeros_of_a_numpy_gradient_are_judged_beside_what_is_not_zero():
    f, x = lambda x: np.sum(np.maximum(x, 0) ** 2), np.array([0.3, 1.2, -0.7])
    right, wrong = (
        lambda x, e=e: 2 * np.maximum(x, 0) + e * (x < 0) for e in (0, 1e-5)
    )
    assert check_gradient(f, right, x).verdict is Verdict.RIGHT
    assert check_gradient(f, wrong, x).verdict is WRONG


def test_a_dead_unit_is_untested():
    f = lambda x: np.sum(np.maximum(-abs(x), 0))  # noqa: E731
    report = check_gradient(f, lambda x: 0 * x, np.array([1.0, -2.0, 3.0]))
    assert report.verdict is Verdict.UNTESTED
    forward, backward = lambda x: (jnp.maximum(-abs(x), 0), x), lambda x, dy: (0 * dy,)
    report = check_vjp(forward, backward, np.array([1.0, -2.0, 3.0]))
    assert report.verdict is Verdict.UNTESTED


def notes(report):
    return " ".join(report.notes)


def test_saturation_is_told():
    def forward(x):
        e = jnp.exp(-abs(x))
        return jnp.where(x > 0, 1, e) / (1 + e), e

    def backward(e, dy):
        return (e / (1 + e) ** 2 * dy,)

    x = np.array([32.0, -31.0, 35.0])
    report = check_vjp(forward, backward, x)
    assert report.verdict is Verdict.RIGHT
    assert "args[0]: saturated at the given point" in notes(report)
    assert "saturated" not in notes(check_vjp(forward, backward, x / 32))


def test_arguments_that_hide_terms_are_told():
    forward = lambda x, w, b: (x * w + b, (x, w))  # noqa: E731
    backward = lambda r, dy: (dy * r[1], dy * r[0], dy)  # noqa: E731
    x, y = np.random.default_rng(1).standard_normal((2, 5))
    told = notes(check_vjp(forward, backward, x, np.ones(5), np.zeros(5)))
    assert "the arguments of args[1], args[2] are constant" in told
    told = notes(check_vjp(forward, backward, x, x, y))
    assert "args[0] and args[1] are equal" in told and "constant" not in told
    told = notes(check_vjp(forward, backward, x, x + 1, y))
    assert "equal" not in told and "constant" not in told


@pytest.mark.parametrize("stop", [lambda v: v, jax.lax.stop_gradient])
def test_a_backward_that_hides_its_own_derivative_is_told(stop):
    def forward(x):
        y = jnp.exp(x - jnp.max(x))
        return y / jnp.sum(y), y / jnp.sum(y)

    def backward(y, dy):
        y = stop(y)
        return (y * (dy - jnp.sum(y * dy)),)

    report = check_vjp(forward, backward, np.array([0.3, -1.2, 0.7]))
    assert report.verdict is Verdict.RIGHT
    hidden = stop is jax.lax.stop_gradient
    assert ("is not the second derivative" in notes(report)) == hidden
    assert ("stop_gradient" in notes(report)) == hidden


def test_a_backward_of_two_tests_that_hide_nothing_is_not_accused():
    """A custom derivative inside backward that is right."""
    backward = lambda x, dy: (dy * jax.nn.relu(x) * 2,)  # noqa: E731
    forward = lambda x: (jnp.maximum(x, 0) ** 2, x)  # noqa: E731
    report = check_vjp(forward, backward, np.array([0.3, -1.2, 0.7]))
    assert report.verdict is Verdict.RIGHT
    assert "second derivative" not in notes(report)


# The reproducer


def replayed(report, **names):
    """The verdict that the printed reproducer prints, and how many numbers it holds."""
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        exec(report.reproduce, names)
    arrays = [np.size(v) for k, v in names.items() if k.startswith("arg")]
    return shown.getvalue().split()[0], sum(arrays)


def test_the_reproducer_of_check_vjp_runs():
    forward = lambda x, w: (jnp.tanh(x @ w), (x, w))  # noqa: E731

    def backward(residuals, dy):
        x, w = residuals
        da = (1 - jnp.tanh(x @ w)) * dy
        return da @ w.T, x.T @ da

    rng = np.random.default_rng(7)
    x, w = rng.standard_normal((5, 3)), rng.standard_normal((3, 2))
    report = check_vjp(forward, backward, x, w, seed=3)
    assert "seed=3" in report.reproduce
    verdict, size = replayed(report, forward=forward, backward=backward)
    assert verdict == "WRONG" and size <= 10


def test_the_reproducer_of_check_gradient_runs_for_numpy():
    f, gradient = lambda x: np.sin(x).sum(), lambda x: 1.01 * np.cos(x)
    report = check_gradient(f, gradient, np.array([0.3, 1.2]))
    assert replayed(report, f=f, gradient=gradient) == ("WRONG", 2)


def test_the_reproducer_of_check_custom_vjp_runs_with_what_is_bound():
    power = jax.custom_vjp(lambda n, x: x**n, nondiff_argnums=(0,))
    power.defvjp(lambda n, x: (x**n, x), lambda n, x, dy: (dy * x ** (n - 1),))
    report = check_custom_vjp(power, 3, np.array([0.3, 1.2]))
    assert set(report.leaves) == {"args[1]"}
    assert "check_custom_vjp(f, 3, arg_1)" in report.reproduce
    assert replayed(report, f=power)[0] == "WRONG"


@pytest.mark.parametrize("factor,verdict", [(1.0, "RIGHT"), (1.01, "WRONG")])
def test_an_array_among_the_nondiff_argnums_is_bound(factor, verdict):
    """An array has no hash."""
    scaled = jax.custom_vjp(lambda a, x: jnp.sin(a * x), nondiff_argnums=(0,))
    scaled.defvjp(
        lambda a, x: (jnp.sin(a * x), x),
        lambda a, x, dy: (factor * a * jnp.cos(a * x) * dy,),
    )
    report = check_custom_vjp(scaled, np.array(3.0), np.array([0.3, 1.2, -0.7]))
    assert str(report.verdict) == verdict


# What the user sees in place of a traceback


def test_a_forward_that_refuses_float64_is_told_in_one_sentence():
    def forward(x):
        if x.dtype == jnp.float64:
            raise TypeError("float32 alone\nand more")
        return jnp.sin(x), x

    x = np.array([0.3, 1.2], np.float32)
    report = check_vjp(forward, lambda x, dy: (jnp.cos(x) * dy,), x)
    assert report.verdict is Verdict.CONTRACT
    (sentence,) = report.broken
    assert "must run in float64" in sentence
    assert sentence.endswith("TypeError: float32 alone")


def test_a_backward_that_raises_at_other_values_is_a_note():
    """Uncompiled code that asks for values, and refuses some."""

    def backward(x, dy):
        if float(x[0]) != 0.25:
            raise ZeroDivisionError("not here")
        return (jnp.cos(x) * dy,)

    report = check_vjp(lambda x: (jnp.sin(x), x), backward, np.array([0.25, 1.2]))
    assert report.verdict is Verdict.RIGHT
    (told,) = [n for n in report.notes if "not here" in n]
    assert "with generic values, " in told


def test_a_numpy_function_may_raise_outside_of_its_domain():
    def f(x):
        if (x <= 0).any():
            raise ValueError("positive numbers only")
        return np.log(x).sum()

    x = np.array([1e-3, 0.5, 2.0])
    assert check_gradient(f, lambda x: 1 / x, x).verdict is Verdict.RIGHT
    assert check_gradient(f, lambda x: 1.001 / x, x).verdict is WRONG


def test_whatever_else_stops_a_check_is_a_sentence_with_its_place(monkeypatch):
    def broken(*args):
        raise RuntimeError("a defect\nof ours")

    monkeypatch.setattr("reference.verifier.verify.judge_math", broken)
    report = check_vjp(*times(1), np.array([0.3]))
    assert report.verdict is Verdict.CONTRACT
    place = r"the check stops at test_report\.py:\d+: RuntimeError: a defect"
    assert re.fullmatch(place, report.broken[0])


@pytest.mark.parametrize("argument", [None, "same", np.array(["a"])])
def test_a_bad_argument_is_called_by_its_name(argument):
    from purefw.layers.tanh import tanh
    from purefw.losses.squared_error import squared_error

    report = check_rule(tanh(), argument, params=())
    assert report.broken[0].startswith("arguments: x must be an array of numbers, got ")
    report = check_loss(squared_error(), np.ones(2), argument)
    assert "target must be an array of numbers, got " in report.broken[0]
    assert math.isfinite(report.seconds)
