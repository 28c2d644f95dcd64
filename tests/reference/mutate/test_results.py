"""`purefw power` and the pages that show what it measured."""

import json
from dataclasses import replace
from operator import attrgetter
from pathlib import Path

import pytest
from typer.testing import CliRunner

from reference.cli import app
from reference.commands import power as command
from reference.mutate.panel import OURS, Row, fingerprint
from reference.mutate.results import (
    CLASSES,
    cell,
    of_class,
    page,
    replaced,
    summary,
    total,
    unmeasured,
)
from reference.registry import LOSSES, RULES

NAME = attrgetter("name")
ROOT = Path(__file__).parents[3]
ROWS = command.read(ROOT / "docs" / "power.json")


def row(name, killed, **others):
    counts = {OURS: killed, "check_grads": None, "gradcheck": 1, "ones": 0}
    return Row(name, name, mutants=4, killed=counts, **others)


@pytest.mark.parametrize(
    ("name", "generated"), [("README.md", summary), ("docs/results.md", page)]
)
def test_pages_show_what_was_measured(name, generated):
    text = (ROOT / name).read_text()
    assert replaced(text, generated(ROWS)) == text, "python -m reference.mutate.results"


def test_what_was_measured_is_registered():
    assert {r.name for r in ROWS} <= {*RULES, *LOSSES}
    assert len({r.name for r in ROWS}) == len(ROWS)


def test_what_was_not_measured_is_said():
    made = {e.rule.name for e in RULES.values()} | {
        e.loss.name for e in LOSSES.values()
    }
    few = [r for r in ROWS if r.constructor != "relu"]
    assert "relu" in unmeasured(few) and "relu" not in unmeasured(ROWS)
    assert len(unmeasured([])) == len(made)
    assert "Not measured: relu." in page([row(n, 4) for n in made - {"relu"}])


def test_a_row_of_unknown_programs_is_said():
    rows = [row("a", 4), row("b", 4, fingerprint="0")]
    assert "before there were fingerprints: a." in page(rows)
    assert "fingerprints" not in page(rows[1:])


def test_every_class_was_planted_and_has_a_name():
    assert {c for r in ROWS for c in r.classes} == set(CLASSES)


def test_a_changed_measurement_is_seen():
    text = (ROOT / "README.md").read_text()
    assert replaced(text, summary([*ROWS, row("other", 3)])) != text


def test_a_page_without_marks_is_refused():
    with pytest.raises(ValueError, match="results: the page must hold <!-- power -->"):
        replaced("nothing", "table")


def test_shares_are_rounded_down():
    assert cell(1999, 2000) == "1999 (99.9 %)"
    assert cell(99999, 100000) == "99999 (99.9 %)"
    assert cell(7, 7) == "7 (100 %)"
    assert cell(None, 7) == "-"


def test_a_check_counts_where_it_accepts_the_original():
    rows = [row("a", 4), row("b", 3)]
    assert total(rows, OURS) == (7, 8)
    assert total(rows, "check_grads") == (None, 0)


def test_a_class_counts_where_a_check_was_asked():
    rows = [
        row("a", 4, classes={"C7": {"mutants": 4, OURS: 4, "gradcheck": 1}}),
        row("b", 3, classes={"C7": {"mutants": 4, OURS: 3}}),
    ]
    rows[1].killed["gradcheck"] = None
    assert of_class(rows, "C7", OURS) == (7, 8)
    assert of_class(rows, "C7", "gradcheck") == (1, 4)
    assert of_class(rows, "C6", OURS) == (None, 0)


@pytest.fixture
def examined(monkeypatch):
    """`purefw power` on made-up rows; the names that were examined."""
    names = []

    def examine(name):
        names.append(name)
        survivors = ["x"] * (name == "gelu")
        killed = 4 - len(survivors)
        return row(name, killed, survivors=survivors, fingerprint=name)

    monkeypatch.setattr(command, "examine", examine)
    monkeypatch.setattr(command, "fingerprint", lambda name: name)
    return names


def run(*args):
    return CliRunner().invoke(app, ["power", *args])


def test_a_survivor_is_shown_and_fails(examined):
    result = run("--only", "gelu,relu")
    assert result.exit_code == 1
    assert "gelu: survives: x" in result.stdout and "7 (87.5 %)" in result.stdout
    assert run("--only", "relu").exit_code == 0


def test_json(examined):
    result = run("--only", "relu", "--json")
    assert json.loads(result.stdout)[0]["killed"][OURS] == 4


def test_a_stopped_run_goes_on_where_it_was(examined, tmp_path):
    file = tmp_path / "power.json"
    run("--only", "relu", "--output", str(file))
    run("--only", "relu,tanh", "--output", str(file))
    assert examined == ["relu", "tanh"]
    assert [r.name for r in command.read(file)] == ["relu", "tanh"]


def test_what_has_changed_is_measured_again(examined, monkeypatch, tmp_path):
    file = tmp_path / "power.json"
    run("--only", "relu,tanh", "--output", str(file))
    monkeypatch.setattr(command, "fingerprint", {"relu": "new", "tanh": "tanh"}.get)
    run("--only", "relu,tanh", "--output", str(file))
    assert examined == ["relu", "tanh", "relu"]


def test_a_fingerprint_is_of_what_is_computed(monkeypatch):
    before = fingerprint("tanh")
    entry = RULES["tanh"]
    twice = replace(entry.rule, backward=lambda y, dy: ((), 2 * (1 - y * y) * dy))
    monkeypatch.setitem(RULES, "tanh", replace(entry, rule=twice))
    assert fingerprint("tanh") != before


@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS, ids=NAME)
def test_what_was_measured_has_not_changed_since(row):
    assert row.fingerprint == fingerprint(row.name), (
        f"purefw power --only {row.name} --output docs/power.json"
    )


def test_a_name_that_is_not_registered():
    result = run("--only", "reluu")
    assert isinstance(result.exception, ValueError)
    assert "power: --only must name registered rules, got 'reluu'" in str(
        result.exception
    )
