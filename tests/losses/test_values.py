"""Huber, log-cosh, quantile, Poisson and Gaussian: forwards, invariants, values."""

import math

import jax
import jax.numpy as jnp
import optax
import pytest
from sklearn.metrics import mean_pinball_loss

from purefw.losses.gaussian_negative_log_likelihood import (
    Gaussian,
    gaussian_negative_log_likelihood,
)
from purefw.losses.huber import huber
from purefw.losses.log_cosh import log_cosh
from purefw.losses.poisson import poisson
from purefw.losses.quantile import quantile
from reference import chance
from tests.losses.compare import gradient, noise, torched, value

REDUCTIONS = {"mean": jnp.mean, "sum": jnp.sum}
BOTH = pytest.mark.parametrize("reduction", REDUCTIONS)
UNITS = 64  # Sums of 35 terms in another order; worst measured: 13.


@BOTH
def test_huber_is_that_of_optax_and_torch(reduction, keys, torch):
    x, t = 2 * chance.normal(next(keys), (2, 5, 7))
    ours = value(huber(reduction, delta=0.7), x, t)
    assert (
        noise(ours, REDUCTIONS[reduction](optax.huber_loss(x, t, delta=0.7))) <= UNITS
    )
    theirs = torch.nn.HuberLoss(reduction=reduction, delta=0.7)
    assert noise(ours, theirs(torched(torch, x), torched(torch, t))) <= UNITS


def test_huber_gradient_is_bounded_and_continuous_at_delta():
    u = jnp.array([-9.0, -0.5, 0.0, 0.5, jnp.nextafter(0.5, 1.0), 9.0])
    dx = gradient(huber("sum", delta=0.5), u, jnp.zeros(6), 3.0)
    assert dx.tolist() == [-1.5, -1.5, 0.0, 1.5, 1.5, 1.5]


def test_huber_with_a_wide_delta_is_half_the_squared_error(keys):
    x, t = chance.normal(next(keys), (2, 5))
    half = jnp.sum((x - t) ** 2) / 2
    assert noise(value(huber("sum", delta=1e3), x, t), half) <= UNITS


@BOTH
def test_log_cosh_is_that_of_optax(reduction, keys):
    x, t = 3 * chance.normal(next(keys), (2, 5, 7))
    theirs = REDUCTIONS[reduction](optax.log_cosh(x, t))
    assert noise(value(log_cosh(reduction), x, t), theirs) <= UNITS


def test_log_cosh_is_even_and_finite_far_away(keys):
    x, t = chance.normal(next(keys), (2, 5))
    assert value(log_cosh(), x, t) == value(log_cosh(), t, x)
    far = value(log_cosh(), jnp.array([1e300]), jnp.zeros(1))
    assert far == 1e300
    assert gradient(log_cosh(), jnp.array([1e300]), jnp.zeros(1)) == 1


@pytest.mark.parametrize("q", [0.1, 0.5, 0.9])
def test_quantile_is_the_pinball_loss_of_scikit_learn(q, keys):
    x, t = chance.normal(next(keys), (2, 37))
    theirs = mean_pinball_loss(t, x, alpha=q)
    assert noise(value(quantile(q=q), x, t), theirs) <= UNITS
    assert noise(value(quantile("sum", q=q), x, t), 37 * theirs) <= UNITS


def test_quantile_has_three_slopes_and_takes_the_middle_at_a_tie():
    x, t = jnp.array([0.0, 1.0, 2.0, jnp.nan]), jnp.ones(4)
    slopes = gradient(quantile("sum", q=0.75), x, t).tolist()
    assert slopes[:3] == [-0.75, -0.25, 0.25] and math.isnan(slopes[3])


def test_the_median_costs_half_the_absolute_error(keys):
    x, t = chance.normal(next(keys), (2, 5))
    assert noise(value(quantile("sum"), x, t), jnp.abs(x - t).sum() / 2) <= UNITS


@BOTH
def test_poisson_is_that_of_torch(reduction, keys, torch):
    z = chance.normal(next(keys), (5, 7))
    t = jax.random.poisson(next(keys), 3.0, (5, 7)).astype(float)
    theirs = torch.nn.PoissonNLLLoss(log_input=True, full=False, reduction=reduction)
    theirs = theirs(torched(torch, z), torched(torch, t))
    assert noise(value(poisson(reduction), z, t), theirs) <= UNITS


def test_poisson_is_flat_at_the_rate_and_takes_any_target():
    assert gradient(poisson(), jnp.zeros(1), jnp.ones(1)) == 0
    v = value(poisson(), jnp.array([1.0]), jnp.array([-2.0]))
    assert noise(v, jnp.e + 2) <= UNITS


@BOTH
def test_gaussian_is_that_of_torch(reduction, keys, torch):
    mean, t, s = chance.normal(next(keys), (3, 5, 7))
    variance = jnp.exp(s)
    theirs = torch.nn.GaussianNLLLoss(reduction=reduction, eps=1e-12)
    theirs = theirs(*(torched(torch, v) for v in (mean, t, variance)))
    loss = gaussian_negative_log_likelihood(reduction)
    assert noise(value(loss, Gaussian(mean, variance), t), theirs) <= UNITS


def test_gaussian_variance_is_at_rest_where_it_explains_the_error():
    prediction = Gaussian(jnp.array([1.0, 2.0]), jnp.array([4.0, 0.25]))
    loss = gaussian_negative_log_likelihood("sum")
    d = gradient(loss, prediction, jnp.array([3.0, 2.0]))
    assert d.mean.tolist() == [-0.5, 0.0] and d.variance.tolist() == [0.0, 2.0]


def test_gaussian_in_other_units_costs_the_logarithm_of_the_scale(keys):
    mean, t, s = chance.normal(next(keys), (3, 5))
    loss = gaussian_negative_log_likelihood()
    before = value(loss, Gaussian(mean, jnp.exp(s)), t)
    after = value(loss, Gaussian(3 * mean, 9 * jnp.exp(s)), 3 * t)
    assert noise(after - before, jnp.log(3.0)) <= UNITS


@pytest.mark.parametrize("variance", [0.0, -1.0])
def test_gaussian_without_a_variance_is_visibly_nan(variance):
    prediction = Gaussian(jnp.array([1.0, 1.0]), jnp.array([1.0, variance]))
    loss = gaussian_negative_log_likelihood()
    assert jnp.isnan(value(loss, prediction, jnp.array([2.0, 2.0])))


def test_log_cosh_pulls_no_harder_than_the_absolute_error(keys):
    x, t = 30 * chance.normal(next(keys), (2, 5, 7))
    assert abs(gradient(log_cosh("sum"), x, t, 3.0)).max() <= 3


def test_poisson_is_convex(keys):
    (x, z), t = chance.normal(next(keys), (2, 37)), jnp.arange(37.0)
    ends = value(poisson(), x, t) + value(poisson(), z, t)
    assert value(poisson(), (x + z) / 2, t) < ends / 2
