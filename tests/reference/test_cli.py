"""The command `purefw`: what it prints, its exit codes, its one-sentence errors."""

import json
import re
import sys

import jax
import numpy as np
import pytest

from purefw import Rule
from purefw.checkpoint import Checkpoints, steps
from purefw.shared.structure import no_params
from reference import cli
from reference.commands import networks
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
            "load: name must be one of digits, toy, .* .csv or .npz, got 'cifar'",
        ),
        ("--data mnist --data-dir /no", "mnist: directory must be a folder, got /no"),
        ("--learning-rate -0.1", "learning_rate must be positive and finite, got -0.1"),
        ("--learning-rate nan", "learning_rate must be positive and finite, got nan"),
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
        ("--precision int8", "precision must be one of float32, .* got 'int8'"),
        ("--schedule cosine --warmup 9999", "steps must be more than the warmup of 99"),
        ("--accumulate 3", "accumulate must divide batch_size 32, got 3"),
        ("--patience 0", "patience must be at least 1, got 0"),
        ("--verify-every 0", "watch: every must be at least 1, got 0"),
        ("--log log.txt", "must end with .csv or .jsonl, got log.txt"),
        ("--export net.pt", "must end with .safetensors or .npz, got net.pt"),
        ("--resume", "checkpoints must be given for resume, got None"),
        ("--checkpoint-every 5", "checkpoints must be given for checkpoint-every"),
        ("--mesh data:1", "mesh: sizes must read like data=8,model=2, got 'data:1'"),
        ("--mesh data=7", "sizes must multiply to the number of devices, .* got 7 x 1"),
        ("--process-id 0", "coordinator, num_processes and process_id must be given"),
        ("--data no.csv --target y", "no.csv must be a readable CSV .* No such file"),
        ("--network gpt --data digits", "data must be one of text for gpt, got 'digit"),
    ],
)
def test_an_error_is_one_sentence_and_exit_code_2(options, message, purefw):
    code, _, err = purefw("train", *options.split())
    sentence = err.strip().splitlines()[-1]
    assert code == 2
    assert re.search(message, sentence)
    assert "Traceback" not in err


def test_a_killed_training_is_resumed_to_the_same_table(purefw, tmp_path):
    options = "--data toy --batch-size 16 --optimiser adam --schedule linear --epochs 4"
    whole = purefw("train", *options.split())[1]
    kept = [*options.split(), "--checkpoints", str(tmp_path), "--resume"]
    with jax.enable_x64(False):
        first = _killed(kept, tmp_path)
    code, out, _ = purefw("train", *kept)
    assert code == 0 and first == [0, 5] and out.endswith(whole)


@pytest.mark.parametrize(
    "change,sentence",
    [
        (
            "--learning-rate 0.3",
            "train: learning-rate must be 0.1 to resume .* got 0.3",
        ),
        ("--activation tanh", "train: activation must be None to resume .* got tanh"),
        ("--optimiser adam", "train: optimiser must be sgd to resume .* got adam"),
        ("--clip 1", "train: clip must be None to resume .*, got 1.0"),
    ],
)
def test_a_training_is_not_resumed_with_other_options(
    change, sentence, purefw, tmp_path
):
    base = ["--data", "toy", "--batch-size", "40", "--checkpoints", str(tmp_path)]
    assert purefw("train", *base, "--epochs", "1")[0] == 0
    code, _, err = purefw("train", *base, "--resume", *change.split())
    assert code == 2 and re.search(sentence, err.strip().splitlines()[-1])
    assert purefw("train", *base, "--epochs", "2", "--resume")[0] == 0


def test_a_falling_rate_is_not_resumed_over_other_epochs(purefw, tmp_path):
    base = f"--data toy --batch-size 40 --schedule cosine --checkpoints {tmp_path}"
    assert purefw("train", *base.split(), "--epochs", "2")[0] == 0
    code, _, err = purefw("train", *base.split(), "--epochs", "3", "--resume")
    assert code == 2 and "train: epochs must be 2 to resume" in err


def test_a_training_draws_its_pictures(purefw, tmp_path):
    options = ["--data", "toy", "--epochs", "2", "--plot", str(tmp_path / "new")]
    assert purefw("train", *options)[0] == 0
    assert len(list((tmp_path / "new").iterdir())) == 5


def test_one_device_is_a_mesh_too(purefw):
    options = "--data toy --epochs 1 --batch-size 40"
    alone, on_mesh = (
        purefw("train", *options.split(), *mesh)[1].split("┏")[1]
        for mesh in ((), ("--mesh", f"data={jax.device_count()}"))
    )
    assert alone == on_mesh


