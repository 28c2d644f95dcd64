"""Mistakes planted around a backward pass: each kind where it applies."""

import jax.numpy as jnp
import numpy as np
import pytest

from reference.mutate.plants import (
    Call,
    cotangent_plants,
    output_plants,
    planted,
    residual_plants,
)

DY = [np.array([0.5, -2.0, 1.5]), np.array([[3.0]])]


def of_cotangent(kind):
    (plant,) = [p for p in cotangent_plants(DY[:1]) if p.kind == f"dy {kind}"]
    return planted(plant, DY[:1])[0]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("ones", [1, 1, 1]),
        ("first", [0.5, 0.5, 0.5]),
        ("mean", [0, 0, 0]),
        ("sign", [1, -1, 1]),
        ("abs", [0.5, 2, 1.5]),
        ("square", [0.25, 4, 2.25]),
        ("relu", [0.5, 0, 1.5]),
        ("clip", [0.5, -1, 1]),
    ],
)
def test_a_cotangent_is_lost(kind, expected):
    np.testing.assert_allclose(of_cotangent(kind), expected)


def test_one_of_several_cotangents_is_lost():
    found = [p for p in cotangent_plants(DY) if p.kind == "dy leaf zero"]
    changed = [planted(p, DY) for p in found]
    assert [[v.any() for v in leaves] for leaves in changed] == [
        [False, True],
        [True, False],
    ]
    assert not any(p.kind == "dy leaf zero" for p in cotangent_plants(DY[:1]))


def forward(params, x):
    """y of the shape of x, and four residuals."""
    return jnp.tanh(x), (x, x > 0, params, 2 * params)


PARAMS, X = np.array([1.0, 2.0, 3.0]), np.array([[0.3, -1.0, 2.0], [0.7, 0.1, -0.4]])
Y, RESIDUALS = forward(PARAMS, X)
CALL = Call(forward, (PARAMS, X), 1, Y)
NAMES = ["x", "mask", "p", "q"]


def of_residual(sentence):
    leaves = list(map(jnp.asarray, RESIDUALS))
    found = {str(p): p for p in residual_plants(leaves, NAMES, [Y])}
    return planted(found[sentence], leaves, CALL)


@pytest.mark.parametrize(
    ("sentence", "place", "expected"),
    [
        ("residual x is that of the next place on axis 0", 0, X[::-1]),
        ("residual x is that of the next place on axis 1", 0, np.roll(X, 1, 1)),
        ("the mask mask lets everything through", 1, np.ones((2, 3))),
        ("leaf 0 of y stands for residual x", 0, np.tanh(X)),
        ("residual q stands for p", 2, 2 * PARAMS),
        ("residual x is that of another call", 0, X[::-1]),
        ("residual mask is that of another call", 1, X[::-1] > 0),
    ],
)
def test_a_residual_is_wrong(sentence, place, expected):
    leaves = of_residual(sentence)
    np.testing.assert_allclose(leaves[place], expected, rtol=1e-15)
    for i, (v, w) in enumerate(zip(leaves, RESIDUALS)):
        assert i == place or np.array_equal(v, w)


def test_residuals_are_stored_in_bfloat16():
    x, mask, *_ = of_residual("residuals are stored in bfloat16")
    assert x.dtype == np.float64 and mask.dtype == bool
    assert 1e-4 < abs(x - X).max() < 1e-2


def test_a_single_row_from_another_call_has_another_size():
    call = Call(forward, (PARAMS, X[:1]), 1, Y[:1])
    np.testing.assert_allclose(call.other[0], 0.9 * X[:1])


OUTPUTS = [np.array([1.0, 2.0, 3.0]), np.array([5.0, 7.0, 11.0]), np.eye(3) + X[0]]


def terms(residuals, dy):
    return {"dx": {"direct": jnp.ones((3, 3)), "mean": 2 * jnp.ones((3, 3))}}


def of_output(sentence, rows=2):
    names = ["dscale", "dbias", "dx"]
    example = terms((), ())
    found = output_plants(OUTPUTS, names, rows, terms, example)
    (plant,) = [p for p in found if str(p) == sentence]
    return planted(plant, list(map(jnp.asarray, OUTPUTS)), (), ())


@pytest.mark.parametrize(
    ("sentence", "place", "expected"),
    [
        ("dscale is zero", 0, [0, 0, 0]),
        ("dscale is negated", 0, -OUTPUTS[0]),
        ("dbias is multiplied by 2", 1, 2 * OUTPUTS[1]),
        ("dbias is multiplied by 1/2", 1, OUTPUTS[1] / 2),
        ("dbias is multiplied by N", 1, 2 * OUTPUTS[1]),
        ("dbias is multiplied by 1/N", 1, OUTPUTS[1] / 2),
        ("dbias is multiplied by 1 + 1e-6", 1, OUTPUTS[1] * (1 + 1e-6)),
        ("dscale has one entry of zero", 0, [1, 0, 3]),
        ("dscale lacks its last row", 0, [1, 2, 0]),
        ("dscale is reversed along axis 0", 0, [3, 2, 1]),
        ("dx is transposed", 2, OUTPUTS[2].T),
        ("dx lacks its summand 'mean'", 2, OUTPUTS[2] - 2),
    ],
)
def test_what_is_returned_is_wrong(sentence, place, expected):
    leaves = of_output(sentence)
    np.testing.assert_allclose(leaves[place], expected, rtol=1e-15)
    for i, (v, w) in enumerate(zip(leaves, OUTPUTS)):
        assert i == place or np.array_equal(v, w)


def test_two_leaves_of_one_shape_are_exchanged():
    first, second, _ = of_output("dscale and dbias are exchanged")
    np.testing.assert_array_equal(first, OUTPUTS[1])
    np.testing.assert_array_equal(second, OUTPUTS[0])


def test_one_row_is_not_multiplied_by_their_number():
    found = output_plants(OUTPUTS, ["a", "b", "c"], 1, None, {})
    assert not any("by N" in str(p) for p in found)


def test_a_plant_that_does_not_fit_another_shape_does_nothing():
    found = {str(p): p for p in output_plants(OUTPUTS, ["a", "b", "c"], 2, None, {})}
    leaves = [jnp.ones(3), jnp.ones(2), jnp.ones((3, 2))]
    for name in ("a and b are exchanged", "c is transposed"):
        for v, w in zip(planted(found[name], leaves), leaves):
            np.testing.assert_array_equal(v, w)


def test_what_is_written_is_in_the_dtype_that_it_was():
    leaves = [jnp.float32([1, 2])]
    for plant in output_plants(leaves, ["a"], 2, None, {}):
        assert planted(plant, leaves)[0].dtype == np.float32
