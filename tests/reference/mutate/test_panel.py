"""A registered rule's mutants before the verifier and before other checks."""

import jax
import numpy as np
import pytest

from purefw.layers.tanh import tanh
from reference import Verdict
from reference.mutate import panel
from reference.mutate.mutants import survey
from reference.mutate.panel import OURS, Row, broken, drawn, examine, full
from reference.mutate.quick import quickly_killed
from reference.mutate.rivals import RIVALS, Bench, verdicts
from reference.mutate.schema import mutated
from reference.registry import LOSSES
from reference.verifier.oracle import exact_arithmetic
from reference.verifier.subject import rule_subject
from reference.verifier.verify import check_subject


@pytest.mark.slow
def test_a_rule_with_a_kink_before_every_check():
    """ELU with alpha 0.7: `x >= 0` for `x > 0` is another subgradient, no mistake."""
    row = examine("elu")
    assert row.killed[OURS] == row.mutants > 40 and row.survivors == []
    assert row.conventions == 1 and row.full == 2 and row.false_alarm == ""
    assert set(row.killed) == {OURS, *RIVALS}
    assert all(0 < row.killed[name] < row.mutants for name in RIVALS)
    counts = [c["mutants"] for c in row.classes.values()]
    assert sum(counts) == row.mutants and row.classes["C12"]["mutants"] == 1


def test_a_blind_verifier_is_found_out(monkeypatch):
    right = check_subject(drawn("relu", "typical"))
    monkeypatch.setattr(panel, "quickly_killed", lambda *args: set())
    monkeypatch.setattr(panel, "accused_at_given", lambda subject: None)
    monkeypatch.setattr(panel, "check_subject", lambda subject: right)
    row = examine("relu")
    assert row.killed[OURS] == 0 and len(row.survivors) == row.mutants
    assert "dx is negated; differs at generic values" in row.survivors


def surveyed(rule, x):
    """A rule at x with all its mutants, and their numbers by name."""
    with exact_arithmetic():
        found = survey(rule, rule_subject(rule, (), x))
    return found, {str(m): k for k, m in enumerate(found.schema.mutations)}


@pytest.fixture(scope="module")
def bench():
    """Hyperbolic tangents before the other checks."""
    found, number = surveyed(tanh(), np.random.default_rng([9, 1]).normal(size=(2, 3)))
    problem, wanted = found.probe.problem, sorted(found.different)
    with exact_arithmetic():
        kills = verdicts(Bench(problem, found.schema, found.probe.oracle, wanted))
    return kills, number


def test_a_cotangent_of_ones_hides_what_is_done_to_the_cotangent(bench):
    kills, number = bench
    assert number["dx is negated"] in kills["ones"]
    for name in ("dy is taken for ones", "|dy| stands for dy"):
        assert number[name] not in kills["ones"]
        assert number[name] in kills["check_grads"]


def test_differences_hide_a_millionth(bench):
    kills, number = bench
    assert number["dx is multiplied by 1 + 1e-6"] not in kills["check_grads"]
    assert number["dx is multiplied by 2"] in kills["check_grads"]


def test_torch_sees_formulas_and_not_what_is_nonlinear_in_the_cotangent(bench):
    pytest.importorskip("torch", reason="gradcheck is torch's")
    kills, number = bench
    assert number["dx is negated"] in kills["gradcheck"]
    assert number["dx has one entry of zero"] in kills["gradcheck"]
    assert number["dy is clipped to [-1, 1]"] not in kills["gradcheck"]


def test_a_check_that_refuses_the_original_is_left_out():
    found, _ = surveyed(tanh(), np.array([0.3, -0.7]))
    (sign,) = [m for m in found.schema.mutations if str(m) == "dx is negated"]
    wrong, _ = surveyed(mutated(tanh(), sign), np.array([0.3, -0.7]))
    with exact_arithmetic():
        bench = Bench(wrong.probe.problem, wrong.schema, wrong.probe.oracle, [0, 1])
        assert set(verdicts(bench).values()) == {None}


def test_the_quick_judgement_clears_the_original_and_keeps_off_kinks():
    x = np.array([[0.0, 1.0, -1.0], [0.5, 0.0, 2.0]])
    found, number = surveyed(panel.RULES["elu"].rule, x)
    (edge,) = [k for m, k in number.items() if "becomes `a >= b`" in m]
    with exact_arithmetic():
        args = found.schema, found.probe, found.trials
        assert quickly_killed(*args, [-1, edge]) == set()
        assert quickly_killed(*args, [number["dx is negated"]])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["layer_norm", "softmax_cross_entropy", "max_pool"])
def test_the_full_check_agrees_with_the_quick_judgement(name):
    made, (typical, *_) = panel.entry_of(name)
    given = drawn(name, typical)
    with exact_arithmetic():
        found = survey(made, given)
        wanted = sorted(found.different)
        dead = quickly_killed(found.schema, found.probe, found.trials, wanted)
    sample = np.random.default_rng([9, 2]).choice(sorted(dead), 8, replace=False)
    for k in map(int, sample):
        verdict = full(found, k, [given])
        assert verdict.severity > Verdict.KINK.severity, found.schema.mutations[k]


@pytest.mark.slow
def test_a_mutant_takes_the_place_of_the_original():
    given = drawn("relu", "typical")
    found, number = surveyed(panel.RULES["relu"].rule, given.args[1])
    wrong = broken(found, number["dx is negated"], given)
    x = wrong.args[1]
    y, residuals = wrong.forward((), x)
    dx = wrong.backward(residuals, y)[1]
    np.testing.assert_array_equal(dx, -np.maximum(x, 0))
    assert check_subject(wrong).verdict is Verdict.WRONG
    assert jax.tree.structure(wrong.args) == jax.tree.structure(given.args)


def test_a_row_is_plain_data():
    assert Row("r", "c").killed == {}


def test_labels_kept_as_floats_stay_labels():
    """Moved by a rounding they are neither 0 nor 1, and no truth is left to ask."""
    with exact_arithmetic():
        found = survey(LOSSES["focal"].loss, drawn("focal", "one"))
        wanted = sorted(found.different)
        quick = quickly_killed(found.schema, found.probe, found.trials, wanted)
    assert len(quick) > 0.8 * len(wanted) > 100
