"""The notebooks run from top to bottom, and are kept with their outputs."""

from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat", reason="needs the extra docs")
pytest.importorskip("nbclient", reason="needs the extra docs")
PATHS = sorted((Path(__file__).parents[1] / "docs" / "notebooks").glob("*.ipynb"))


def cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def printed(cell):
    return "".join(o.text for o in cell.outputs if o.output_type == "stream")


def test_all_five_are_there():
    names = [path.stem for path in PATHS]
    assert names == ["batch_norm", "float32", "lab", "lesson", "repair"]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_the_outputs_are_kept(path):
    notebook = nbformat.read(path, as_version=4)
    found = cells(notebook)
    assert [cell.execution_count for cell in found] == list(range(1, len(found) + 1))
    for cell in found:
        assert all(output.output_type != "error" for output in cell.outputs)
        assert cell.outputs or "print(" not in cell.source.split("\ndef ")[0]
    assert path.stat().st_size < 1_000_000


@pytest.mark.slow
@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_what_it_asserts_holds(path):
    from docs.pages.notebooks import executed

    again = cells(executed(path))  # It raises where an assert of a cell does.
    kept = cells(nbformat.read(path, as_version=4))
    assert any("assert" in cell.source for cell in kept)
    for cell, before in zip(again, kept):
        assert bool(printed(cell)) == bool(printed(before))
