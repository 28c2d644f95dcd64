"""Sheets and marks: what is right gets everything, what is wrong loses its own term."""

import json
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest

from reference.teaching.exercise import all_exercises, drawn
from reference.teaching.formats import gradescope, junit
from reference.teaching.grade import grade
from reference.teaching.marks import grade_from
from reference.teaching.sheet import name_in, sheet
from tests.reference.teaching.solved import EXERCISES, graded, solution

FAST = ("linear", "tanh", "ignored_labels", "layer_norm", "attention")
SLOW = [n for n in EXERCISES if n not in FAST]


@pytest.mark.parametrize(
    "name", [*FAST, *(pytest.param(n, marks=pytest.mark.slow) for n in SLOW)]
)
def test_a_solution_gets_full_marks(name):
    found = graded(name, solution(name))
    assert found.points == found.of, str(found)


def test_there_are_twenty_in_the_order_of_the_course():
    assert [e.number for e in EXERCISES.values()] == list(range(1, 21))
    assert [next(iter(EXERCISES)), list(EXERCISES)[-1]] == ["linear", "attention"]


@pytest.mark.parametrize("name", EXERCISES)
def test_a_sheet_has_the_task_and_no_answer(name):
    text = sheet(EXERCISES[name])
    compile(text, name, "exec")
    assert name_in(text) == name and EXERCISES[name].task in text
    for part in EXERCISES[name].parts:
        assert f"def {part.function('backward')}(residuals, dy" in text
        for formula in part.gradients.values():
            assert formula not in text and formula.split(" = ")[1] not in text


def test_an_unwritten_sheet_gets_nothing_and_says_so():
    found = graded("layer_norm", sheet(EXERCISES["layer_norm"]))
    assert found.points == 0 and not found.refused
    assert {m.said for m in found.marks} == {
        "forward is not written yet",
        "backward is not written yet",
    }


def test_configurations_differ_with_the_seed_and_repeat_with_it():
    one, same, other = (drawn(EXERCISES["linear"], seed)[0] for seed in (1, 1, 2))
    for a, b in zip(one, same):
        assert all(np.array_equal(v, w) for v, w in zip(a.args, b.args))
    assert not np.array_equal(one[0].args[0], other[0].args[0])


