"""The bilinear layer against torch; its homogeneity, and what it refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purefw.layers.bilinear import bilinear
from reference import chance
from tests.layers.others import same, torch
from tests.refute import refuted


def case(keys, *leading):
    """A rule, its parameters, a pair and dy."""
    rule = bilinear(3, 5, 2)
    params = jax.tree.map(
        lambda v: chance.normal(next(keys), v.shape), rule.init(next(keys))
    )
    left = chance.normal(next(keys), (*leading, 3))
    right = chance.normal(next(keys), (*leading, 5))
    return rule, params, (left, right), chance.normal(next(keys), (*leading, 2))


@pytest.mark.parametrize("leading", [(7,), (1,), (2, 3), ()])
def test_value_and_cotangents_agree_with_torch(leading, keys):
    rule, params, x, dy = case(keys, *leading)
    y, residuals = rule.forward(params, x)
    dparams, dx = rule.backward(residuals, dy)
    weight = np.moveaxis(np.asarray(params.weight), -1, 0).copy()
    arrays = [*map(np.asarray, x), weight, np.asarray(params.bias)]
    leaves = [torch().tensor(v).requires_grad_() for v in arrays]
    theirs = torch().nn.functional.bilinear(*leaves)
    theirs.backward(torch().tensor(np.asarray(dy)))
    same(y, theirs.detach().numpy())
    ours = [*dx, jnp.moveaxis(dparams.weight, -1, 0), dparams.bias]
    for v, leaf in zip(ours, leaves, strict=True):
        same(v, leaf.grad.numpy())


def test_each_input_is_as_far_from_zero_as_y_is_from_the_bias(keys):
    rule, params, (left, right), dy = case(keys, 7)
    y, residuals = rule.forward(params, (left, right))
    _, (dleft, dright) = rule.backward(residuals, dy)
    expected = ((y - params.bias[None]) * dy).sum(-1)
    same((left * dleft).sum(-1), expected)
    same((right * dright).sum(-1), expected)


def test_without_a_bias_there_is_none(keys):
    rule = bilinear(2, 3, 1, bias=False)
    params = rule.init(next(keys))
    _, residuals = rule.forward(params, (jnp.ones((5, 2)), jnp.ones((5, 3))))
    assert params.bias is None
    assert rule.backward(residuals, jnp.ones((5, 1)))[0].bias is None


def test_gradients_of_swapped_inputs_are_refuted(keys):
    rule = bilinear(3, 3, 2)

    def backward(residuals, dy):
        dparams, (dleft, dright) = rule.backward(residuals, dy)
        return dparams, (dright, dleft)

    x = tuple(chance.normal(next(keys), (2, 5, 3)))
    assert "dx[0]" in refuted(rule, x, backward)


@pytest.mark.parametrize("name", ["n_left", "n_right", "n_out"])
def test_a_width_below_one_is_refused(name):
    widths = {"n_left": 3, "n_right": 5, "n_out": 2, name: 0}
    with pytest.raises(
        ValueError, match=f"^bilinear: {name} must be at least 1, got 0"
    ):
        bilinear(**widths)


@pytest.mark.parametrize(
    "left,right", [((7, 2), (7, 5)), ((7, 3), (7, 4)), ((7, 3), (2, 5)), ((), (5,))]
)
def test_a_bad_pair_is_refused(left, right, keys):
    rule = bilinear(3, 5, 2)
    message = r"^bilinear: x must be a pair of shapes \(\.\.\., 3\) and \(\.\.\., 5\)"
    with pytest.raises(ValueError, match=message):
        rule.forward(rule.init(next(keys)), (jnp.ones(left), jnp.ones(right)))
