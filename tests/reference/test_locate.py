"""A network taken apart: the exact step and role of every planted mistake."""

import json
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purefw import models
from purefw.compose import chain, parallel, recompute, repeat, residual, tied
from purefw.compose.parallel import backward as parallel_backward
from purefw.compose.tied import TiedParams
from purefw.compose.tied import backward as tied_backward
from purefw.layers.embedding import embedding
from purefw.layers.linear import linear
from purefw.layers.tanh import tanh
from purefw.layers.unembedding import unembedding
from purefw.losses.softmax_cross_entropy import softmax_cross_entropy
from purefw.losses.squared_error import squared_error
from reference.interop import from_numpy_layer
from reference.locate import locate
from reference.locate.parts import parts, with_parts
from reference.locate.trace import Role, State
from reference.trees import NEAR
from reference.verifier.oracle import oracle_for
from tests.reference import courses
from tests.reference.planting import (
    broken,
    mistakes,
    planted,
    scaled,
    unrolled_gpt,
)
from tests.refute import random_params

RNG = np.random.default_rng(11)
ROWS = RNG.standard_normal((4, 7))
LABELS = np.array([0, 2, 1, 1])
IDS = RNG.integers(0, 11, (2, 6)).astype(np.int32)
TEXT = IDS[:, :-1], IDS[:, 1:]
IMAGES = RNG.standard_normal((2, 784)), LABELS[:2]
CROSS_ENTROPY = softmax_cross_entropy()
DEEP = models.perceptron((7, 5, 3, 5, 3, 5, 3, 5, 3), tanh())
NETWORKS = {
    "perceptron": (DEEP, (ROWS, LABELS)),
    "lenet": (models.lenet(28, 3, tanh()), IMAGES),
    "lstm": (models.char_lstm(11, 3, 5), TEXT),
    "gpt": (unrolled_gpt(11, 6, 3, 4), TEXT),
    "gpt in a loop": (models.gpt(11, 6, 3, 4, recompute=True), TEXT),
}


def numbers(network):
    """Parameters that are nowhere zero."""
    return random_params(network, jax.random.key(3))


def located(network, data, params=None, **options):
    if params is None:
        params = numbers(options.get("reference") or network)
    loss = options.pop("loss", CROSS_ENTROPY)
    return locate(network, loss, params, *data, **options)


def found(trace):
    """Path and role of every fault, once each."""
    return list(dict.fromkeys((f.path, f.role) for f in trace.faults))


def states(trace):
    return [step.state.value for step in trace.steps]


# networks that are right


BLOCKS = chain(
    linear(7, 5),
    repeat(recompute(residual(chain(linear(5, 5), tanh()))), 3),
    parallel(linear(5, 3), chain(tanh(), linear(5, 3))),
)
SMALL = {
    "shallow": models.perceptron((7, 5, 3), tanh()),
    "deep": DEEP,
    "blocks": BLOCKS,
}


@pytest.mark.parametrize(
    "name",
    ["shallow", *(pytest.param(n, marks=pytest.mark.slow) for n in ("deep", "blocks"))],
)
def test_a_right_network_has_no_fault(name):
    trace = located(SMALL[name], (ROWS, LABELS))
    assert trace.faults == () and trace.first is None
    assert set(states(trace)) == {"right"}
    flows = [c.flowed for step in trace.steps for c in step.cotangents.values()]
    assert 0 < max(flows) < 1e-3 * NEAR  # Measured: at most 4e-15.
    assert "are right" in str(trace)


# one mistake, everywhere


@pytest.mark.parametrize(
    "depth,role",
    [
        pytest.param(0, Role.DPARAMS, marks=pytest.mark.slow),
        pytest.param(4, Role.DX, marks=pytest.mark.slow),
        pytest.param(7, Role.FORWARD, marks=pytest.mark.slow),
        (8, Role.RESIDUAL),
    ],
)
def test_a_planted_mistake_is_found_without_a_reference(depth, role):
    trace = located(planted(DEEP, (f"[{depth}]",), role), (ROWS, LABELS))
    assert found(trace) == [(f"[{depth}]", role)]
    assert trace.steps[depth].state is State.WRONG
    assert set(states(trace)[depth + 1 :]) == {"right"}
    before = set(states(trace)[:depth])
    assert before <= ({"right"} if role is Role.DPARAMS else {"infected"})


