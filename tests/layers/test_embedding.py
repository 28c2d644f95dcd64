"""embedding picks rows and adds the cotangents of a row's every use."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purefw.layers.embedding import embedding
from reference import chance
from tests.refute import pull, refuted

RULE = embedding(11, 3)
REPEATED = jnp.array([4, 0, 4, 10, 4])


def test_forward_and_backward_agree_with_torch(keys):
    torch = pytest.importorskip("torch", reason="torch is the independent judge")
    table, dy = (
        chance.normal(next(keys), (11, 3)),
        chance.normal(next(keys), (5, 3)),
    )
    theirs = torch.tensor(np.asarray(table), requires_grad=True)
    out = torch.nn.functional.embedding(torch.tensor(np.asarray(REPEATED)), theirs)
    out.backward(torch.tensor(np.asarray(dy)))
    y, ids = RULE.forward(table, REPEATED)
    np.testing.assert_array_equal(y, out.detach().numpy())
    dtable, _ = RULE.backward(ids, dy)
    # Three summands in another order: 2 roundings.
    np.testing.assert_allclose(dtable, theirs.grad.numpy(), atol=1e-15)


@pytest.mark.parametrize("jit", [False, True], ids=["eager", "jit"])
def test_ids_outside_the_table_are_nan_rows_without_gradient(jit, keys):
    table, dy = chance.normal(next(keys), (11, 3)), jnp.ones((4, 3))
    forward = jax.jit(RULE.forward) if jit else RULE.forward
    y, ids = forward(table, jnp.array([-1, 0, 10, 11]))
    assert jnp.isnan(y).all(axis=1).tolist() == [True, False, False, True]
    dtable, _ = RULE.backward(ids, dy)
    assert dtable.sum(axis=1).tolist() == [3.0, *[0.0] * 9, 3.0]


def test_dx_is_float0_of_the_ids_shape(keys):
    dy = chance.normal(next(keys), (5, 3))
    dx = pull(RULE, jnp.ones((11, 3)), REPEATED, dy)[1]
    assert dx.shape == (5,) and dx.dtype == jax.dtypes.float0


def test_dtable_sums_to_what_came_in(keys):
    dy = chance.normal(next(keys), (5, 3))
    dtable, _ = pull(RULE, jnp.ones((11, 3)), REPEATED, dy)
    np.testing.assert_allclose(dtable.sum(0), dy.sum(0), atol=1e-14)
    assert jnp.all((jnp.abs(dtable).sum(1) > 0) == jnp.isin(jnp.arange(11), REPEATED))


def test_overwriting_instead_of_adding_is_refuted():
    def overwriting(ids, dy):
        dtable, dx = RULE.backward(ids, dy)
        return jnp.zeros_like(dtable).at[ids].set(dy), dx

    assert refuted(RULE, REPEATED, overwriting) == {"dparams"}


def test_ids_that_are_not_integers_are_refused():
    with pytest.raises(ValueError, match="embedding: x must be integers, got float64"):
        RULE.forward(jnp.ones((11, 3)), jnp.ones(5))


def test_an_empty_table_is_refused():
    with pytest.raises(ValueError, match="n_ids must be at least 1, got 0"):
        embedding(0, 3)
    with pytest.raises(ValueError, match="width must be at least 1, got 0"):
        embedding(3, 0)


def test_permuting_the_ids_permutes_y(keys):
    table = chance.normal(next(keys), (11, 3))
    order = jax.random.permutation(next(keys), 5)
    y = RULE.apply(table, REPEATED)
    np.testing.assert_array_equal(RULE.apply(table, REPEATED[order]), y[order])
