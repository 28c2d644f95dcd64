"""The verifier that looks on speaks every N steps, and stops a wrong gradient."""

import jax
import jax.numpy as jnp
import optax
import pytest

from purefw import Rule, chain
from purefw.data import toy
from purefw.layers.linear import linear
from purefw.layers.tanh import tanh
from purefw.losses.softmax_cross_entropy import softmax_cross_entropy
from purefw.train import fit
from reference.watch import Watch, WrongGradient


def _fit(network, **settings):
    said = []
    watch = Watch(network, softmax_cross_entropy(), 3, said.append)
    settings = {"optimiser": "sgd", "epochs": 1, "batch_size": 16} | settings
    task = network, softmax_cross_entropy(), toy()
    fit(*task, key=jax.random.key(0), callbacks=[watch], **settings)
    return said


@pytest.mark.slow
def test_every_third_step_is_judged():
    said = _fit(chain(linear(2, 3), tanh(), linear(3, 2)))
    assert [line.split(",")[0] for line in said] == ["step 0: RIGHT", "step 3: RIGHT"]


def test_a_mistake_that_waits_is_met_and_stops_the_training():
    """A tanh whose slope is wrong where it saturates, which no initial unit does."""
    honest = tanh()

    def backward(residuals, dy):
        params, dx = honest.backward(residuals, dy)
        (y,) = jax.tree.leaves(residuals)
        return params, jnp.where(abs(y) > 1 - 1e-9, dy, dx)

    planted = Rule("tanh", honest.init, honest.forward, backward)
    network = chain(linear(2, 3), planted, linear(3, 2))
    with pytest.raises(WrongGradient, match="before step 3:\n(.|\n)*WRONG"):
        _fit(network, optimiser=optax.sgd(1e3))  # It saturates at once.


def test_every_must_be_positive():
    with pytest.raises(ValueError, match="every must be at least 1, got 0"):
        Watch(tanh(), softmax_cross_entropy(), 0)
