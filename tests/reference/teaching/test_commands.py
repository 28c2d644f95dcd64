"""The four commands as a person calls them."""

import pytest
from typer.testing import CliRunner

from reference.cli import app
from reference.teaching.ladder import climb
from tests.reference.teaching.solved import EXERCISES


def run(*args, code=0, **options):
    found = CliRunner().invoke(app, list(map(str, args)), **options)
    assert found.exit_code == code, found.output + repr(found.exception)
    return found.output


def test_learn_writes_the_sheets_and_leaves_work_alone(tmp_path):
    assert "20 of 20 sheets" in run("learn", tmp_path)
    assert len(list(tmp_path.glob("*.py"))) == len(EXERCISES) == 20
    work = tmp_path / "01_linear.py"
    work.write_text("mine")
    assert "0 of 20 sheets" in run("learn", tmp_path)
    assert work.read_text() == "mine"


def test_the_ladder_ends_at_the_formula(tmp_path):
    file = tmp_path / "a.py"
    assert [climb(file, True) for _ in range(6)] == [1, 2, 3, 4, 4, 4]
    assert climb(file, False) == 4
    (tmp_path / "a.py.hints.json").write_text("[]")
    assert climb(file, False) == 0


def test_grade_refuses_what_it_cannot_read(tmp_path):
    run("grade", tmp_path / "none.py", code=2)
    sheet = tmp_path / "sheet.py"
    sheet.write_text("x = 1\n")
    with pytest.raises(ValueError, match="grade: exercise must be one of linear"):
        CliRunner().invoke(app, ["grade", str(sheet)], catch_exceptions=False)


def test_a_hunt_is_played_to_its_end():
    said = run("hunt", "--seed", 5, input="check\nguess C1 loss\nnothing\ngive up\n")
    assert "accepted" in said and "Neither class nor place" in said
    assert "PART must be one of" in said and "https://github.com/" in said
    assert "Found" in run("hunt", "--seed", 5, "--guess", "C18", "check")
    assert "The class is right" in run(
        "hunt", "--seed", 5, "--guess", "C18", "loss", code=1
    )


def test_report_writes_a_page(tmp_path):
    sheet = tmp_path / "sheet.py"
    sheet.write_text("# purefw exercise: tanh\nimport reference\n")
    for k in range(3):
        run("grade", sheet, "--seed", k, "--json", tmp_path / f"{k}.json", code=1)
    page = tmp_path / "class.html"
    said = run("report", tmp_path, "--html", page)
    assert "tanh: 3 results, 3 not judged" in said
    assert "3 not judged" in page.read_text()
