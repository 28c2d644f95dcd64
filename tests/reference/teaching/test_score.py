"""The score's table is current, and the courses' checks are what courses use."""

import pytest

from tests.reference.teaching import score
from tests.reference.teaching.course_checks import CHECKS, passes
from tests.reference.teaching.planted import PLANTED
from tests.reference.teaching.solved import EXERCISES, solution

FAST = ("linear", "softmax", "lstm")


def test_the_page_is_current():
    text = score.PAGE.read_text()
    assert text == score.current(text)


def test_every_mistake_is_scored_in_every_exercise():
    kept = score.load()
    assert list(kept) == list(EXERCISES)
    for name, found in kept.items():
        planted = [p.name for p in PLANTED if p.exercise == name]
        assert [s.name for s in found] == planted and len(planted) >= 10
    assert len(PLANTED) >= 200


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", EXERCISES)
def test_a_course_accepts_a_solution(name, check):
    assert passes(CHECKS[check], solution(name), score.usual(name))


@pytest.mark.parametrize("check", CHECKS)
def test_a_course_rejects_a_wrong_sign(check):
    wrong = solution("linear").replace("dy @ weight.T", "-dy @ weight.T")
    assert not passes(CHECKS[check], wrong, score.usual("linear"))


@pytest.mark.parametrize(
    "name",
    [n if n in FAST else pytest.param(n, marks=pytest.mark.slow) for n in EXERCISES],
)
def test_the_first_mistake_is_scored_as_it_was(name):
    first = next(p for p in PLANTED if p.exercise == name)
    kept = score.load()[name][0]
    assert score.score(first) == kept
