"""The examples run, in a short form; each is a script of under 100 lines."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest

FOLDER = Path(__file__).parents[1] / "examples"
SCRIPTS = sorted(FOLDER.glob("*.py"))


def _main(name, **settings):
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with jax.enable_x64(False):
        return module.main(**settings)


def test_each_has_under_100_lines_and_says_how_it_is_run():
    names = {path.stem for path in SCRIPTS}
    assert names >= {
        "perceptron", "lenet", "lstm", "gpt", "regression", "several_devices",
    }  # fmt: skip
    for path in SCRIPTS:
        assert len(path.read_text().splitlines()) < 100
        assert f"python examples/{path.name}" in path.read_text()


def test_regression_beats_guessing_the_mean():
    assert _main("regression", epochs=12) < 0.7  # measured 0.52; 0.50 to the end


@pytest.mark.slow
def test_the_perceptron_learns_and_is_verified(tmp_path, capsys):
    picture = tmp_path / "curves.png"
    assert _main("perceptron", epochs=10, picture=picture) > 0.9
    assert picture.exists() and "RIGHT  chain(linear" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize(
    "name,settings,reaches",
    [
        ("lenet", {"epochs": 1}, lambda accuracy: accuracy > 0.3),
        ("lstm", {"epochs": 20}, lambda nats: nats < 3.2),
        ("gpt", {"epochs": 30, "width": 16}, lambda nats: nats < 3.5),
    ],
)
def test_the_larger_ones_learn(name, settings, reaches):
    assert reaches(_main(name, **settings))


@pytest.mark.slow
def test_several_devices_share_a_training():
    done = subprocess.run(
        [sys.executable, FOLDER / "several_devices.py"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(FOLDER.parent), "JAX_PLATFORMS": "cpu"},
    )
    assert done.returncode == 0, done.stderr
    assert "a device holds (32, 16) of the first weight's (64, 32)" in done.stdout
