"""`purefw trace`: what it prints, its exit codes, its one-sentence errors."""

import json
import sys

import jax
import pytest

from reference import cli


@pytest.fixture
def trace(monkeypatch, capsys):
    """Run `purefw trace` with some arguments: (exit code, stdout, stderr)."""

    def run(*args):
        monkeypatch.setattr(sys, "argv", ["purefw", "trace", *args])
        monkeypatch.setenv("COLUMNS", "120")
        with pytest.raises(SystemExit) as caught, jax.enable_x64(False):
            cli.main()
        return caught.value.code or 0, *capsys.readouterr()

    return run


TOY = ["--data", "toy", "--layers", "2,3,2", "--activation", "tanh", "--batch", "3"]


def test_a_known_network_is_right_and_shown_step_by_step(trace):
    code, out, _ = trace(*TOY)
    assert code == 0
    assert "All 4 steps of chain(linear, tanh, linear) are right." in out
    assert "(3, 2) → (3, 3)" in out and "dparams.weight" in out
    assert "tanh, backward:\n    (2) dx_i = (1 - y_i)(1 + y_i) dy_i" in out


def test_json_is_all_there_is(trace):
    code, out, _ = trace(*TOY, "--json")
    body = json.loads(out)
    assert code == 0 and body["faults"] == []
    assert body["steps"][1]["jacobian"]["shape"] == [9, 9]


MINE = """
from dataclasses import replace
import jax, numpy as np
from purefw.compose import chain
from purefw.layers.linear import linear
from purefw.layers.tanh import tanh
from purefw.losses.squared_error import squared_error

def subject():
    wrong = replace(tanh(), backward=lambda y, dy: ((), -dy))
    network = chain(linear(2, 3), wrong)
    x = np.linspace(-1, 1, 6).reshape(3, 2)
    return network, squared_error(), network.init(jax.random.key(0)), x, np.ones((3, 3))

def raises():
    raise KeyError("x")

def short():
    return 1, 2
"""


@pytest.fixture
def mine(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(MINE)
    return path


def test_a_wrong_network_of_the_users_is_exit_code_1(trace, mine):
    code, out, _ = trace(f"{mine}:subject")
    assert code == 1
    assert "First wrong step from the loss: [1] tanh, dx" in " ".join(out.split())


@pytest.mark.parametrize(
    "name,message",
    [
        ("raises", r"but it raises KeyError: 'x'"),
        ("short", r"must return (network, loss, params, x, target), got tuple"),
        ("nothing", "must define nothing, it does not"),
    ],
)
def test_what_is_no_subject_is_one_sentence(trace, mine, name, message):
    code, _, err = trace(f"{mine}:{name}")
    assert code == 2
    assert message in err and len(err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    "options,message",
    [
        (["--network", "nothing"], "network must be one of perceptron"),
        ([*TOY, "--batch", "0"], "trace: batch must be in [1, 80], got 0"),
    ],
)
def test_a_bad_option_is_one_sentence(trace, options, message):
    code, _, err = trace(*options)
    assert code == 2
    assert message in err.splitlines()[-1] and "Traceback" not in err


def test_the_page_is_written_beside_what_is_printed(trace, tmp_path):
    code, out, _ = trace(*TOY, "--html", str(tmp_path / "trace.html"))
    assert code == 0 and "All 4 steps" in out
    assert "chain(linear, tanh, linear)" in (tmp_path / "trace.html").read_text("utf-8")


def test_a_page_that_cannot_be_written_is_one_sentence(trace, tmp_path):
    code, _, err = trace(*TOY, "--html", str(tmp_path / "missing" / "trace.html"))
    assert code == 2
    assert "trace: html must be a file that can be written" in err.splitlines()[-1]
