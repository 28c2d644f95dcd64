"""linear keeps the promises of its derivation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purefw.layers.linear import LinearParams, linear


def _params(keys, n_in, n_out):
    weight = jax.random.normal(next(keys), (n_in, n_out))
    return LinearParams(weight, jax.random.normal(next(keys), (n_out,)))


def test_forward_is_an_affine_map_of_each_row(keys):
    params, x = _params(keys, 7, 3), jax.random.normal(next(keys), (2, 5, 7))
    y = linear(7, 3).forward(params, x)[0]
    expected = np.einsum("abi,io->abo", x, params.weight) + np.asarray(params.bias)
    np.testing.assert_allclose(y, expected, rtol=1e-13, atol=1e-14)


def test_initial_weights_have_variance_one_over_n_in_and_the_bias_is_zero(keys):
    weight, bias = linear(400, 300).init(next(keys))
    assert abs(float(jnp.std(weight)) * 400**0.5 - 1) < 0.01  # 0.3 % for 120,000 draws
    assert not bias.any()


def test_equal_rows_count_twice_in_dweight(keys):
    rule, params = linear(3, 2), _params(keys, 3, 2)
    x, dy = jax.random.normal(next(keys), (1, 3)), jax.random.normal(next(keys), (1, 2))
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
