"""absolute_error keeps the promises of its derivation."""

import jax.numpy as jnp
import numpy as np
import pytest

from purefw.losses.absolute_error import absolute_error
from reference import chance
from tests.losses.compare import gradient, noise, torched, value


def test_both_reductions_are_the_formula(keys):
    prediction, target = chance.normal(next(keys), (2, 5, 3))
    errors = np.abs(np.asarray(prediction) - np.asarray(target))
    for reduction, expected in (("mean", errors.mean()), ("sum", errors.sum())):
        loss, _ = absolute_error(reduction).forward(prediction, target)
        np.testing.assert_allclose(loss, expected, rtol=1e-15)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_loss_and_gradient_are_those_of_torch_ties_included(reduction, keys, torch):
    prediction, target = chance.normal(next(keys), (2, 5, 3))
    target = target.at[0].set(prediction[0])
    x = torched(torch, prediction, requires_grad=True)
    theirs = torch.nn.L1Loss(reduction=reduction)(x, torched(torch, target))
    theirs.backward()
    loss = absolute_error(reduction)
    assert noise(value(loss, prediction, target), theirs.detach()) <= 8
    assert noise(gradient(loss, prediction, target), x.grad) <= 2


def test_the_kink_takes_the_middle_and_the_size_of_an_error_does_not_matter():
    loss = absolute_error("sum")
    prediction = jnp.array([1.0, 5.0, -3e300, 1e-300])
    _, residuals = loss.forward(prediction, jnp.array([1.0, 2.0, 0.0, 0.0]))
    dprediction = loss.backward(residuals, jnp.array(-0.7))
    np.testing.assert_array_equal(dprediction, [0, -0.7, 0.7, -0.7])


def test_nan_stays_nan():
    loss = absolute_error()
    value, residuals = loss.forward(jnp.array([jnp.nan, 1.0]), jnp.zeros(2))
    assert jnp.isnan(value)
    assert jnp.isnan(loss.backward(residuals, jnp.array(1.3))).tolist() == [True, False]


def test_bad_arguments_are_refused_by_name(untyped):
    with pytest.raises(ValueError, match="absolute_error: reduction must be 'mean' or"):
        absolute_error("max")
    forward = absolute_error().forward
    with pytest.raises(ValueError, match=r"prediction's shape \(5, 1\), got \(5,\)"):
        forward(jnp.zeros((5, 1)), jnp.zeros(5))
    with pytest.raises(ValueError, match=r"prediction must not be empty, got .*\(0,\)"):
        forward(jnp.zeros(0), jnp.zeros(0))