def _killed(options, folder):
    """Run until epoch 2 would be saved; the steps that are kept."""

    def killed(self, moment):
        if moment.step == 10:
            raise KeyboardInterrupt
        save(self, moment)

    save = Checkpoints.__call__
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoints, "__call__", killed)
        patch.setattr(sys, "argv", ["purefw", "train", *options])
        with pytest.raises(SystemExit):
            cli.main()
    return steps(folder)


def test_a_table_is_learned_logged_and_exported(purefw, tmp_path):
    """Regression on a file of one's own: y = x0 - x1 and what noise there is."""
    rows = np.random.default_rng(3).standard_normal((60, 3))
    rows[:, 2] = rows[:, 0] - rows[:, 1]
    np.savetxt(tmp_path / "mine.csv", rows, delimiter=",", header="a,b,y", comments="")
    code, out, _ = purefw(
        *f"train --data {tmp_path}/mine.csv --target y --epochs 40 --weight-decay 1e-4 "
        f"--clip 5 --log {tmp_path}/log.csv --log {tmp_path}/log.jsonl "
        f"--export {tmp_path}/net.npz --export {tmp_path}/net.safetensors".split()
    )
    assert code == 0 and "2-32-1 relu" in out
    assert float(_epoch(out, 40).split("│")[3]) < 0.1
    for name in ("log.csv", "log.jsonl", "net.npz", "net.safetensors"):
        assert (tmp_path / name).stat().st_size > 0


def test_a_wrong_gradient_that_is_watched_exits_1(purefw, monkeypatch):
    planted = Rule("relu", no_params, lambda p, x: (x, x), lambda r, dy: ((), -dy))
    monkeypatch.setitem(networks.ACTIVATIONS, "relu", lambda: planted)
    options = "--data toy --batch-size 4 --epochs 1 --verify-every 7"
    code, out, err = purefw("train", *options.split())
    assert code == 1 and "step 0: WRONG" in out
    assert "the gradient before step 0:" in err


def test_an_early_end_says_why(purefw):
    options = "--data toy --batch-size 4 --learning-rate 1e-30 --epochs 5 --patience 2"
    code, out, err = purefw("train", *options.split())
    assert code == 0 and "stopped after epoch 2: no better one came" in err
    options = "--data toy --batch-size 4 --learning-rate 1e30 --epochs 5"
    code, out, err = purefw("train", *options.split(), "--nonfinite", "stop")
    assert code == 0 and "loss must be finite" in err and _epoch(out, 0)


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


@pytest.mark.slow
def test_several_processes_judge_as_one_does(monkeypatch):
    names = ["relu", "squared_error_mean", "tanh"]
    with jax.enable_x64(False):  # As in the processes that it starts.
        alone = list(verify_module.verdicts(names, False))
        monkeypatch.setattr(verify_module, "ENTRIES", 1)
        assert repr(list(verify_module.verdicts(names, False))) == repr(alone)
    assert [leaf.name for (leaf,) in alone] == ["dx", "dprediction", "dx"]


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


USER_FILE = """
import jax, jax.numpy as jnp, numpy as np

def forward(x, w):
    return jnp.tanh(x @ w), (x, w)

def backward(residuals, dy):
    x, w = residuals
    da = (1 - jnp.tanh(x @ w) ** 2) * dy
    return da @ w.T, x.T @ da

def forgetful(residuals, dy):
    return dy @ residuals[1].T, residuals[0].T @ dy

def blind(x):
    return jnp.maximum(-jnp.abs(x), 0), x

def refuses(x, w):
    if x.dtype == jnp.float64:
        raise TypeError("float32 alone")
    return forward(x, w)

pair, wrong = (forward, backward), (forward, forgetful)
half = (lambda x, w: x @ w, backward)
one = (forward, lambda residuals, dy: (dy,))
untested = (blind, lambda x, dy: (0 * dy,))
single = (refuses, backward)
infinite = (lambda x, w: (x @ w / 0, (x, w)), backward)
tree = (lambda x, w: ({"y": x @ w}, (x, w)), backward)

@jax.custom_vjp
def sine(x):
    return jnp.sin(x)

sine.defvjp(lambda x: (jnp.sin(x), x), lambda x, dy: (jnp.cos(x) * dy,))

number = 3

def args():
    return np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3), np.ones((3, 2), "f")

def with_text():
    return args()[0], "same"

def with_none():
    return args()[0], None

def whole():
    return tuple(v.astype(np.int32) for v in args())

def raising():
    raise RuntimeError("no data\\nand more")
"""