@pytest.mark.slow
@pytest.mark.parametrize("with_reference", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_every_depth_and_every_role_is_named_exactly(name, with_reference):
    network, data = NETWORKS[name]
    params = numbers(network)
    missed, count = [], 0
    for place, role, paths in mistakes(network, params, data[0]):
        options = {"reference": network} if with_reference else {}
        wrong = planted(network, place, role)
        names = found(located(wrong, data, params, **options))
        count += 1
        if count % 16 == 0:  # A process may hold 65 530 maps, each program a few.
            oracle_for.cache_clear()
            jax.clear_caches()
        if names != [(path, role) for path in paths]:
            missed.append((place, role, names))
    assert missed == [] and count >= 10


PAIRS = [
    ((12, Role.RESIDUAL), (3, Role.DX)),
    pytest.param((10, Role.DX), (2, Role.FORWARD), marks=pytest.mark.slow),
    pytest.param((14, Role.DX), (4, Role.DX), marks=pytest.mark.slow),
    pytest.param((8, Role.DPARAMS), (7, Role.DX), marks=pytest.mark.slow),
]


@pytest.mark.parametrize("late,early", PAIRS)
def test_two_mistakes_are_both_named_the_later_first(late, early):
    wrong = DEEP
    for depth, role in (late, early):
        wrong = planted(wrong, (f"[{depth}]",), role)
    trace = located(wrong, (ROWS, LABELS), reference=DEEP)
    assert found(trace) == [(f"[{d}]", role) for d, role in (late, early)]
    assert trace.at(State.WRONG) == [trace.steps[early[0]], trace.steps[late[0]]]


@pytest.mark.slow
def test_a_mistake_in_a_repeated_block_is_named_in_every_call():
    wrong = planted(BLOCKS, ("[1]", "", "", "", "[1]"), Role.DX)
    trace = located(wrong, (ROWS, LABELS))
    assert found(trace) == [(f"[1]#{k}[1]", Role.DX) for k in (2, 1, 0)]
    assert trace.faults[0].rule == "tanh"


@pytest.mark.slow
def test_two_wrong_functions_of_one_step_are_two_faults():
    both = broken(broken(linear(3, 5), Role.DX), Role.DPARAMS)
    trace = located(with_parts(DEEP, {"[4]": both}), (ROWS, LABELS))
    roles_found = {(f.role, f.leaf) for f in trace.faults}
    assert roles_found == {
        (Role.DX, "dx"),
        (Role.DPARAMS, "dparams.weight"),
        (Role.DPARAMS, "dparams.bias"),
    }


# the loss


def test_a_loss_that_ignores_dloss_is_named():
    wrong = replace(
        CROSS_ENTROPY, backward=lambda r, dloss: CROSS_ENTROPY.backward(r, dloss**0)
    )
    trace = located(DEEP, (ROWS, LABELS), loss=wrong)
    assert found(trace) == [("loss", Role.DLOSS)]
    assert trace.steps[-1].state is State.WRONG
    assert set(states(trace)[:-1]) == {"right"}  # dloss is 1 in a network.


@pytest.mark.slow
def test_a_loss_of_the_wrong_scale_infects_everything():
    loss = softmax_cross_entropy("mean")
    wrong = replace(loss, backward=CROSS_ENTROPY.backward)
    wrong = replace(wrong, backward=lambda r, d: scaled(loss.backward(r, d), 4.0))
    trace = located(DEEP, (ROWS, LABELS), loss=wrong)
    assert found(trace) == [("loss", Role.DLOSS)]
    assert set(states(trace)[:-1]) == {"infected"}
    assert all(shares == {"loss": pytest.approx(1)} for shares in trace.budget.values())


@pytest.mark.slow
def test_a_loss_with_another_forward_is_named_where_it_is_known():
    loss = softmax_cross_entropy("mean")
    other = replace(
        loss, forward=lambda p, t: (2 * loss.forward(p, t)[0], loss.forward(p, t)[1])
    )
    assert found(located(DEEP, (ROWS, LABELS), loss=other)) == [("loss", Role.FORWARD)]
    unknown = replace(other, backward=lambda r, dloss: loss.backward(r, dloss))
    assert found(located(DEEP, (ROWS, LABELS), loss=unknown)) == [("loss", Role.DLOSS)]
    trace = located(DEEP, (ROWS, LABELS), loss=unknown, reference_loss=loss)
    assert found(trace) == [("loss", Role.FORWARD)]


# combinators


def only_through_the_rule(residuals, dy, *, rule):
    return rule.backward(residuals, dy)


def only_the_last_end(residuals, dy, *, rules):
    dparams, dx = tied_backward(residuals, dy, rules=rules)
    dlast, _ = rules.last.backward(residuals.last, dy)
    return TiedParams(dlast, dparams.middle), dx


def half_to_every_part(residuals, dy, *, rules, combine):
    return parallel_backward(residuals, dy / 2, rules=rules, combine=combine)


COMBINATORS = {
    "residual": (
        residual(linear(7, 7)),
        lambda r: partial(only_through_the_rule, rule=parts(r)[""]),
        (ROWS, LABELS),
        Role.DX,
    ),
    "tied": (
        tied(embedding(11, 3), tanh(), unembedding(11, 3)),
        lambda r: partial(only_the_last_end, **r.backward.keywords),
        TEXT,
        Role.DPARAMS,
    ),
    "parallel": (
        parallel(linear(7, 7), tanh()),
        lambda r: partial(half_to_every_part, **r.backward.keywords),
        (ROWS, LABELS),
        Role.DX,
    ),
}


@pytest.mark.parametrize(
    "name",
    [
        "residual",
        *(pytest.param(n, marks=pytest.mark.slow) for n in ("parallel", "tied")),
    ],
)
def test_a_wrong_combinator_is_named_and_its_parts_are_not(name):
    rule, backward, data, role = COMBINATORS[name]
    wrong, is_whole = replace(rule, backward=backward(rule)), data is TEXT
    network = wrong if is_whole else chain(linear(7, 7), wrong, linear(7, 3))
    trace = located(network, data)
    assert found(trace) == [("the network" if is_whole else "[1]", role)]
    assert all(f.rule == wrong.name for f in trace.faults)
    assert not trace.at(State.WRONG)


def test_a_combinator_with_a_backward_of_its_own_is_one_step():
    inner = residual(tanh())
    wrong = replace(inner, backward=lambda r, dy: inner.backward(r, 2 * dy))
    trace = located(chain(linear(7, 3), wrong), (ROWS, LABELS))
    assert found(trace) == [("[1]", Role.DX)]
    assert [step.rule for step in trace.steps[:2]] == ["linear", "residual(tanh)"]


def swapped(residuals, dy, *, rules):
    first, *rest = residuals
    return chain(*rules).backward((rest[1], rest[0], first), dy)


def test_residuals_of_another_call_are_named():
    network = chain(tanh(), linear(7, 7), tanh())
    wrong = replace(network, backward=partial(swapped, **network.backward.keywords))
    trace = located(chain(wrong, linear(7, 3)), (ROWS, LABELS))
    assert found(trace) == [("[0][2]", Role.RESIDUAL), ("[0][0]", Role.RESIDUAL)]
    assert "are those of the call [0][0]" in trace.first.sentence


# the lesson's lab


def test_one_activation_object_in_two_places_is_located():
    network = from_numpy_layer(courses.lab(courses.Tanh()))
    trace = located(
        network, (ROWS, RNG.standard_normal((4, 3))), loss=squared_error("mean")
    )
    assert found(trace) == [("[1]", Role.RESIDUAL)]
    assert "are those of the call [3]" in trace.first.sentence
    assert states(trace) == ["infected", "wrong", "right", "right", "right", "right"]
    assert set(trace.budget) == {"dparams[0]['W']", "dparams[0]['b']"}
    assert trace.gradient["dparams[2]['W']"] < NEAR < trace.gradient["dparams[0]['W']"]


@pytest.mark.slow
def test_two_activation_objects_are_right():
    layers = courses.lab(courses.Tanh())
    layers[3] = courses.Tanh()
    data = ROWS, RNG.standard_normal((4, 3))
    trace = located(from_numpy_layer(layers), data, loss=squared_error("mean"))
    assert trace.faults == ()


# the budget


def test_the_budget_shares_what_two_linear_faults_cost():
    wrong = planted(planted(DEEP, ("[12]",), Role.DX), ("[4]",), Role.DX)
    params = numbers(DEEP)
    trace = located(wrong, (ROWS, LABELS), params)
    # The factors multiply: 1.5 * 1.5 - 1 = 0.5 + 0.5 + 0.25.
    assert trace.budget["dparams[0].weight"] == pytest.approx(
        {"[12]": 0.4, "[4]": 0.4, "interplay": 0.2}
    )
    assert trace.budget["dparams[6].weight"] == pytest.approx({"[12]": 1.0})
    assert "40% from [12], 40% from [4]" in str(trace)


# what is refused


@pytest.mark.parametrize("other", [chain(DEEP), chain(*parts(DEEP).values(), tanh())])
def test_a_reference_of_other_parts_is_refused(other):
    with pytest.raises(ValueError, match="reference must have the parts of chain"):
        located(DEEP, (ROWS, LABELS), numbers(DEEP), reference=other)


def test_a_step_whose_backward_raises_is_named():
    def raising(residuals, dy):
        raise KeyError("weight")

    wrong = with_parts(DEEP, {"[4]": replace(parts(DEEP)["[4]"], backward=raising)})
    trace = located(wrong, (ROWS, LABELS))
    assert found(trace) == [("[4]", Role.DX)]
    assert "KeyError" in trace.first.sentence and trace.notes


def test_a_forward_that_branches_on_its_data_is_refused():
    network = from_numpy_layer([courses.Linear(7, 3), courses.Branching()])
    with pytest.raises(
        ValueError, match="Branching must have a forward that JAX can trace"
    ):
        located(network, (ROWS, LABELS))


@pytest.mark.slow
def test_a_loop_over_rows_into_a_buffer_is_located():
    network = from_numpy_layer([courses.Linear(7, 3), courses.FirstRow()])
    assert found(located(network, (ROWS, LABELS))) == [("[1]", Role.DX)]


# the trace


@pytest.mark.slow
def test_the_trace_shows_equations_shapes_values_and_the_local_derivative():
    network = chain(linear(7, 3), tanh())
    trace = located(network, (ROWS[:2], LABELS[:2]), jacobians=True)
    line, curve, loss = trace.steps
    assert line.equations.forward == ("(1) y_bo = Σ_i x_bi weight_io + bias_o",)
    assert len(line.equations.backward) == 3
    assert curve.equations.backward == ("(2) dx_i = (1 - y_i)(1 + y_i) dy_i",)
    np.testing.assert_allclose(curve.y["y"], np.tanh(line.y["y"]))
    np.testing.assert_allclose(
        curve.jacobian, np.diag(1 - np.tanh(line.y["y"]).ravel() ** 2), atol=1e-15
    )
    np.testing.assert_allclose(
        curve.jacobian.T @ curve.dy["dy"].ravel(),
        curve.cotangents["dx"].autodiff.ravel(),
    )
    assert line.jacobian.shape == (6, 14)
    assert loss.rule == CROSS_ENTROPY.name and loss.y["loss"] == trace.value


def test_the_trace_is_json_and_has_no_truth_value():
    trace = located(planted(DEEP, ("[4]",), Role.DX), (ROWS, LABELS))
    body = json.loads(trace.to_json())
    assert body["schema"] == 1 and body["faults"][0]["role"] == "dx"
    step = body["steps"][4]
    assert step["state"] == "wrong" and step["x"]["x"]["shape"] == [4, 3]
    assert len(step["x"]["x"]["values"]) == 4
    with pytest.raises(TypeError, match="ask trace.faults"):
        bool(trace)


def test_zero_error_is_not_claimed_for_what_returns_nothing():
    wrong = replace(parts(DEEP)["[1]"], backward=lambda y, dy: ((), None))
    trace = located(with_parts(DEEP, {"[1]": wrong}), (ROWS, LABELS))
    assert found(trace) == [("[1]", Role.DX)]
    assert jnp.isfinite(trace.value)
