"""Trees, shapes and dtypes: each mistake is one sentence, before any arithmetic."""

import re
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from reference.contract import structure_findings
from tests.reference.contract import rules as r

X = r.normal(5, 7)
IDS = jnp.array([1, 3, 1])


class Pair(NamedTuple):
    a: object
    b: object


def one(subject):
    """The only finding."""
    findings = structure_findings(subject)
    assert len(findings) == 1, findings
    return findings[0]


def twice(x):
    return 2 * x, x


@pytest.mark.parametrize(
    ("check", "forward", "backward", "args", "sentence"),
    [
        (
            "structure",
            lambda x: x,
            r.tanh_backward,
            (X,),
            r"forward must return the pair \(y, residuals\), got an array of shape",
        ),
        (
            "structure",
            lambda x: (x, x, x),
            r.tanh_backward,
            (X,),
            "got a tuple of length 3",
        ),
        (
            "structure",
            lambda x: ("y", x),
            r.tanh_backward,
            (X,),
            "y must hold arrays only, got a str",
        ),
        (
            "structure",
            lambda x: (jnp.argmax(x), x),
            r.tanh_backward,
            (X,),
            "must hold an array of floats",
        ),
        (
            "arity",
            twice,
            lambda x, dy: 2 * dy,
            (X,),
            r"must return the tuple \(d0,\), got an array of shape \(5, 7\)",
        ),
        (
            "arity",
            twice,
            lambda x, dy: (2 * dy, None),
            (X,),
            "got a tuple of length 2",
        ),
        ("arity", twice, lambda x, dy: None, (X,), "got None"),
        (
            "structure",
            lambda p: (p["a"] * p["b"], p),
            lambda p, dy: ({"a": dy * p["b"]},),
            ({"a": X, "b": X},),
            r"d0 must have the tree of its argument, \{'a': \*, 'b': \*\}, got",
        ),
        (
            "structure",
            lambda p: (p[0] * p[1], p),
            lambda p, dy: (dy,),
            ((X, X),),
            r"d0 must have the tree of its argument, \(\*, \*\), got \*",
        ),
        (
            "structure",
            lambda p: (p[0] * p[1], p),
            lambda p, dy: ([dy, dy],),
            ((X, X),),
            r"got \[\*, \*\]",
        ),
        (
            "shape",
            twice,
            lambda x, dy: (2 * dy[:1],),
            (X,),
            r"d0 must have the shape \(5, 7\) of its argument, got \(1, 7\)",
        ),
        (
            "shape",
            lambda b, x: (x + b[None], b),
            lambda b, dy: (jnp.sum(dy, axis=0, keepdims=True), dy),
            (X[0], X),
            r"d0 must have the shape \(7,\)",
        ),
        (
            "dtype",
            twice,
            lambda x, dy: ((2 * dy).astype(jnp.float32),),
            (X,),
            "d0 must have the dtype float64 of its argument, got float32",
        ),
        (
            "dtype",
            twice,
            lambda x, dy: ((2 * dy).astype(jnp.bfloat16),),
            (X.astype(jnp.float32),),
            "got bfloat16",
        ),
        (
            "dtype",
            twice,
            lambda x, dy: (jnp.ones(x.shape, int),),
            (X,),
            "got int64",
        ),
        (
            "dtype",
            twice,
            lambda x, dy: (np.zeros(x.shape, jax.dtypes.float0),),
            (X,),
            "got float0",
        ),
        (
            "raises",
            lambda x: (x @ x, x),
            r.tanh_backward,
            (X,),
            "forward raises TypeError: dot_general requires contracting",
        ),
        (
            "raises",
            twice,
            lambda x, dy: (dy @ dy,),
            (X,),
            "backward raises TypeError: dot_general requires contracting",
        ),
        (
            "arguments",
            twice,
            r.tanh_backward,
            ("mean",),
            r"0 must be an array of numbers, got str: bind .* functools.partial",
        ),
        (
            "arguments",
            twice,
            r.tanh_backward,
            ({"x": X, "f": len},),
            r"0\['f'\] must be an array of numbers, got builtin_function_or_method",
        ),
        (
            "arguments",
            twice,
            r.tanh_backward,
            (None,),
            r"0 must be an array of numbers, got None",
        ),
        (
            "arguments",
            twice,
            r.tanh_backward,
            (np.array(["a"]),),
            r"0 must be an array of numbers, got <U1",
        ),
        (
            "arguments",
            twice,
            r.tanh_backward,
            (IDS,),
            "no argument has a float leaf",
        ),
        (
            "arguments",
            twice,
            r.tanh_backward,
            (jnp.zeros((0, 3)),),
            "every float argument is empty",
        ),
        (
            "arguments",
            lambda w, x: (x @ w, (w, x)),
            r.linear_backward,
            (X, jnp.zeros((0, 5))),
            "forward's y is empty",
        ),
    ],
)
def test_each_mistake_is_named_alone(check, forward, backward, args, sentence):
    finding = one(r.subject(forward, backward, *args))
    assert (finding.check, finding.fatal) == (check, True)
    assert re.search(sentence, finding.sentence), finding.sentence
    assert "\n" not in finding.sentence


