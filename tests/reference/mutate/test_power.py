"""The power of a check: its score, its survivors, and what would show them."""

import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purefw import Rule
from purefw.losses.squared_error import squared_error
from reference import Report, Verdict
from reference.mutate.mutants import accepts
from reference.mutate.power import Power, power
from reference.report import Leaf

X = jax.random.normal(jax.random.key(1), (3, 5))
DY = jax.random.normal(jax.random.key(2), (3, 5))
SCALE = jnp.ones(5)


def scaled_backward(residuals, dy):
    scale, x = residuals
    return jnp.sum(dy * x, axis=0), scale[None, :] * dy


scaled = Rule(
    "scaled",
    lambda key: SCALE,
    lambda scale, x: (scale[None, :] * x, (scale, x)),
    scaled_backward,
)


def compares(scale, x, dy):
    """A careful test of one's own, at these inputs alone."""
    expected = scaled_backward((scale, x), dy)

    def check(rule):
        found = rule.backward(rule.forward(scale, x)[1], dy)
        for v, w in zip(found, expected, strict=True):
            np.testing.assert_allclose(v, w, rtol=1e-7, atol=1e-9)

    return check


@pytest.fixture(scope="module")
def at_the_start():
    """A rule judged at its initial parameters: scale 1."""
    return power(scaled, compares(SCALE, X, DY), X, params=SCALE)


def test_initial_parameters_hide_the_lines_of_the_scale(at_the_start):
    assert 0.9 < at_the_start.score < 1
    lines = {s.mutant.mutation.code for s in at_the_start.survivors} - {""}
    assert lines == {"return jnp.sum(dy * x, axis=0), scale[None, :] * dy"}
    proposals = {s.proposal for s in at_the_start.survivors if s.mutant.mutation.code}
    assert all(
        p.startswith("params random, where it is 1 everywhere") for p in proposals
    )


def test_survivors_are_printed_with_line_and_remedy(at_the_start):
    text = str(at_the_start)
    assert text.startswith("scaled: ")
    assert "survives: test_power.py:" in text
    assert "line: return jnp.sum(dy * x, axis=0), scale[None, :] * dy" in text
    assert "try: params random, where it is 1 everywhere" in text


def test_json_holds_what_is_printed(at_the_start):
    found = json.loads(at_the_start.to_json())
    assert found["killed"] == at_the_start.killed < found["mutants"]
    assert len(found["survivors"]) == found["mutants"] - found["killed"]
    assert found["survivors"][0]["source"].startswith("test_power.py:")


def test_random_parameters_show_what_the_initial_ones_hide(at_the_start):
    check = compares(SCALE + 0.3 * jnp.arange(1.0, 6), X, DY)
    hidden = [s.mutant for s in at_the_start.survivors if s.mutant.mutation.code]
    assert hidden and accepts(check, scaled)
    assert not any(accepts(check, mutant.rule) for mutant in hidden)


double = Rule(
    "double",
    lambda key: (),
    lambda params, x: (2 * x, x),
    lambda x, dy: ((), 2 * dy),
)


def under_ones(rule):
    """loss.sum() against the number that one expects."""
    x = jnp.array([0.5, 1.5])
    assert np.allclose(rule.backward(x, jnp.ones(2))[1], 2)


def test_a_weak_check_has_a_low_score():
    found = power(double, under_ones, jnp.array([0.5, 1.5]))
    assert 0.3 < found.score < 0.8
    proposals = {s.mutant.mutation.kind: s.proposal for s in found.survivors}
    assert {"dy ones", "dy abs", "dy square"} <= proposals.keys()
    assert proposals["dy ones"].startswith("these arguments under a random cotangent")


shift = Rule(
    "shift",
    lambda key: jnp.zeros(2),
    lambda bias, x: (x + bias[None, :], ()),
    lambda _, dy: (jnp.sum(dy, axis=0), dy),
)


def test_a_batch_of_one_hides_the_sum_over_the_batch():
    x, dy = jnp.array([[0.5, 1.5]]), jnp.array([[-0.3, 0.7]])

    def check(rule):
        dbias, dx = rule.backward((), dy)
        return bool(jnp.allclose(dbias, dy[0])) and bool(jnp.allclose(dx, dy))

    found = power(shift, check, x)
    proposals = {s.mutant.mutation.kind: s.proposal for s in found.survivors}
    assert proposals["sum to mean"] == "arguments with axes of length 1 grown to 3"
    assert proposals["sum to first"] == proposals["sum to mean"]


def test_a_check_that_sees_nothing_has_score_zero():
    found = power(double, lambda rule: None, jnp.array([0.5, 1.5]))
    assert found.score == 0 and len(found.survivors) == found.mutants > 10


def test_a_loss_may_be_tried():
    prediction, target = jnp.array([1.0, 2.0]), jnp.array([0.0, 4.0])

    def check(loss):
        _, residuals = loss.forward(prediction, target)
        return bool(np.allclose(loss.backward(residuals, jnp.array(1.0)), [1, -2]))

    found = power(squared_error(), check, (prediction, target))
    assert 0.5 < found.score < 1
    assert any(s.mutant.mutation.kind == "dy ones" for s in found.survivors)


def test_a_check_must_accept_the_rule():
    with pytest.raises(ValueError, match="power: check must accept the double"):
        power(double, lambda rule: False, jnp.array([0.5]))


def test_a_check_must_say_something_known():
    with pytest.raises(TypeError, match="power: check must return None, a bool or"):
        power(double, lambda rule: 3, jnp.array([0.5]))


def report(verdict):
    return Report("double", {"dx": Leaf("dx", verdict, "")})


@pytest.mark.parametrize(
    ("found", "accepted"),
    [
        (None, True),
        (True, True),
        (False, False),
        (report(Verdict.RIGHT), True),
        (report(Verdict.KINK), True),
        (report(Verdict.WRONG), False),
        (report(Verdict.UNTESTED), False),
    ],
)
def test_what_a_check_may_return(found, accepted):
    assert accepts(lambda rule: found, double) == accepted


def test_without_mutants_there_is_no_score():
    found = Power("double", 0, ())
    assert math.isnan(found.score)
    assert json.loads(found.to_json())["score"] is None
