"""What a person reads, what a program reads, and what is not stated."""

import io
import json
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

from purefw.layers.layer_norm import layer_norm
from reference import chance, check_rule, check_vjp, diagnose
from reference.report import Report


def sine(x):
    return jnp.sin(x), x


def explained(report):
    return replace(report, diagnosis=diagnose(report))


@pytest.fixture(scope="module")
def wrong():
    x = jax.random.normal(jax.random.key(5), (3, 5))
    backward = lambda x, dy: (-jnp.cos(x) * dy,)  # noqa: E731
    return explained(check_vjp(sine, backward, x, points=2))


def test_the_cause_stands_before_the_numbers(wrong):
    lines = str(wrong).splitlines()
    assert lines[1].split(": ", 1)[1] == "has the wrong sign"
    assert "relative error" in lines[2]
    assert lines[3].strip().startswith("proved at")


def test_the_table_says_the_same(wrong):
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(wrong)
    assert "has the wrong sign" in console.export_text()
    assert "has the wrong sign" in wrong._repr_html_()


def test_json_holds_label_class_and_proof(wrong):
    body = json.loads(wrong.to_json())
    cause = body["diagnosis"]["causes"][0]
    assert (cause["label"], cause["mistake"]) == ("sign: all", "C3")
    assert cause["proof"]["probes"] >= 3
    assert cause["proof"]["sizes"] == 2
    assert "given" not in body


def test_what_has_no_proof_is_said_by_its_place(keys):
    # Two strange terms in one row: no single repair mends both.
    one, other = np.array([[0], [0.3], [0]]), np.array([[0], [0.7], [0]])

    def backward(x, dy):
        strange = (jnp.cos(x) + one * jnp.sin(5 * x)) * dy
        return (strange - other * jnp.exp(x / 3) * dy,)

    x = chance.normal(next(keys), (3, 5))
    found = diagnose(check_vjp(sine, backward, x, points=2))
    assert not found.causes
    assert "cause not proved" in found.where["args[0]"]
    assert "only at index 1 of axis 0" in found.where["args[0]"]


@pytest.mark.slow
def test_two_mistakes_in_two_leaves_are_both_named(keys):
    rule = layer_norm(5)

    def backward(residuals, dy):
        dparams, _ = rule.backward(residuals, dy)
        terms = rule.terms(residuals, dy)["dx"]
        return dparams._replace(bias=-dparams.bias), terms["direct"] + terms["mean"]

    x = chance.normal(next(keys), (3, 5))
    found = diagnose(check_rule(replace(rule, backward=backward), x, points=2))
    assert found.cause_of("dx").label == "term: variance missing"
    assert found.cause_of("dparams.bias").label == "sign: all"


@pytest.mark.parametrize(
    "factor,name",
    [
        (lambda x: 3, "3"),
        pytest.param(len, "args[0].shape[0]", marks=pytest.mark.slow),
    ],
)
def test_a_constant_is_named_by_its_law_and_not_by_its_value(factor, name, keys):
    # 3 is also a length; at the other size it still is 3.
    def forward(x):
        return jnp.sum(x**2), x

    def backward(x, dy):
        return (2 * factor(x) * x * dy,)

    x = chance.normal(next(keys), (3, 5))
    (cause,) = diagnose(check_vjp(forward, backward, x, points=2)).causes
    assert cause.label == f"scale: {name}"


@pytest.mark.slow
def test_a_term_that_is_identically_zero_is_no_mistake(keys):
    # var has a mean of its own, and the path through it cancels: Σ(x - mean) = 0.
    def forward(x):
        xc = x - jnp.mean(x, axis=0)[None, :]
        inverse = 1 / jnp.sqrt(jnp.var(x, axis=0) + 1e-3)
        return xc * inverse[None, :], (xc, inverse)

    def backward(residuals, dy):
        xc, inverse = residuals
        xhat = xc * inverse[None, :]
        means = jnp.mean(dy, 0)[None, :], jnp.mean(dy * xhat, 0)[None, :]
        return (inverse[None, :] * (dy - means[0] - xhat * means[1]),)

    x = chance.normal(next(keys), (7, 3))
    found = diagnose(check_vjp(forward, backward, x, points=2))
    assert not found.causes
    assert any("identically zero here (norm" in term for term in found.zero_terms)
    assert any("not a mistake" in term for term in found.zero_terms)


def test_a_report_without_its_subject_is_refused():
    with pytest.raises(ValueError, match="diagnose: report must come from a check"):
        diagnose(Report("read from a file", {}))


def test_numpy_that_writes_into_dy_is_named():
    def forward(a):
        return np.asarray(a) * 2, ()

    def backward(residuals, dy):
        dy *= 2
        return (dy,)

    report = check_vjp(forward, backward, np.array([0.3, -1.2]), points=2)
    assert [c.label for c in diagnose(report).causes] == ["mutation: dy"]
