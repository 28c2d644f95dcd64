"""What training reaches at the settings of `purefw train`, by hand and by autodiff."""

import jax
import optax
import pytest

import purefw
from purefw.data import load, mnist, to_itself
from purefw.losses.softmax_cross_entropy import softmax_cross_entropy
from purefw.losses.squared_error import squared_error
from purefw.train import fit
from reference import autodiff
from reference.commands.networks import NETWORKS, build
from reference.commands.verify import difference
from tests.data.test_mnist import real_directory

pytestmark = pytest.mark.slow


def falling(rate, steps):
    """Adam with --schedule cosine."""
    return optax.adam(optax.cosine_decay_schedule(rate, steps))


def trained(name, gradient=purefw.loss_and_grad, data=None, **settings):
    """What `purefw train --network NAME` comes to, in float32 unless x64 is on."""
    data = load(NETWORKS[name].data[0]) if data is None else data
    network, _ = build(name, data, None, None)
    if name == "autoencoder":
        data = to_itself(data)
    settings = {
        "optimiser": optax.adam(1e-3),
        "epochs": NETWORKS[name].epochs,
        "batch_size": min(32, len(data.train.x)),
        **settings,
    }
    loss = squared_error() if data.classes is None else softmax_cross_entropy()
    key = jax.random.key(0)
    with jax.debug_key_reuse(False):  # It follows the keys through every call anew.
        return fit(network, loss, data, gradient=gradient, key=key, **settings)


RATES = {"perceptron": {"optimiser": optax.sgd(0.1)}}
TEXTS = {"lstm": {"optimiser": falling(1e-2, 300)}, "gpt": {}}


@pytest.mark.parametrize("name", TEXTS)
def test_a_short_text_is_learned_by_heart(name):
    with jax.enable_x64(False):
        history = trained(name, **TEXTS[name]).history
    assert history[0].train_loss > 3 and history[-1].train_loss < 0.1


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_is_learned_alike_by_autodiff(name):
    by_hand, by_autodiff = (
        [epoch.train_loss for epoch in trained(name, source, **TEXTS[name]).history]
        for source in (purefw.loss_and_grad, autodiff.loss_and_grad)
    )
    assert by_hand[-1] < 0.1
    assert max(abs(a / b - 1) for a, b in zip(by_hand, by_autodiff)) < 1e-6


@pytest.mark.parametrize("name", ["lenet", "resnet"])
def test_the_digits_are_told_apart(name):
    with jax.enable_x64(False):
        history = trained(name).history
    assert history[-1].validation_accuracy >= 0.95


def test_a_code_of_eight_numbers_keeps_most_of_a_digit():
    with jax.enable_x64(False):
        history = trained("autoencoder").history
    assert history[-1].validation_loss < history[0].validation_loss / 10


@pytest.mark.parametrize("name", ["perceptron", "lenet", "resnet", "autoencoder"])
def test_digits_are_learned_alike_by_autodiff(name):
    settings = {"epochs": 3} | RATES.get(name, {})
    by_hand, by_autodiff = (
        trained(name, source, **settings)
        for source in (purefw.loss_and_grad, autodiff.loss_and_grad)
    )
    assert difference(by_hand.params, by_autodiff.params) < 1e-9


def test_lenet_reaches_99_percent_on_mnist():
    with jax.enable_x64(False):
        data = mnist(real_directory())
        steps = 15 * (len(data.train.x) // 64)
        history = trained(
            "lenet",
            data=data,
            optimiser=falling(2e-3, steps),
            epochs=15,
            batch_size=64,
        ).history
    assert history[-1].validation_accuracy >= 0.99  # Measured: 0.992.
