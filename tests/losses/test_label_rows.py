"""One label a row: autodiff's numbers, and rows that need care."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purefw.losses import label_rows
from purefw.losses.reduction import weighted_sum
from reference import chance


def usual(z, label):
    """v and lse as jax.nn has them."""
    v = -jnp.take_along_axis(jax.nn.log_softmax(z), label[:, None], axis=1)[:, 0]
    return v, jax.nn.logsumexp(z, axis=1)


@pytest.fixture
def rows(keys):
    z = 3 * chance.normal(next(keys), (71, 997))
    label = chance.randint(next(keys), (71,), 0, 997)
    return z, label, *chance.normal(next(keys), (2, 71))


def test_values_and_cotangents_are_autodiffs(rows):
    z, label, dv, dlse = rows
    v, lse, residuals = label_rows.forward(z, label)
    (true_v, true_lse), pullback = jax.vjp(lambda z: usual(z, label), z)
    dz, true_dz = label_rows.backward(residuals, dv, dlse), pullback((dv, dlse))[0]
    # float32: 997 summands; worst measured 3e-7.
    np.testing.assert_allclose(v, true_v, rtol=2e-6)
    np.testing.assert_allclose(lse, true_lse, rtol=2e-6)
    np.testing.assert_allclose(dz, true_dz, atol=2e-6)


def test_a_label_that_is_nearly_sure_keeps_its_digits():
    z = jnp.array([[40.0, 0.0, 0.0]])
    v, _, residuals = label_rows.forward(z, jnp.array([0]))
    dz = label_rows.backward(residuals, jnp.ones(1))
    assert float(v[0]) == pytest.approx(2 * np.exp(-40.0), rel=1e-6)
    assert float(dz[0, 0]) == pytest.approx(-2 * np.exp(-40.0), rel=1e-6)


def test_ties_share():
    v, lse, residuals = label_rows.forward(jnp.zeros((1, 5)), jnp.array([3]))
    assert float(v[0]) == pytest.approx(np.log(5)) == float(lse[0])
    dz = label_rows.backward(residuals, jnp.ones(1))
    np.testing.assert_allclose(dz[0], [0.2, 0.2, 0.2, -0.8, 0.2], rtol=1e-6)


def test_no_weight_of_something_infinite_counts_nothing():
    w = jnp.array([[0.0, 0.5, -0.25], [0.0, 0.0, 2.0], [1e-38, 0.0, 0.0]])
    v = jnp.array([[-jnp.inf, 3.0, 4.0], [1.0, jnp.inf, -jnp.inf], [-jnp.inf, 1, 1]])
    total = weighted_sum(w, lambda: v)[:, 0]
    np.testing.assert_array_equal(total, [0.5, -np.inf, -np.inf])
    assert jnp.isnan(weighted_sum(w, lambda: v * jnp.nan)).all()
