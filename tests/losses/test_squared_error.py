"""squared_error keeps the promises of its derivation."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from purefw.losses.squared_error import squared_error
from reference import chance


def test_both_reductions_are_twice_optax(keys):
    prediction, target = chance.normal(next(keys), (2, 5, 3))
    expected = 2 * optax.l2_loss(prediction, target)
    for reduction in ("mean", "sum"):
        loss, _ = squared_error(reduction).forward(prediction, target)
        np.testing.assert_allclose(loss, getattr(expected, reduction)(), rtol=1e-15)


def test_the_mean_is_over_entries_not_rows():
    loss = squared_error("mean")
    _, residuals = loss.forward(jnp.full((2, 5), 3.0), jnp.ones((2, 5)))
    dprediction = loss.backward(residuals, jnp.array(-0.7))
    np.testing.assert_allclose(dprediction, np.full((2, 5), -0.28), rtol=1e-15)


def test_bad_arguments_are_refused_by_name(untyped):
    with pytest.raises(ValueError, match="squared_error: reduction must be 'mean' or"):
        squared_error("none")
    with pytest.raises(ValueError, match=r"prediction's shape \(5, 1\), got \(5,\)"):
        squared_error().forward(jnp.zeros((5, 1)), jnp.zeros(5))
    with pytest.raises(ValueError, match="squared_error: prediction must not be empty"):
        squared_error().forward(jnp.zeros(0), jnp.zeros(0))
