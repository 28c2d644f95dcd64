"""A sum over other axes, carried through what the program does with it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from reference.diagnosis.backward_program import Equation
from reference.diagnosis.reductions import Other, Reduced, given
from reference.mutate.edits import walk

X = np.random.default_rng([12, 1]).standard_normal((3, 5))
SQUARE = np.random.default_rng([12, 2]).standard_normal((3, 3))


def run(f, x, axes, primitive="reduce_sum", is_mean=False):
    """f with its first reduction over other axes."""
    closed = jax.make_jaxpr(f)(x)
    path, eqn, _ = next(
        v for v in walk(closed.jaxpr) if v[1].primitive.name == primitive
    )
    other = Other(Equation(0, path, eqn, "", ""), axes, is_mean)
    (y,) = Reduced(other).run(closed.jaxpr, closed.consts, [jnp.asarray(x)])
    return given(y, closed.out_avals[0].shape)


CASES = {
    "kept and broadcast back": (
        lambda x: x - jnp.sum(x, axis=1, keepdims=True),
        lambda x: x - x.sum(0, keepdims=True),
        (0,),
        {},
    ),
    "over both": (
        lambda x: x * jnp.sum(x, axis=0)[None, :],
        lambda x: x * x.sum(),
        (0, 1),
        {},
    ),
    "a number for a row": (
        lambda x: x - jnp.sum(x),
        lambda x: x - x.sum(1, keepdims=True),
        (1,),
        {},
    ),
    "a function of it": (
        lambda x: x / jnp.sqrt(jnp.exp(jnp.sum(x, axis=1)))[:, None],
        lambda x: x / np.sqrt(np.exp(x.sum(0, keepdims=True))),
        (0,),
        {},
    ),
    "a mean": (
        lambda x: x - jnp.mean(x, axis=1, keepdims=True),
        lambda x: x - x.mean(0, keepdims=True),
        (0,),
        {"is_mean": True},
    ),
    "a maximum": (
        lambda x: x - jnp.max(x, axis=1, keepdims=True),
        lambda x: x - x.max(0, keepdims=True),
        (0,),
        {"primitive": "reduce_max"},
    ),
    "a running sum": (
        lambda x: jnp.cumsum(x, axis=1),
        lambda x: x.cumsum(0),
        (0,),
        {"primitive": "cumsum"},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_sum_runs_over_the_other_axes(case):
    f, expected, axes, options = CASES[case]
    np.testing.assert_allclose(run(f, X, axes, **options), expected(X), rtol=1e-14)


def test_a_result_loses_the_new_axes():
    found = run(lambda x: 2 * jnp.sum(x, axis=1), SQUARE, (0,))
    np.testing.assert_allclose(found, 2 * SQUARE.sum(0), rtol=1e-14)


def test_an_axis_that_was_not_kept_is_kept():
    found = run(lambda x: x - jnp.sum(x, axis=1)[None, :], SQUARE, (1,))
    np.testing.assert_allclose(found, SQUARE - SQUARE.sum(1, keepdims=True), rtol=1e-14)


def test_what_is_more_than_entry_by_entry_is_refused():
    with pytest.raises(ValueError, match="must work entry by entry"):
        run(lambda x: jnp.sum(x, axis=1) @ x, X, (0,))
    with pytest.raises(ValueError, match="must have its leaf's shape"):
        run(lambda x: jnp.sum(x, axis=1), X, (0,))
