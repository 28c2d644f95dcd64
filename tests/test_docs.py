"""The pages of docs/ are current: their code runs, their tables name what there is."""

import ast
import re
from pathlib import Path

import jax
import pytest

ROOT = Path(__file__).parents[1]
NOTATION = (ROOT / "docs" / "notation.md").read_text()
LIBRARY = {
    path.stem: ast.get_docstring(ast.parse(path.read_text())) or ""
    for folder in ("layers", "losses")
    for path in (ROOT / "purefw" / folder).glob("*.py")
}


def blocks(page):
    return re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)


def test_adding_a_rule_runs_as_it_stands(capsys):
    page, names = (ROOT / "docs" / "adding_a_rule.md").read_text(), {}
    with (
        jax.enable_x64(False),
        jax.numpy_dtype_promotion("standard"),
        jax.numpy_rank_promotion("allow"),
        jax.debug_key_reuse(False),
    ):
        for block in blocks(page):
            exec(compile(block, "adding_a_rule.md", "exec"), names)
    assert len(blocks(page)) == 4
    assert "squareplus" in capsys.readouterr().out
    assert names["coarse"].verdict == "IMPRECISE"


def test_the_diagnosis_example_names_the_missing_path(capsys, tmp_path):
    page = (ROOT / "docs" / "diagnosis.md").read_text()
    script = tmp_path / "example.py"  # A file, so that its lines can be quoted.
    script.write_text(blocks(page)[0])
    with (
        jax.enable_x64(False),
        jax.numpy_dtype_promotion("standard"),
        jax.numpy_rank_promotion("allow"),
    ):
        exec(compile(script.read_text(), str(script), "exec"), {})
    said = capsys.readouterr().out
    assert "path through `p = e / e.sum(-1, keepdims=True)` (example.py:7" in said
    assert "is missing" in said


def test_locating_runs_as_it_stands_and_prints_what_it_says(capsys):
    page, names = (ROOT / "docs" / "locating.md").read_text(), {}
    with (
        jax.enable_x64(False),
        jax.numpy_dtype_promotion("standard"),
        jax.numpy_rank_promotion("allow"),
        jax.debug_key_reuse(False),
    ):
        for block in blocks(page):
            exec(compile(block, "locating.md", "exec"), names)
    printed = capsys.readouterr().out
    shown = re.findall(r"```\n(First.*?)```", page, flags=re.DOTALL)[0]
    for line in shown.splitlines():
        assert line.removesuffix("...").rstrip() in printed
    assert "[1] Tanh, residual" in printed and "of the call [3]" in printed


def listed(page):
    """The rules in the first column of the table of differences."""
    table = page.split("## Where others differ")[1]
    return {n for row in table.splitlines() for n in named(row.split("|")[1:2])}


def named(cells):
    return [n for cell in cells for n in re.findall(r"`(\w+)`", cell)]


def disagreements(page):
    """Rules of the table that do not exist, and conventions that it does not list."""
    stating = {
        n for n, doc in LIBRARY.items() if re.search("^Conventions?:", doc, re.M)
    }
    return (listed(page) - LIBRARY.keys()) | (stating - listed(page))


def test_every_convention_is_in_the_table_and_every_row_is_a_rule():
    assert disagreements(NOTATION) == set()


@pytest.mark.parametrize("row", ["gelu", "weight_norm"])
def test_a_renamed_rule_is_found(row):
    changed = NOTATION.replace(f"| `{row}` |", "| `renamed` |")
    assert "renamed" in disagreements(changed)


def test_a_convention_that_is_not_listed_is_found():
    changed = NOTATION.replace("| `gelu` |", "| |")
    assert disagreements(changed) == {"gelu"}


def test_notation_is_one_page():
    assert len(NOTATION.splitlines()) <= 140
