"""Weight norm against torch's parametrisation; the length that does not matter."""

import jax.numpy as jnp
import numpy as np
import pytest

from purefw.layers.weight_norm import weight_norm
from reference import chance
from tests.layers.others import drawn, same, torch
from tests.refute import refuted


@pytest.mark.parametrize("leading", [(7,), (1,), (2, 3), ()])
def test_value_and_cotangents_agree_with_torch(leading, keys):
    rule = weight_norm(5, 3)
    params, x, dy = drawn(rule, keys, *leading, 5)
    y, residuals = rule.forward(params, x)
    dparams, dx = rule.backward(residuals, dy)
    arrays = [x, params.direction.T, params.gain[:, None], params.bias]
    leaves = [torch().tensor(np.array(v)).requires_grad_() for v in arrays]
    weight = torch()._weight_norm(leaves[1], leaves[2], 0)
    theirs = torch().nn.functional.linear(leaves[0], weight, leaves[3])
    theirs.backward(torch().tensor(np.array(dy)))
    same(y, theirs.detach().numpy())
    ours = [dx, dparams.direction.T, dparams.gain[:, None], dparams.bias]
    for v, leaf in zip(ours, leaves, strict=True):
        same(v, leaf.grad.numpy())


def test_the_length_of_direction_does_not_matter(keys):
    rule = weight_norm(5, 3)
    params, x, dy = drawn(rule, keys, 7, 5)
    y, residuals = rule.forward(params, x)
    longer = params._replace(direction=7 * params.direction)
    same(rule.forward(longer, x)[0], y)
    dparams, _ = rule.backward(residuals, dy)
    along = (params.direction * dparams.direction).sum(0)
    assert abs(along).max() < 1e-14 < abs(dparams.direction).max()  # worst: 4e-16


def test_backward_is_the_sum_of_its_terms(keys):
    rule = weight_norm(5, 3)
    params, x, dy = drawn(rule, keys, 7, 5)
    _, residuals = rule.forward(params, x)
    ((name, summands),) = rule.terms(residuals, dy).items()
    assert name == "dparams.direction" and set(summands) == {"direct", "norm"}
    same(sum(summands.values()), rule.backward(residuals, dy)[0].direction)


def test_the_initial_weight_is_the_direction(keys):
    params = weight_norm(5, 3).init(next(keys))
    same(params.gain, jnp.sqrt((params.direction**2).sum(0)))


def test_a_column_without_direction_gives_the_bias_and_no_gradient(keys):
    rule = weight_norm(5, 3)
    params, x, dy = drawn(rule, keys, 7, 5)
    params = params._replace(direction=params.direction.at[:, 1].set(0.0))
    y, residuals = rule.forward(params, x)
    assert (y[:, 1] == params.bias[1]).all()
    dparams, dx = rule.backward(residuals, dy)
    assert not dparams.direction[:, 1].any() and jnp.isfinite(dx).all()
    assert dparams.direction[:, 0].all()


def test_a_forgotten_norm_is_refuted(keys):
    rule = weight_norm(5, 3)

    def backward(residuals, dy):
        dparams, dx = rule.backward(residuals, dy)
        direct = rule.terms(residuals, dy)["dparams.direction"]["direct"]
        return dparams._replace(direction=direct), dx

    x = chance.normal(next(keys), (7, 5))
    assert refuted(rule, x, backward) == {"dparams.direction"}


def test_bad_input_is_refused(keys):
    for name in ("n_in", "n_out"):
        message = f"^weight_norm: {name} must be at least 1, got 0"
        with pytest.raises(ValueError, match=message):
            weight_norm(**{"n_in": 5, "n_out": 3, name: 0})
    rule = weight_norm(5, 3)
    with pytest.raises(
        ValueError, match=r"x must have shape \(\.\.\., 5\), got \(7, 4\)"
    ):
        rule.forward(rule.init(next(keys)), jnp.ones((7, 4)))
