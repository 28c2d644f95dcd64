"""The command `purefw`: what it prints, its exit codes, its one-sentence errors."""

import re
import sys

import jax
import pytest

from reference import cli
from reference.commands import verify as verify_module
from reference.report import Leaf, Report
from reference.verdict import Verdict


@pytest.fixture
def purefw(monkeypatch, capsys):
    """Run the command with some arguments: (exit code, stdout, stderr)."""

    def run(*args):
        monkeypatch.setattr(sys, "argv", ["purefw", *args])
        with pytest.raises(SystemExit) as caught, jax.enable_x64(False):
            cli.main()
        return caught.value.code or 0, *capsys.readouterr()

    return run


def _percentages(line):
    return [float(p) for p in re.findall(r"([\d.]+)%", line)]


def _epoch(out, number):
    return next(line for line in out.splitlines() if f"│ {number} " in line)


def test_the_first_experiment_of_the_lesson_runs(purefw):
    """2-2, batch 4, learning rate 0.1, one epoch: from guessing to about 80 %."""
    options = "--data toy --layers 2,2 --batch-size 4 --learning-rate 0.1 --epochs 1"
    code, out, _ = purefw("train", *options.split(), "--seed", "1")
    assert code == 0
    before, after = (_percentages(_epoch(out, n))[0] for n in (0, 1))
    assert before < 60 and after >= 75


def test_the_second_experiment_of_the_lesson_runs(purefw):
    """2-10-2 tanh, learning rate 0.01, 30 epochs."""
    options = "--data toy --layers 2,10,2 --activation tanh --batch-size 4"
    rate = ["--learning-rate", "0.01", "--epochs", "30"]
    code, out, _ = purefw("train", *options.split(), *rate)
    assert code == 0
    assert "2-10-2 tanh, manual gradient" in out
    assert _percentages(_epoch(out, 30))[0] >= 75


def test_both_gradients_print_the_same_table(purefw):
    options = "--data toy --epochs 2 --batch-size 4 --activation sigmoid --gradient"
    tables = [
        purefw("train", *options.split(), gradient)[1].split(".", 1)[1].split("┏")[1]
        for gradient in ("manual", "autodiff")
    ]
    assert tables[0] == tables[1]


@pytest.mark.parametrize(
    "options,message",
    [
        (
            "--data cifar",
            "load: name must be one of digits, toy, mnist, text, got 'cifar'",
        ),
        ("--data mnist", "load: directory must be given for mnist, got None"),
        ("--data mnist --data-dir /no", "mnist: directory must be a folder, got /no"),
        ("--learning-rate -0.1", "learning-rate must be positive and finite, got -0.1"),
        ("--learning-rate nan", "learning-rate must be positive and finite, got nan"),
        ("--activation sine", "activation must be one of relu, sigmoid, tanh, got 'si"),
        ("--gradient both", "gradient must be one of manual, autodiff, got 'both'"),
        ("--layers 784,10", "must begin with 64 and end with 10, .* got 784,10"),
        ("--layers 64,9", "must begin with 64 and end with 10, .* got 64,9"),
        ("--layers 64", "must begin with 64 and end with 10, .* got 64"),
        ("--layers 64,0,10", "linear: n_out must be at least 1, got 0"),
        ("--layers 64,x,10", "whole numbers with commas between, got '64,x,10'"),
        ("--batch-size 2000", r"batch_size must be in \[1, 1438\].* got 2000"),
        ("--epochs 0", "epochs must be at least 1, got 0"),
        ("--data toy --learning-rate 1e30", "loss must be finite, got .* epoch 1"),
    ],
)
def test_an_error_is_one_sentence_and_exit_code_2(options, message, purefw):
    code, _, err = purefw("train", *options.split())
    sentence = err.strip().splitlines()[-1]
    assert code == 2
    assert re.search(message, sentence)
    assert "Traceback" not in err


@pytest.fixture
def small(monkeypatch):
    """The registry cut to two entries and the trainings to one epoch."""
    monkeypatch.setattr(verify_module, "RULES", _some(verify_module.RULES, "relu"))
    losses = _some(verify_module.LOSSES, "squared_error_mean")
    monkeypatch.setattr(verify_module, "LOSSES", losses)
    monkeypatch.setattr(verify_module, "EPOCHS", 1)


def _some(entries, name):
    return {name: entries[name]}


def test_verify_prints_verdicts_and_trainings_and_exits_0(purefw, small):
    code, out, _ = purefw("verify")
    assert code == 0, out
    assert re.search(r"relu\s+│ dx\s+│ \S+\s+│ (RIGHT|KINK)", out)
    assert re.search(r"squared_error_mean\s+│ dprediction\s+│ \S+\s+│ RIGHT", out)
    assert "All is right." in out
    assert _percentages(_epoch(out, 1))[0] == _percentages(_epoch(out, 1))[1]


def test_verify_exits_1_and_names_what_is_wrong(purefw, small, monkeypatch):
    wrong = Report("relu", {"dx": Leaf("dx", Verdict.WRONG, units=1e9)})
    monkeypatch.setattr(verify_module, "check_rule", lambda *args, **kwargs: wrong)
    code, out, _ = purefw("verify")
    assert code == 1
    assert "NOT RIGHT: relu dx" in out


def test_verify_exits_1_when_the_trainings_part(purefw, small, monkeypatch):
    honest = verify_module.trainings

    def parting(**settings):
        return (c._replace(gradient=1e-9) for c in honest(**settings))

    monkeypatch.setattr(verify_module, "trainings", parting)
    code, out, _ = purefw("verify")
    assert code == 1
    assert "NOT RIGHT: epoch 0, epoch 1" in out


def test_the_worst_verdict_of_a_leaf_is_shown_not_the_largest_error():
    reports = [
        Report("r", {"dx": Leaf("dx", verdict, units=error)})
        for verdict, error in [
            (Verdict.RIGHT, 9.0),
            (Verdict.WRONG, 5.0),
            (Verdict.KINK, 8.0),
        ]
    ]
    (leaf,) = verify_module.worst(reports)
    assert (leaf.verdict, leaf.error) == (Verdict.WRONG, 5.0)


def test_a_broken_contract_has_a_line_of_its_own():
    leaves = verify_module.worst([Report("r", {}, broken=("dx has another shape",))])
    assert [(v.name, v.verdict) for v in leaves] == [("(contract)", Verdict.CONTRACT)]


def test_help_lists_both_commands(purefw):
    code, out, _ = purefw("--help")
    assert code == 0 and "verify" in out and "train" in out
