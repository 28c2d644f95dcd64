"""Another value that was in scope, inside a loop too."""

import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from reference.diagnosis.backward_program import program_of
from reference.diagnosis.operand_program import Uses
from reference.diagnosis.scene import Stage
from reference.diagnosis.scope import FORMS, in_scope, scope_of
from reference.verifier.oracle import exact_arithmetic
from reference.verifier.problem import flatten
from reference.verifier.subject import Subject
from reference.verifier.verify import output_of

X = np.random.default_rng([14, 1]).standard_normal((4, 3))


def forward(x):
    """A running product of sigmoids."""

    def step(s, x_t):
        gate = 1 / (1 + jnp.exp(-x_t))
        return s * gate, (s, gate)

    last, kept = lax.scan(step, jnp.ones(3), x)
    return last, kept


def backward(kept, dy, wrong):
    def step(ds, at):
        s, gate = at
        slope = gate * (1 - gate)
        back = s if wrong else gate
        return ds * back, ds * s * slope

    return (lax.scan(step, dy, kept, reverse=True)[1],)


@pytest.fixture(scope="module")
def stage():
    """The state stands where the gate belongs."""
    pull = lambda kept, dy: backward(kept, dy, True)  # noqa: E731
    subject = Subject("product", forward, pull, (X,), ("args[0]",))
    with exact_arithmetic():
        yield Stage(flatten(subject, output_of(subject)), 0)


def test_an_operand_in_a_loop_has_no_one_value(stage):
    with exact_arithmetic():
        uses = Uses(stage)
        values = uses.values(stage.home)
    inside = [v is None for v in values]
    assert any(inside)
    assert all(
        v.shape == use.shape for v, use in zip(values, uses.all) if v is not None
    )


def test_the_value_that_belongs_there_is_named(stage):
    with exact_arithmetic():
        found = next(iter(in_scope(stage, 0)))
    assert found.label.startswith("residual: this step's residuals[0] should be this ")
    assert "test_scope.py" in found.source
    assert "return ds * back" in found.sentence


def test_only_values_of_the_same_body_are_rivals(stage):
    scope = scope_of(stage)
    paths = {
        p.equation: len(scope.program.equations[p.equation].path) for p in scope.places
    }
    assert set(paths.values()) == {
        2
    }  # Outside of the loop there is nothing to confuse.


def test_the_program_as_it_is_gives_the_hand(stage):
    with exact_arithmetic():
        scope, home = scope_of(stage), stage.home
        (same,) = scope.outputs(home, [(len(scope.places), 0, "{w}")])
    np.testing.assert_allclose(same[0], home.hand[0], rtol=1e-14)


def test_every_form_is_its_polynomial():
    o, w = 0.3, 0.7
    powers = 1, o, w, o * w, w**2, o * w**2, o**2
    for form, c in FORMS.items():
        text = form.replace("^", "**").format(o=o, w=w)
        assert eval(text) == pytest.approx(np.dot(c, powers)), form


def test_what_cannot_be_traced_has_no_program(stage):
    def pull(kept, dy):
        return (np.asarray(backward(kept, dy, False)[0]),)

    subject = Subject("product", forward, pull, (X,), ("args[0]",))
    with exact_arithmetic():
        other = Stage(flatten(subject, output_of(subject)), 0)
        assert program_of(other) is None and scope_of(other) is None
        assert list(in_scope(other, 0)) == []
