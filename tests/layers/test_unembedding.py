"""unembedding is a linear layer with its weight transposed."""

import jax.numpy as jnp
import numpy as np
import pytest

from purefw.layers.unembedding import unembedding
from reference import chance
from tests.refute import refuted

RULE = unembedding(11, 3)


def test_forward_agrees_with_torch(keys):
    torch = pytest.importorskip("torch", reason="torch is the independent judge")
    x = chance.normal(next(keys), (2, 5, 3))
    table = chance.normal(next(keys), (11, 3))
    theirs = torch.nn.functional.linear(*map(torch.tensor, map(np.asarray, (x, table))))
    # A sum of three products: 3 roundings.
    np.testing.assert_allclose(RULE.apply(table, x), theirs.numpy(), atol=1e-14)


def test_a_lost_row_of_the_table_is_refuted(keys):
    def lossy(residuals, dy):
        dtable, dx = RULE.backward(residuals, dy)
        return dtable.at[0].set(0), dx

    x = chance.normal(next(keys), (5, 3))
    assert refuted(RULE, x, lossy) == {"dparams"}


def test_another_width_is_refused():
    with pytest.raises(ValueError, match=r"x must have shape \(..., 3\), got \(5, 2\)"):
        RULE.forward(jnp.ones((11, 3)), jnp.ones((5, 2)))
    with pytest.raises(ValueError, match="unembedding: n_ids must be at least 1"):
        unembedding(0, 3)
