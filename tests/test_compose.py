"""chain is the chain rule; nothing is shared between calls."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purefw import Rule, chain, loss_and_grad
from purefw.layers.linear import linear
from purefw.layers.relu import relu
from purefw.layers.tanh import tanh
from purefw.losses.squared_error import squared_error
from reference import Verdict, assert_correct, chance, check_rule
from reference.registry.entry import normal_like


def _accident(activation):
    """784-128-128-10 of the lesson's lab, small: one activation object, two places."""
    return chain(linear(7, 5), activation, linear(5, 5), activation, linear(5, 3))


def _remembering(rule):
    """A rule that keeps its residuals in itself, as the lab's activation did."""
    memory = {}

    def forward(params, x):
        y, memory["residuals"] = rule.forward(params, x)
        return y, ()

    def backward(residuals, dy):
        return rule.backward(memory["residuals"], dy)

    return replace(rule, forward=forward, backward=backward)


def test_one_relu_object_in_two_places_has_the_right_gradient(keys):
    """Each call's residuals are a value of its own, so no call overwrites another's."""
    x = chance.normal(next(keys), (11, 7))
    assert_correct(check_rule(_accident(relu()), x))


def test_the_lab_activation_that_keeps_its_input_in_itself_is_found_out(keys):
    """The second call overwrites what the first one's backward needs: class C9."""
    x = chance.normal(next(keys), (11, 7))
    params = normal_like(_accident(relu()).init(next(keys)), next(keys))
    dy = chance.normal(next(keys), (11, 3))
    results = []
    for activation in (relu(), _remembering(relu())):
        network = _accident(activation)
        results.append(network.backward(network.forward(params, x)[1], dy))
    (right, right_dx), (wrong, wrong_dx) = results
    np.testing.assert_array_equal(wrong[4].weight, right[4].weight)
    np.testing.assert_array_equal(wrong[2].weight, right[2].weight)
    assert jnp.abs(wrong[0].weight - right[0].weight).max() > 0.1
    assert jnp.abs(wrong_dx - right_dx).max() > 0.1


def test_a_chain_of_chains_is_right(keys):
    rule = chain(chain(linear(7, 5), tanh()), chain(linear(5, 3)))
    assert_correct(check_rule(rule, chance.normal(next(keys), (11, 7))))


def test_a_chain_in_the_wrong_order_is_rejected(keys):
    honest = chain(linear(3, 3), tanh(), linear(3, 3))

    def forwards(residuals, dy):
        reversed_params, dx = honest.backward(residuals[::-1], dy)
        return reversed_params[::-1], dx

    report = check_rule(
        replace(honest, backward=forwards), chance.normal(next(keys), (5, 3))
    )
    assert report.verdict in (Verdict.WRONG, Verdict.CONTRACT)


def _noise():
    """x plus noise from the key; the identity at inference."""
    return Rule(
        name="noise",
        init=lambda key: (),
        forward=lambda params, x, key: (x + jax.random.normal(key, x.shape), ()),
        backward=lambda residuals, dy: ((), dy),
        random=True,
        inference=lambda params, x: x,
    )


def test_random_parts_get_keys_of_their_own_and_the_others_none(keys):
    network, x = chain(_noise(), tanh(), _noise()), jnp.zeros((2, 3))
    key = next(keys)
    y, _ = network.forward(((), (), ()), x, key)
    first, second = jax.random.split(jax.random.clone(key))
    expected = jnp.tanh(jax.random.normal(first, x.shape))
    np.testing.assert_array_equal(y, expected + jax.random.normal(second, x.shape))
    np.testing.assert_array_equal(network.apply(((), (), ()), x), x)


def test_a_missing_key_names_the_rule_that_wants_it():
    network = chain(tanh(), _noise())
    with pytest.raises(ValueError, match="noise: key must be given, because forward"):
        network.forward(((), ()), jnp.zeros(3))


def test_no_rule_is_no_chain():
    with pytest.raises(ValueError, match="chain: rules must be at least one, got none"):
        chain()


def test_loss_and_grad_passes_the_key_on(keys):
    f = loss_and_grad(chain(linear(3, 2), _noise()), squared_error())
    params = chain(linear(3, 2), _noise()).init(next(keys))
    x, target = jnp.ones((5, 3)), jnp.zeros((5, 2))
    key = next(keys)
    (a, _), (b, _), (c, _) = (
        f(params, x, target, k) for k in (key, jax.random.clone(key), next(keys))
    )
    assert a == b != c
