"""Backward must be linear in dy: every nonlinear one is found and named."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from reference.contract import behaviour_findings
from tests.reference.contract import rules as r

EIGHT = {
    "tanh": r.subject(r.tanh_forward, r.tanh_backward, r.normal(5, 7)),
    "linear": r.subject(
        r.linear_forward, r.linear_backward, r.normal(7, 3), r.normal(5, 7, seed=1)
    ),
    "softmax": r.subject(r.softmax_forward, r.softmax_backward, r.normal(3, 5)),
    "norm": r.subject(r.norm_forward, r.norm_backward, r.normal(3, 7)),
    "mean_square": r.subject(
        r.mean_square_forward, r.mean_square_backward, r.normal(5)
    ),
    "embedding": r.subject(
        r.embedding_forward,
        r.embedding_backward,
        r.normal(7, 3),
        jnp.array([1, 3, 1, 6]),
    ),
    "two_outputs": r.subject(
        r.two_outputs_forward, r.two_outputs_backward, r.normal(5)
    ),
    "top": r.subject(r.top_forward, r.top_backward, r.normal(5)),
}

EDITS = {
    "abs": (jnp.abs, "oddness", r"\|dy\|, relu\(dy\) or dy²"),
    "relu": (lambda v: jnp.maximum(v, 0), "oddness", r"\|dy\|, relu\(dy\) or dy²"),
    "square": (lambda v: v**2, "oddness", r"\|dy\|, relu\(dy\) or dy²"),
    "clip": (
        lambda v: jnp.clip(v, -1, 1),
        "homogeneity",
        "clipping or saturation of dy inside backward",
    ),
    "sign": (jnp.sign, "homogeneity", "clipping or saturation of dy inside backward"),
}


def edited(subject, edit):
    """The rule with `edit` applied to every float leaf of dy."""

    def backward(residuals, dy):
        floats = jnp.inexact
        return subject.backward(
            residuals,
            jax.tree.map(
                lambda v: edit(v) if jnp.issubdtype(v.dtype, floats) else v, dy
            ),
        )

    return r.subject(subject.forward, backward, *subject.args)


@pytest.mark.parametrize("rule", EIGHT)
def test_a_linear_backward_is_accepted(rule):
    assert not r.fatal(r.judge(EIGHT[rule]))


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("rule", EIGHT)
def test_every_nonlinear_backward_is_named(rule, edit):
    f, check, hint = EDITS[edit]
    subject = EIGHT[rule]
    findings = [x for x in r.judge(edited(subject, f)) if x.fatal]
    assert {x.check for x in findings} == {check}
    assert len({x.leaf for x in findings}) == len(findings)
    for x in findings:
        assert x.nonlinear
        assert re.search(hint, x.sentence)


@pytest.mark.parametrize(
    ("check", "backward", "hint"),
    [
        ("dependence", lambda y, dy: (1 - y * y,), "dy is not used"),
        ("zero", lambda y, dy: ((1 - y * y) * dy + y,), "lacks the factor dy"),
        ("zero", lambda y, dy: ((1 - y * y) * dy + 1e-300,), "lacks the factor dy"),
        (
            "linearity",
            lambda y, dy: (jnp.where(jnp.abs(dy) == jnp.max(jnp.abs(dy)), dy, 0.0),),
            "a maximum or a choice by size of dy",
        ),
    ],
)
def test_each_law_has_a_saboteur(check, backward, hint):
    findings = r.judge(r.subject(r.tanh_forward, backward, r.normal(5, 7)))
    assert [f.check for f in findings if f.fatal] == [check]
    assert hint in next(f for f in findings if f.fatal).sentence


def test_an_output_whose_cotangent_is_zero_must_not_matter_to_the_others():
    def backward(residuals, dy):
        s, c = residuals
        ds, dc = dy
        return (jnp.where(jnp.all(dc == 0), 0.0, 1.0) * c * ds - s * dc,)

    s = r.subject(r.two_outputs_forward, backward, r.normal(5))
    assert r.fatal(r.judge(s)) == {"symbolic zero"}


def test_only_the_leaf_that_is_not_linear_is_named():
    def backward(residuals, dy):
        w, x = residuals
        return x.T @ jnp.clip(dy, -1, 1), dy @ w.T

    s = r.subject(r.linear_forward, backward, r.normal(7, 3), r.normal(5, 7, seed=1))
    assert [(f.check, f.leaf) for f in r.judge(s) if f.fatal] == [("homogeneity", "d0")]


@pytest.mark.parametrize("threshold", [1e6, 1e-6])
def test_a_threshold_far_from_dy_is_found(threshold):
    def backward(y, dy):
        if threshold > 1:
            return ((1 - y * y) * jnp.clip(dy, -threshold, threshold),)
        return ((1 - y * y) * jnp.where(jnp.abs(dy) < threshold, 0.0, dy),)

    s = r.subject(r.tanh_forward, backward, r.normal(5))
    assert r.fatal(r.judge(s)) == {"homogeneity"}


def test_a_declared_surrogate_may_clip():
    s = r.subject(
        r.tanh_forward,
        lambda y, dy: (jnp.clip(dy, -0.1, 0.1),),
        r.normal(5),
        linear=False,
    )
    assert not r.fatal(r.judge(s))


def test_a_gradient_that_is_zero_everywhere_is_not_called_independent_of_dy():
    s = r.subject(
        lambda x: (jnp.floor(x), x), lambda x, dy: (jnp.zeros_like(x),), r.normal(5)
    )
    assert not r.fatal(r.judge(s))


def test_the_null_space_of_a_backward_is_noise_and_no_finding():
    # Of two entries, layer norm leaves a cotangent that is rounding alone.
    s = r.subject(r.norm_forward, r.norm_backward, r.normal(5, 2))
    assert not r.fatal(r.judge(s))


def test_numpy_code_is_judged_by_calling_it():
    def backward(y, dy):
        return ((1 - y * y) * np.abs(dy),)

    s = r.subject(r.numpy_tanh_forward, backward, np.ones(3), traceable=False)
    assert {f.check for f in behaviour_findings(s, np.array([0.3, -2.0, 1.1]))} == {
        "oddness"
    }


def numpy_softmax_forward(x):
    e = np.exp(x - np.max(x, axis=-1, keepdims=True))
    p = e / np.sum(e, axis=-1, keepdims=True)
    return p, p


def numpy_softmax_backward(p, dp):
    return (p * (dp - np.sum(p * dp, axis=-1, keepdims=True)),)


@pytest.mark.parametrize("traceable", [True, False])
@pytest.mark.parametrize("scale", [10, 30, 60])
def test_the_cancellation_of_a_saturated_softmax_is_excused(scale, traceable):
    # Its cotangent p (dp − Σ p dp) loses all but its first digits where p is near 1.
    jax_rule = r.softmax_forward, r.softmax_backward
    numpy_rule = numpy_softmax_forward, numpy_softmax_backward
    for seed in range(6):
        x = scale * r.normal(2, 5, seed=seed)
        s = r.subject(
            *(jax_rule if traceable else numpy_rule),
            x if traceable else np.array(x),
            traceable=traceable,
        )
        assert not behaviour_findings(s, np.array(r.normal(2, 5, seed=seed + 50)))
