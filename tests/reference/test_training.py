"""The epoch beside everyone's: the same training by all, and the page that shows it."""

import dataclasses
from pathlib import Path

import jax
import numpy as np
import pytest

from purefw.data import Dataset, digits
from reference.bench import epoch, page, training
from reference.bench.ceilings import Ceilings
from reference.bench.shapes import CASES
from reference.bench.show import epoch_cells
from reference.bench.why import WHY
from reference.cli import main
from reference.commands import bench

ROOT = Path(__file__).parents[2]
CPU = jax.devices("cpu")[0]
SAME = [who for who in epoch.MAKERS if "compiled" not in who and "scikit" not in who]


@pytest.fixture(scope="module")
def few():
    data = digits()
    train = type(data.train)(*(v[:203] for v in data.train))
    return Dataset("few", train, data.validation, classes=10)


@pytest.fixture(scope="module", autouse=True)
def usual():
    """People's loops run under JAX's own settings."""
    with (
        jax.enable_x64(False),
        jax.numpy_dtype_promotion("standard"),
        jax.numpy_rank_promotion("allow"),
        jax.debug_key_reuse(False),
    ):
        yield


def test_all_train_the_same_network(few):
    setting = epoch.setting(few, 13)
    scores = {}
    for who in SAME:
        pytest.importorskip("torch") if "Torch" in who else None
        run, score = epoch.MAKERS[who](setting)
        scores[who] = score(run())
    assert max(scores.values()) - min(scores.values()) <= 0.01, scores
    assert min(scores.values()) > 0.5


def test_a_run_begins_at_the_beginning(few):
    run, _ = epoch.MAKERS[epoch.OURS](epoch.setting(few, 29))
    first, second = run(), run()
    jax.tree.map(np.testing.assert_array_equal, first, second)


def test_who_cannot_run_is_named_with_the_reason(few, monkeypatch):
    def missing(setting):
        raise ImportError("no such library\nat all")

    monkeypatch.setattr(epoch, "MAKERS", {**epoch.MAKERS, "nobody": missing})
    rows = training.at_batch(few, 101, ["nobody", epoch.OURS])
    assert [row.who for row in rows] == [epoch.OURS, "nobody"]
    assert rows[1].seconds is None and rows[1].reason == "ImportError: no such library"
    run = training.TrainRun("", "", "", "", Ceilings(1.0, 1.0), tuple(rows))
    assert "not run: ImportError" in epoch_cells(run, rows[1])[2]


def test_operations_are_those_of_the_products(few):
    setting = epoch.setting(few, 101)
    assert training.operations(setting) == 202 * (4 * 64 * 128 + 6 * 128 * 10)


def test_the_command_prints_the_table_and_keeps_the_run(
    few, monkeypatch, capsys, tmp_path
):
    monkeypatch.setattr(bench, "read", lambda name: few)
    monkeypatch.setattr(training, "BATCHES", (101,))
    monkeypatch.setattr(training, "ceilings", lambda device: Ceilings(10.0, 20.0))
    path = tmp_path / "run.json"
    options = ["--train", "--only", "purefw,lesson", "--output", str(path)]
    monkeypatch.setattr("sys.argv", ["purefw", "bench", *options])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code in (0, None)
    assert "of a matrix product" in capsys.readouterr().out
    assert {row.who for row in training.load(path).rows} == {epoch.OURS, epoch.LESSON}


def test_every_case_says_why():
    assert set(WHY) == set(CASES)


def test_the_page_is_current(monkeypatch):
    monkeypatch.chdir(ROOT)
    text = Path("docs/performance.md").read_text()
    assert text == page.current(text) and "| `gelu` |" in text


def test_the_page_changes_with_the_run(monkeypatch):
    monkeypatch.chdir(ROOT)
    run = page.load(page.DOCS / "performance.json")
    other = dataclasses.replace(run, device="another machine")
    assert "\n".join(page.rules(run)) != "\n".join(page.rules(other))
