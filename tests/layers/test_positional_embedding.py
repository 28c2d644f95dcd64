"""positional_embedding adds the row of each position."""

import jax.numpy as jnp
import numpy as np
import pytest

from purefw.layers.positional_embedding import positional_embedding
from reference import chance
from tests.refute import pull, refuted

RULE = positional_embedding(7, 3)


def test_forward_agrees_with_torch(keys):
    torch = pytest.importorskip("torch", reason="torch is the independent judge")
    x = chance.normal(next(keys), (2, 5, 3))
    table = chance.normal(next(keys), (7, 3))
    rows = torch.nn.Embedding.from_pretrained(torch.tensor(np.asarray(table)))
    theirs = torch.tensor(np.asarray(x)) + rows(torch.arange(5))
    np.testing.assert_array_equal(RULE.apply(table, x), theirs.numpy())


def test_rows_beyond_the_sequence_get_no_gradient(keys):
    dy = chance.normal(next(keys), (2, 5, 3))
    dtable, dx = pull(RULE, jnp.ones((7, 3)), jnp.ones((2, 5, 3)), dy)
    assert jnp.all(dx == dy)
    assert jnp.all(dtable[5:] == 0) and jnp.all(dtable[:5] == dy[0] + dy[1])


def test_losing_the_sum_over_sequences_is_refuted(keys):
    def first_only(residuals, dy):
        return RULE.backward(residuals, dy[:1])[0], dy

    x = chance.normal(next(keys), (2, 5, 3))
    assert refuted(RULE, x, first_only) == {"dparams"}


def test_a_sequence_too_long_or_too_wide_is_refused():
    for shape in ((2, 8, 3), (2, 5, 2), (3,)):
        with pytest.raises(ValueError, match=r"\(..., at most 7, 3\), got"):
            RULE.forward(jnp.ones((7, 3)), jnp.ones(shape))
    with pytest.raises(ValueError, match="positional_embedding: length must be"):
        positional_embedding(0, 3)


def test_dtable_depends_on_dy_alone(keys):
    dy = chance.normal(next(keys), (2, 5, 3))
    table, x = chance.normal(next(keys), (7, 3)), chance.normal(next(keys))
    ours = pull(RULE, table, jnp.full((2, 5, 3), x), dy)[0]
    np.testing.assert_array_equal(ours, pull(RULE, 0 * table, 0 * dy, dy)[0])
