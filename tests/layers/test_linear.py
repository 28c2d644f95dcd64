"""linear keeps the promises of its derivation."""

import jax.numpy as jnp
import numpy as np
import pytest

from purefw.layers.linear import LinearParams, linear
from reference import chance
from tests.layers.others import drawn, same, torch
from tests.refute import refuted


def _params(keys, n_in, n_out):
    weight = chance.normal(next(keys), (n_in, n_out))
    return LinearParams(weight, chance.normal(next(keys), (n_out,)))


@pytest.mark.parametrize("leading", [(7,), (2, 5), ()])
@pytest.mark.parametrize("bias", [True, False])
def test_value_and_cotangents_agree_with_torch(bias, leading, keys):
    rule = linear(7, 3, bias=bias)
    params, x, dy = drawn(rule, keys, *leading, 7)
    y, residuals = rule.forward(params, x)
    arrays = [x, params.weight.T, *([params.bias] if bias else [])]
    leaves = [torch().tensor(np.array(v)).requires_grad_() for v in arrays]
    theirs = torch().nn.functional.linear(*leaves)
    theirs.backward(torch().tensor(np.array(dy)))
    same(y, theirs.detach().numpy())
    (dweight, dbias), dx = rule.backward(residuals, dy)
    ours = [dx, dweight.T, *([dbias] if bias else [])]
    for v, leaf in zip(ours, leaves, strict=True):
        same(v, leaf.grad.numpy())


def test_dweight_is_linear_in_x_and_the_rest_does_not_see_it(keys):
    rule = linear(7, 3)
    params, x, dy = drawn(rule, keys, 5, 7)
    once, again = (rule.backward(rule.forward(params, v)[1], dy) for v in (x, 3 * x))
    same(again[0].weight, 3 * once[0].weight)
    same(again[0].bias, once[0].bias)
    same(again[1], once[1])


def test_a_mean_for_the_sum_over_rows_is_refuted(keys):
    rule = linear(7, 3)

    def averaged(residuals, dy):
        dparams, dx = rule.backward(residuals, dy)
        return dparams._replace(bias=dparams.bias / len(dy)), dx

    x = chance.normal(next(keys), (5, 7))
    assert refuted(rule, x, averaged) == {"dparams.bias"}


def test_initial_weights_have_variance_one_over_n_in_and_the_bias_is_zero(keys):
    weight, bias = linear(400, 300).init(next(keys))
    assert abs(float(jnp.std(weight)) * 400**0.5 - 1) < 0.01  # 0.3 % for 120,000 draws
    assert not bias.any()


def test_equal_rows_count_twice_in_dweight(keys):
    rule, params = linear(3, 2), _params(keys, 3, 2)
    x, dy = chance.normal(next(keys), (1, 3)), chance.normal(next(keys), (1, 2))
    once, _ = rule.backward(rule.forward(params, x)[1], dy)
    residuals = rule.forward(params, jnp.concatenate([x, x]))[1]
    twice, _ = rule.backward(residuals, jnp.concatenate([dy, dy]))
    np.testing.assert_array_equal(twice.weight, 2 * once.weight)
    np.testing.assert_array_equal(twice.bias, 2 * once.bias)


def test_no_bias_has_no_cotangent(keys):
    rule = linear(3, 2, bias=False)
    params = rule.init(next(keys))
    residuals = rule.forward(params, jnp.ones((5, 3)))[1]
    assert params.bias is None
    assert rule.backward(residuals, jnp.ones((5, 2)))[0].bias is None


@pytest.mark.parametrize("shape", [(5, 6), (7, 5), (6,)])
def test_wrong_width_is_refused_with_both_shapes(shape, keys):
    rule = linear(7, 3)
    with pytest.raises(ValueError, match=r"linear: x must have shape \(\.\.\., 7\)"):
        rule.forward(rule.init(next(keys)), jnp.ones(shape))


def test_widths_below_one_are_refused():
    with pytest.raises(ValueError, match="linear: n_in must be at least 1, got 0"):
        linear(0, 3)
    with pytest.raises(ValueError, match="linear: n_out must be at least 1, got -1"):
        linear(3, -1)