LOST = {  # What is changed, what it costs, the cause's label.
    "mean path": (
        "layer_norm", "dxhat - mean - variance", "dxhat - variance",
        {"dx: mean": 0.0}, "term: mean missing",
    ),
    "variance path": (
        "layer_norm", "dxhat - mean - variance", "dxhat - mean + variance",
        {"dx: variance": 0.0}, "term: variance negated",
    ),
    "forward": (
        "layer_norm", "scale * xhat + bias", "scale * xhat - bias",
        {"forward": 0.0}, "",
    ),
    "kept": (
        "layer_norm", "(xhat, s, scale)\n", "(centred, s, scale)\n",
        {"forward": 0.0}, "",
    ),
    "bias by the mean": (
        "layer_norm", "dy.sum(axis=0)", "dy.mean(axis=0)",
        {"dbias": 0.0}, "scale: 1/x.shape[0]",
    ),
    "ignored rows": (
        "ignored_labels", " * counts[:, None]", "", {}, None,
    ),
    "one row only": (
        "layer_norm", "return dx, (dy", "return dx * (len(dy) > 1), (dy",
        {"dx: direct": 0.5, "dx: mean": 0.5, "dx: variance": 0.5}, None,
    ),
    "a table of one row": (
        "embedding", "return dtable", "return dtable * (1 + (len(table) == 1))",
        {"dtable": 0.5}, "scale: 2",
    ),
    "scores": (
        "attention", "return dscores @ k, ", "return dscores @ k * 2, ",
        {"scores: dq": 0.0}, "scale: 2",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", LOST)
def test_a_mistake_costs_its_own_term(what):
    name, old, new, lost, label = LOST[what]
    source = solution(name)
    assert old in source
    found = graded(name, source.replace(old, new))
    marks = {m.name: m.points for m in found.marks if not m.is_full}
    assert marks == lost if lost else marks, str(found)
    if label is not None:
        assert {m.label for m in found.marks if not m.is_full} == {label}


STALE = """
KEPT, right, own = [], forward, backward

def forward(*args):
    KEPT.append(right(*args)[1])
    return right(*args)

def backward(residuals, dy):
    return own(KEPT[-1], dy)
"""


def test_a_backward_that_reads_the_latest_forwards_arrays_is_told_so():
    found = graded("linear", solution("linear") + STALE)
    lost = [m for m in found.marks if not m.is_full]
    assert [m.name for m in lost] == ["dx", "dweight", "dbias"]
    assert {(m.label, m.mistake) for m in lost} == {("state: latest call", "C9")}
    first = graded("linear", solution("linear") + STALE.replace("KEPT[-1]", "KEPT[0]"))
    assert {m.label for m in first.marks if not m.is_full} == {"state: earlier call"}


def test_hints_climb_from_where_to_the_formula():
    source = solution("layer_norm").replace("- mean - variance", "- variance")
    found = graded("layer_norm", source)
    said = [str(replace(found, hints=k)) for k in range(5)]
    assert [s.count("hint:") for s in said] == [0, 1, 2, 3, 4]
    assert "dx[" in said[1] and "axis 1" in said[2]
    assert "the mean term is missing" in said[3] and "mean_j dxhat_bj" in said[4]


def test_what_graders_read():
    source = solution("layer_norm").replace("- mean - variance", "- variance")
    found = replace(graded("layer_norm", source), hints=1)
    body = json.loads(gradescope(found))
    assert body["score"] == 5 == sum(t["score"] for t in body["tests"])
    assert sum(t["max_score"] for t in body["tests"]) == 6
    failed = [t for t in body["tests"] if t["status"] == "failed"]
    assert [t["name"] for t in failed] == ["dx: mean"]
    assert "dx[" in failed[0]["output"] and "missing" not in json.dumps(body)
    suite = ElementTree.fromstring(junit(found))
    assert suite.get("tests") == "6" and suite.get("failures") == "1"
    assert [c.get("name") for c in suite if len(c)] == ["dx: mean"]
    assert grade_from(found.to_json()) == found


PUBLISHED = {  # "Output format" of Gradescope's specifications: every key and its type.
    "score": (int, float), "execution_time": (int, float), "output": str,
    "output_format": str, "test_output_format": str, "test_name_format": str,
    "visibility": str, "stdout_visibility": str, "extra_data": dict, "tests": list,
    "leaderboard": list,
}  # fmt: skip
OF_A_TEST = {
    "score": (int, float), "max_score": (int, float), "status": str, "name": str,
    "name_format": str, "number": str, "output": str, "output_format": str,
    "tags": list, "visibility": str, "extra_data": dict,
}  # fmt: skip
VALUES = {
    "status": {"passed", "failed"},
    "visibility": {"hidden", "after_due_date", "after_published", "visible"},
    "output_format": {"text", "html", "simple_format", "md", "ansi"},
}


def is_published(body, keys):
    """Every key is known, of its type, and with one of its values."""
    return all(
        name in keys
        and isinstance(value, keys[name])
        and value in VALUES.get(name, [value])
        for name, value in body.items()
    )


def test_results_json_is_of_the_published_format():
    wrong = solution("linear").replace("sum", "mean")
    for source in (solution("linear"), wrong, "import os\nos.fork()"):
        body = json.loads(gradescope(graded("linear", source)))
        assert is_published(body, PUBLISHED) and {"score", "tests"} <= set(body)
        assert all(is_published(test, OF_A_TEST) for test in body["tests"])
        assert sum(test["score"] for test in body["tests"]) == body["score"]


@pytest.mark.parametrize(
    "body", [{"points": 1}, {"score": "1"}, {"visibility": "shown"}]
)
def test_what_gradescope_does_not_know_is_seen(body):
    assert not is_published(body, PUBLISHED)


@pytest.mark.parametrize("text", ["[]", "{}", "no", '{"schema": 9}'])
def test_what_is_no_result_is_refused(text):
    with pytest.raises(ValueError, match="report: "):
        grade_from(text)


OWN = '''"""Twice: everything is doubled.

    (1)  y_e = 2 x_e
"""
from typing import Any, NamedTuple

from reference.teaching.exercise import Configuration, Exercise, Part


class Residuals(NamedTuple):
    x: Any


def forward(x):
    return 2 * x, Residuals(x)


def configurations(rng):
    for kind in ("usual", "other"):
        yield Configuration(kind, (rng.standard_normal((2, 3)),))


EXERCISE = Exercise("twice", 21, (Part(forward, configurations, {"x": "dx = 2 dy"}),))
'''


def test_a_teacher_adds_an_exercise_with_one_file(tmp_path):
    (tmp_path / "twice.py").write_text(OWN)
    own = all_exercises(tmp_path)["twice"]
    assert list(all_exercises(tmp_path))[-1] == "twice"
    assert "def backward(residuals, dy):" in sheet(own)
    answer = "def forward(x):\n    return 2 * x, (x,)\n"
    answer += "def backward(residuals, dy):\n    return {} * dy\n"
    assert grade(answer.format(2), own, seed=1).points == 2
    assert grade(answer.format(3), own, seed=1).points == 1


def test_a_file_without_an_exercise_is_refused(tmp_path):
    (tmp_path / "none.py").write_text("x = 1\n")
    with pytest.raises(ValueError, match="none must define EXERCISE, got NoneType"):
        all_exercises(tmp_path)