@pytest.fixture
def check(purefw, tmp_path, monkeypatch):
    """Run `purefw check` beside the user's files."""
    (tmp_path / "mine.py").write_text(USER_FILE)
    (tmp_path / "raises.py").write_text("raise ValueError('boom\\nand more')")
    (tmp_path / "no_python.py").write_text("def f(:")
    (tmp_path / "imports.py").write_text("import no_such_module")
    (tmp_path / "leaves.py").write_text("import sys; sys.exit(3)")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return lambda name, *options: purefw("check", name, *options)


@pytest.mark.parametrize(
    ("name", "args", "code", "said"),
    [
        ("mine.py:pair", "f32[5,3] f32[3,2]", 0, "RIGHT"),
        ("mine.py:pair", "mine.py:args", 0, "RIGHT"),
        ("mine.py:wrong", "mine.py:args", 1, "is not the derivative of the forward"),
        ("mine.py:sine", "f32[3]", 0, "RIGHT"),
        ("mine.py:untested", "f32[3]", 2, "UNTESTED"),
        ("jax.nn:relu", "f32[3]", 0, "RIGHT"),
        ("purefw.layers.tanh:tanh", "f32[2,3]", 0, "RIGHT"),
        ("purefw.losses.squared_error:squared_error", "f32[2] f32[2]", 0, "RIGHT"),
        ("mine.py:half", "mine.py:args", 2, "forward must return the pair"),
        ("mine.py:one", "mine.py:args", 2, "must return the tuple .args.0., args.1.."),
        ("mine.py:single", "mine.py:args", 2, "must run in float64.*float32 alone"),
        (
            "mine.py:infinite",
            "mine.py:args",
            2,
            "must return finite .* got -inf",
        ),
        ("mine.py:tree", "mine.py:args", 2, "backward raises TypeError"),
        ("mine.py:pair", "mine.py:with_text", 2, "args.1. must be an array .* got str"),
        (
            "mine.py:pair",
            "mine.py:with_none",
            2,
            "args.1. must be an array .* got None",
        ),
        ("mine.py:pair", "mine.py:whole", 2, "no argument has a float leaf"),
        ("mine.py:pair", "f32[5,0] f32[0,2]", 2, "every float argument is empty"),
        ("mine.py:pair", "f32[0,3] f32[3,2]", 2, "forward's y is empty"),
        ("mine.py:pair", "f32[5,3]", 2, "forward raises TypeError"),
        ("mine.py:pair", "f32[5,3] f32[4,2]", 2, "forward raises TypeError"),
    ],
)
def test_check_says_and_exits_by_what_it_found(check, name, args, code, said):
    found, out, err = check(name, "--args", args)
    assert found == code, out + err
    assert re.search(said, out), out
    assert "Traceback" not in out + err


@pytest.mark.parametrize(
    ("name", "args", "said"),
    [
        ("mine.py:nobody", "f32[3]", "mine.py must define nobody, it does not"),
        ("nowhere.py:pair", "f32[3]", "FILE must exist, got nowhere.py"),
        ("no_such_module:f", "f32[3]", "No module named 'no_such_module'"),
        ("pair", "f32[3]", "NAME must be FILE.py:NAME or MODULE:NAME, got pair"),
        ("raises.py:f", "f32[3]", "raises.py must run, but it raises ValueError: boom"),
        ("no_python.py:f", "f32[3]", "must run, but it raises SyntaxError"),
        ("imports.py:f", "f32[3]", "imports.py must import, but No module named"),
        ("leaves.py:f", "f32[3]", "must run, but it raises SystemExit: 3"),
        ("mine.py:number", "f32[3]", "NAME must be a Rule, .* got int"),
        ("mine.py:pair", "mine.py:raising", "but it raises RuntimeError: no data"),
        ("mine.py:pair", "mine.py:nobody", "mine.py must define nobody"),
        ("mine.py:pair", "q8[3]", "--args must be FILE.py:FUNCTION or .* got q8.3."),
        ("mine.py:pair", "i32[3]<0", "--args must be .* got i32.3.<0"),
        ("purefw.layers.tanh:tanh", "f32[3] f32[3]", "must give one x for a Rule, got"),
        (
            "purefw.losses.squared_error:squared_error",
            "f32[3]",
            "must give prediction and target for a Loss, got 1",
        ),
    ],
)
def test_what_cannot_be_loaded_is_one_sentence(check, name, args, said):
    code, out, err = check(name, "--args", args)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert re.search(said, err), err


def test_check_prints_json(check):
    code, out, _ = check("mine.py:wrong", "--args", "mine.py:args", "--json")
    body = json.loads(out)
    assert (code, body["verdict"]) == (1, "WRONG")
    assert body["leaves"]["args[0]"]["taylor"]["relative_error"] != 0
