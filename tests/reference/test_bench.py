"""The benchmark measures what it says; its times are looked at, never tested."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

from purefw.layers.tanh import tanh
from purefw.rule import Rule
from reference.baselines import FORMS
from reference.bench import measure, result, show
from reference.bench.case import Case, rule_case
from reference.bench.ceilings import Ceilings
from reference.bench.shapes import CASES
from reference.cli import main
from reference.commands import bench
from reference.registry import LOSSES, RULES
from reference.registry.compositions import COMPOSITIONS
from reference.registry.entry import normal

CPU = jax.devices("cpu")[0]


@pytest.fixture(scope="module")
def row():
    case = rule_case(tanh(), normal(5, 7), FORMS["tanh"])
    return measure.measure("tanh", case, jnp.float32, CPU, rounds=3)


def run_of(*rows, after=10.0):
    ends = Ceilings(10.0, 20.0), Ceilings(after, 20.0)
    return result.Run("today", "a CPU", "jax", "float32", *ends, tuple(rows))


def test_every_constructor_has_a_case():
    made = {e.rule.name for n, e in RULES.items() if n not in COMPOSITIONS}
    made |= {e.loss.name for e in LOSSES.values()}
    cased = {
        entry.rule.name if name in RULES else entry.loss.name
        for name, entry in {**RULES, **LOSSES}.items()
        if name in CASES
    }
    assert made - cased == set()


def test_a_row_holds_both_programs(row):
    assert row.shapes == "5×7"
    assert row.hand.flops > 0 and row.hand.bytes > 0 and row.auto.temporary >= 0
    assert row.rounding <= 1.5


def coarse(params, x, dy):
    y = jnp.tanh(x)
    return y, [(1 - y * y).astype(jnp.bfloat16).astype(x.dtype) * dy]


def test_a_coarse_backward_shows_in_the_rounding():
    fine = rule_case(tanh(), normal(5, 7), FORMS["tanh"])
    case = Case("rule", coarse, fine.auto, fine.draw)
    args = case.draw(jax.random.key(0))
    hand, auto = (measure.compiled(f, args)[0] for f in (case.hand, case.auto))
    assert measure.rounding_ratio(case, hand, auto, args, jnp.float32) > 100


def test_a_stored_array_shows_in_the_memory():
    def forward(params, x):
        return jnp.sin(x).sum(), jnp.cos(x)

    def backward(residuals, dy):
        return (), jnp.sort(residuals) * dy

    def cost(rule):
        case = rule_case(rule, normal(1000, 7))
        return measure.compiled(case.hand, case.draw(jax.random.key(0)))[1]

    storing = Rule("storing", lambda key: (), forward, backward)
    assert cost(storing)["temporary"] >= 28_000 > cost(tanh())["temporary"]


@pytest.mark.parametrize(
    ("ratios", "spread"),
    [([0.5] * 3, 0), ([1, 2, 3], 2 / 2), (np.arange(101), 0.39)],
)
def test_spread_is_the_interval_of_the_median(ratios, spread):
    assert measure.spread(np.array(ratios)) == pytest.approx(spread, rel=0.01)


def test_the_interval_holds_the_median_in_19_runs_of_20():
    rng = np.random.default_rng(0)
    held = []
    for rounds in (11, 33, 99):
        for sample in rng.lognormal(0, 0.3, (400, rounds)):
            low, high = measure.interval(sample)
            held.append(low <= 1 <= high)
    assert 0.93 < np.mean(held) < 0.97


def test_rounds_that_disagree_give_no_ratio(row):
    noisy = measure.Row(**{**vars(row), "spread": 0.5})
    assert show.time_ratio(noisy) == "noisy"
    steady = measure.Row(**{**vars(row), "spread": 0.01, "ratio": 0.25})
    assert show.time_ratio(steady) == "0.25"


def test_a_machine_that_changed_is_named():
    assert "NOT QUIET" not in show.summary(run_of())
    assert "NOT QUIET" in show.summary(run_of(after=5.0))


def test_json_keeps_a_run(row, tmp_path):
    run = run_of(row)
    result.save(run, tmp_path / "run.json")
    assert result.load(tmp_path / "run.json") == run


def test_csv_has_a_line_a_row(row, tmp_path):
    result.save_csv(run_of(row), tmp_path / "run.csv")
    header, line = (tmp_path / "run.csv").read_text().splitlines()
    cells = dict(zip(header.split(","), line.split(","), strict=True))
    assert cells["name"] == "tanh"
    assert float(cells["auto_flops"]) == row.auto.flops


def test_the_plot_is_drawn(row, tmp_path):
    show.plot(run_of(row), tmp_path / "run.png")
    assert (tmp_path / "run.png").stat().st_size > 1000


def test_a_comparison_names_what_grew(row):
    grown = measure.Row(
        **{**vars(row), "hand": measure.Program(1.0, 2**24, 1.0, 1.0, 1.0)}
    )
    console = Console(record=True, width=100)
    show.print_comparison(console, run_of(row), run_of(row))
    show.print_comparison(console, run_of(row), run_of(grown))
    text = console.export_text()
    assert text.startswith("Nothing has changed.") and "16.8" in text


def test_memory_is_counted_from_one_megabyte(row):
    assert result.memory_ratio(row) == 1
    assert result.geometric_mean([0.5, 2.0]) == pytest.approx(1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--only", "nothing"], "only must name some of"),
        (["--device", "abacus"], "device must be one of"),
        (["--dtype", "float8"], "dtype must be one of"),
        (["--output", "run.txt"], "output must end with one of"),
        (["--compare", "missing.json"], "compare must be a JSON file"),
    ],
)
def test_errors_are_one_sentence(options, message, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["purefw", "bench", *options])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    assert f"bench: {message}" in capsys.readouterr().err


def test_the_command_prints_a_table(monkeypatch, capsys, tmp_path):
    small = rule_case(tanh(), normal(5, 7), FORMS["tanh"])
    monkeypatch.setattr(bench, "CASES", {"tanh": small})
    monkeypatch.setattr(bench, "ceilings", lambda device: Ceilings(10.0, 20.0))
    target = tmp_path / "run.json"
    options = ["--only", "tan", "--rounds", "3", "--output", str(target)]
    monkeypatch.setattr("sys.argv", ["purefw", "bench", *options])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code in (0, None)
    assert "geometric means" in capsys.readouterr().out
    assert result.load(target).rows[0].name == "tanh"