def test_the_leaf_is_named_by_its_path():
    def backward(p, dy):
        return (Pair(dy[0], {"w": dy}),)

    s = r.subject(lambda p: (p.a * p.b["w"], p), backward, Pair(X, {"w": X}))
    assert one(s).leaf == "d0.a"


def test_none_stands_for_a_leaf_or_a_subtree():
    args = ({"a": X, "b": (X, X)}, X)
    for cotangent in (None, {"a": None, "b": None}, {"a": X, "b": (None, X)}):
        s = r.subject(lambda p, x: (x, None), lambda _, dy, c=cotangent: (c, dy), *args)
        assert not structure_findings(s)


@pytest.mark.parametrize(
    "cotangent",
    [None, np.zeros(3, jax.dtypes.float0), np.zeros(3, int), np.zeros(3), jnp.ones(3)],
)
def test_an_integer_leaf_takes_what_custom_vjp_takes(cotangent):
    s = r.subject(lambda x, i: (x, i), lambda i, dy: (dy, cotangent), X, IDS)
    assert not structure_findings(s)
    f = jax.custom_vjp(lambda x, i: x)
    f.defvjp(s.forward, s.backward)
    assert jax.vjp(f, X, IDS)[1](X)[1].dtype == jax.dtypes.float0


def test_an_integer_leaf_of_another_shape_is_a_note():
    s = r.subject(lambda x, i: (x, i), lambda i, dy: (dy, jnp.ones(7)), X, IDS)
    assert (one(s).check, one(s).fatal) == ("integer cotangent", False)


def test_a_key_takes_no_cotangent():
    key = jax.random.key(0)
    for cotangent in (None, np.zeros((), jax.dtypes.float0)):
        s = r.subject(
            lambda x, k: (x, None), lambda _, dy, c=cotangent: (dy, c), X, key
        )
        assert not structure_findings(s)


def test_a_frozen_argument_is_not_looked_at():
    s = r.subject(
        lambda x, t: (x * t, t), lambda t, dy: (dy * t, "target"), X, X, frozen=(1,)
    )
    assert not structure_findings(s)


def test_a_weak_type_is_a_note():
    s = r.subject(lambda x: (x, ()), lambda _, dy: (1.0,), jnp.float64(2))
    assert (one(s).check, one(s).fatal) == ("weak type", False)


def test_a_list_of_the_right_length_is_accepted_as_custom_vjp_does():
    assert not structure_findings(r.subject(twice, lambda x, dy: [2 * dy], X))


def test_nothing_is_computed_for_a_rule_that_can_be_traced():
    def forward(x):
        assert isinstance(x, jax.core.Tracer)
        return 2 * x, x

    assert not structure_findings(r.subject(forward, lambda x, dy: (2 * dy,), X))


def test_numpy_code_is_called_once_on_copies():
    def forward(x):
        x += 1
        return x, x

    x = np.zeros(3)
    s = r.subject(forward, r.numpy_tanh_backward, x, traceable=False)
    assert not structure_findings(s)
    assert not x.any()


def test_code_that_turns_out_not_to_be_traceable_is_called():
    def forward(x):
        return (x if float(x[0, 0]) < 100 else -x), x

    assert not structure_findings(r.subject(forward, lambda x, dy: (dy,), X))


def test_float32_stays_float32_without_x64():
    with jax.enable_x64(False):
        x = jnp.ones(3)
        s = r.subject(r.tanh_forward, r.tanh_backward, x)
        assert not structure_findings(s)
