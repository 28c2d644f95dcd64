"""The mutants of a rule: all that change it, none that does not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purefw import Rule
from purefw.layers.layer_norm import layer_norm
from purefw.layers.softmax import softmax
from purefw.losses.squared_error import squared_error
from reference.mutate.classes import mistake_of
from reference.mutate.equivalence import differing, elsewhere, identity
from reference.mutate.mutants import mutants, survey
from reference.mutate.panel import drawn
from reference.mutate.quick import quickly_killed
from reference.mutate.schema import Schema, floats, mutated
from reference.registry import RULES
from reference.verifier.oracle import exact_arithmetic
from reference.verifier.probe import lift
from reference.verifier.problem import flatten
from reference.verifier.subject import loss_subject, rule_subject
from reference.verifier.verify import output_of


def no_params(key):
    return ()


def problem_of(subject):
    return flatten(subject, output_of(subject))


@pytest.fixture(
    scope="module", params=["linear", pytest.param("lstm", marks=pytest.mark.slow)]
)
def surveyed(request):
    """A rule of several leaves surveyed; the slow one has loops inside."""
    rule = RULES[request.param].rule
    with exact_arithmetic():
        return rule, survey(rule, drawn(request.param, "typical"))


def test_the_program_of_all_mutants_is_each_of_them(surveyed):
    rule, found = surveyed
    problem = found.probe.problem
    live, rng = lift(problem.live), np.random.default_rng([5, 1])
    flat = rng.standard_normal(problem.shape.output_size)
    dys = list(map(jnp.asarray, problem.shape.split(flat)))
    which = range(0, len(found.schema.mutations), 17)
    with exact_arithmetic():
        together = found.schema.outputs(which, live, problem.rest, dys)
        dy = problem.shape.cotangent(dys)
        for place, k in enumerate(which):
            broken = mutated(rule, found.schema.mutations[k])
            args = problem.shape.merge(list(map(jnp.asarray, live)), problem.rest)
            alone = broken.backward(broken.forward(*args)[1], dy)
            for v, w in zip(together, floats(alone), strict=True):
                np.testing.assert_allclose(v[place], w, rtol=1e-9, atol=1e-12)


def test_every_mutant_is_killed_by_the_quick_judgement(surveyed):
    found = surveyed[-1]
    wanted = [
        k for k in found.different if mistake_of(found.schema.mutations[k]) != "C12"
    ]
    with exact_arithmetic():
        trials = found.trials
        dead = quickly_killed(found.schema, found.probe, trials, wanted)
        assert set(wanted) == dead
        right = quickly_killed(found.schema, found.probe, trials, [-1])
    assert right == set()
    assert len(wanted) > 50


@pytest.mark.slow
def test_the_classes_of_mistakes_are_all_there(surveyed):
    loss = mutants(squared_error(), None, (np.ones((2, 3)), np.zeros((2, 3))))
    curve = mutants(softmax(), (), np.array([0.3, -1.2, 0.7]))
    every = [*surveyed[-1].mutants, *loss, *curve]
    kinds = {mistake_of(m.mutation) for m in every}
    assert {"C1", "C2", "C3", "C4", "C5", "C6", "C9", "C12", "C13", "C14"} <= kinds


useless = Rule(
    "useless",
    no_params,
    lambda params, x: (2 * x, x),
    lambda x, dy: ((), 2 * dy * jnp.sum(jnp.ones((1, 3)), axis=0) / 1 + 0 * x),
)


def test_what_changes_nothing_is_no_mutant():
    x = np.array([0.3, -1.2, 0.7])
    found = {str(m).partition(": ")[2] or str(m) for m in mutants(useless, (), x)}
    assert "`a - b` becomes `b - a`" not in found
    assert "`a / b` becomes `a`" not in found  # / 1
    assert "a sum becomes a mean" not in found  # over one row
    assert "residual residuals is that of another call" not in found  # 0 x
    assert "dx is negated" in found and "`a / b` becomes `b / a`" in found


ramp = Rule(
    "ramp",
    no_params,
    lambda params, x: (jnp.maximum(x, 0), x),
    lambda x, dy: ((), jnp.where(x > 0, dy, 0)),
)


def test_what_differs_at_a_tie_alone_is_a_mutant():
    found = mutants(ramp, (), np.array([0.3, -1.2, 0.7, 0.2]))
    (tie,) = [m for m in found if m.mutation.sentence == "`a > b` becomes `a >= b`"]
    assert tie.differs in ("ties", "zeros")


def test_a_hard_input_of_another_shape_tells_mutants_apart():
    subject = rule_subject(ramp, (), np.array([0.3, -1.2]))
    tie = rule_subject(ramp, (), np.array([[0.0], [1.0], [-1.0]]))
    with exact_arithmetic():
        schema = Schema(problem_of(subject), 1)
        every = range(len(schema.mutations))
        found = elsewhere(schema, list(every), problem_of(tie))
    kinds = {schema.mutations[k].kind for k in found}
    assert "a > b to a >= b" in kinds


def test_noise_is_no_difference():
    """A leaf that is zero but for rounding, and a difference below the noise."""
    subject = rule_subject(ramp, (), np.array([0.3, -1.2]))
    with exact_arithmetic():
        schema = Schema(problem_of(subject), 1)
        k = [m.kind for m in schema.mutations].index("is multiplied by 1 + 1e-6")
        at = [np.array([0.3, -1.2])], [], [np.array([1.0, 1.0])]
        assert differing(schema, [k], *at) == [k]
        assert differing(schema, [k], *at, [np.array([1e-7, 0.0])]) == []


@pytest.mark.slow
def test_a_mutant_runs_at_any_shape_and_dtype():
    x = jax.random.normal(jax.random.key(1), (3, 5))
    found = mutants(layer_norm(5), None, x)
    (mean,) = [
        m for m in found if m.mutation.kind == "term dropped" and "mean" in str(m)
    ]
    swaps = [m for m in found if m.mutation.kind == "a - b to b - a"]
    (swap,) = [m for m in swaps if "normalisation.py" in str(m)]
    params = jax.tree.map(lambda v: v + 0.5, layer_norm(5).init(jax.random.key(0)))
    params = jax.tree.map(lambda v: v.astype("float32"), params)
    x = jax.random.normal(jax.random.key(2), (2, 7, 5), "float32")
    for mutant in (mean, swap):
        dparams, dx = mutant.rule.backward(mutant.rule.forward(params, x)[1], x)
        true = layer_norm(5).backward(layer_norm(5).forward(params, x)[1], x)
        assert dx.shape == x.shape and dx.dtype == x.dtype
        # xhat negated cancels in dx.
        assert (abs(dx - true[1]).max() > 1e-3) == (mutant is mean)
        assert (abs(dparams.scale - true[0].scale).max() > 1e-3) == (mutant is swap)


def test_mutants_of_a_loss_leave_the_target_alone():
    prediction, target = jnp.array([1.0, 2.0, 4.0]), jnp.array([0.5, 0.0, 3.0])
    found = mutants(squared_error(), None, (prediction, target))
    assert found
    for mutant in found[:3]:
        loss, residuals = mutant.rule.forward(prediction, target)
        assert mutant.rule.backward(residuals, loss).shape == (3,)


def test_names_tell_mutations_apart():
    subject = loss_subject(squared_error(), np.ones((2, 3)), np.zeros((2, 3)))
    with exact_arithmetic():
        schema = Schema(problem_of(subject), 0)
    names = [identity(m) for m in schema.mutations]
    assert len(set(names)) == len(names)
