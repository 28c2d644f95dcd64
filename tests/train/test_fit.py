"""Training: both sources of the gradient, what it reaches, and how it stops."""

from itertools import islice

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import purefw
from purefw import Loss, Rule, chain
from purefw.data import Dataset, Split, digits, mnist, toy
from purefw.layers.linear import linear
from purefw.layers.relu import relu
from purefw.layers.softmax import softmax
from purefw.layers.tanh import tanh
from purefw.losses.cross_entropy import cross_entropy
from purefw.losses.softmax_cross_entropy import softmax_cross_entropy
from purefw.metrics import accuracy
from purefw.models import perceptron
from purefw.train import NonFiniteLoss, State, fit, train, train_epoch
from reference import autodiff
from reference.commands.verify import difference, trainings
from tests.data.test_mnist import real_directory


def _fit(network, data, *, loss=None, rate=0.1, epochs=1, batch_size=4, **settings):
    settings = {"optimiser": optax.sgd(rate), "key": jax.random.key(0)} | settings
    return fit(
        network,
        loss or softmax_cross_entropy(),
        data,
        epochs=epochs,
        batch_size=batch_size,
        **settings,
    )


def test_a_perceptron_learns_the_digits():
    history = _fit(
        perceptron((64, 32, 10), relu()), digits(), epochs=30, batch_size=32
    ).history
    assert history[0].validation_accuracy < 0.3
    assert history[30].validation_accuracy >= 0.95  # measured 0.967 to 0.972
    assert [epoch.number for epoch in history] == list(range(31))


@pytest.mark.slow
def test_a_perceptron_learns_mnist_in_ten_epochs():
    history = _fit(
        perceptron((784, 128, 10), relu()),
        mnist(real_directory()),
        epochs=10,
        batch_size=32,
    ).history
    assert max(epoch.validation_accuracy for epoch in history) >= 0.97


def test_one_epoch_of_the_lesson_brings_a_linear_layer_from_guessing_to_knowing():
    """The first experiment, as the lesson writes it: a softmax, then its loss."""
    network = chain(linear(2, 2), softmax())
    key = jax.random.key(3)
    history = _fit(network, toy(seed=3), loss=cross_entropy(), key=key).history
    assert history[0].train_accuracy < 0.6  # measured 0.513
    assert history[1].train_accuracy >= 0.75  # measured 0.800


def test_the_two_step_form_and_the_one_step_form_train_alike():
    two_steps = _fit(chain(linear(2, 2), softmax()), toy(), loss=cross_entropy())
    one_step = _fit(chain(linear(2, 2), Rule(*_identity())), toy())
    assert difference(two_steps.params, one_step.params) < 1e-14


def _identity():
    return "identity", lambda key: (), lambda p, x: (x, ()), lambda r, dy: ((), dy)


def test_the_two_trainings_stay_together_in_float64():
    """Same accuracy to 1 % per epoch, parameters within 1e-4 after 5 epochs."""
    comparisons = list(trainings(epochs=5))
    assert len(comparisons) == 6
    assert all(c.right for c in comparisons)
    assert max(c.parameters for c in comparisons) < 1e-13  # measured 1e-15


def test_a_wrong_gradient_is_told_apart():
    def wrong(network, loss):
        right = purefw.loss_and_grad(network, loss)

        def value_and_dparams(*args):
            value, dparams = right(*args)
            return value, jax.tree.map(lambda v: v * (1 + 1e-9), dparams)

        return value_and_dparams

    assert not next(trainings(epochs=1, manual=wrong)).right


@pytest.mark.parametrize(
    "optimiser",
    [
        optax.sgd(0.1, momentum=0.9),
        optax.adam(1e-2),
        optax.adamw(optax.cosine_decay_schedule(1e-2, 60)),
        optax.chain(optax.clip_by_global_norm(1.0), optax.rmsprop(1e-2)),
    ],
    ids=["momentum", "adam", "adamw_schedule", "clipped_rmsprop"],
)
def test_any_optimiser_of_optax_learns(optimiser):
    network = perceptron((2, 10, 2), tanh())
    history = _fit(network, toy(), optimiser=optimiser, epochs=3).history
    assert history[3].train_loss < history[0].train_loss


def test_the_same_key_gives_the_same_training_to_the_bit_and_another_does_not():
    network = perceptron((2, 5, 2), tanh())
    first, again, other = (
        _fit(network, toy(), key=jax.random.key(seed)).params for seed in (1, 1, 2)
    )
    for a, b, c in zip(*map(jax.tree.leaves, (first, again, other))):
        np.testing.assert_array_equal(a, b)
        assert (a != c).any()


def test_an_epoch_is_the_steps_one_after_the_other(keys):
    """A scan over minibatches that see every row once: the sum of x, and their mean."""
    data = toy().train

    def step(state, x, target, key):
        assert x.shape == (16, 2) and target.shape == (16,)
        total = state.params + jnp.sum(x, axis=0)
        return State(total, ()), jnp.mean(total)

    start = State(jnp.zeros(2), ())
    state, losses = train_epoch(start, data, next(keys), step=step, batch_size=16)
    np.testing.assert_allclose(state.params, data.x.sum(axis=0), rtol=1e-12)
    assert losses.shape == (5,)


def test_a_random_network_gets_a_new_key_every_step():
    seen = []

    def forward(params, x, key):
        jax.debug.callback(lambda k: seen.append(k.tobytes()), jax.random.key_data(key))
        return x, ()

    noisy = Rule(
        "noisy",
        lambda key: (),
        forward,
        lambda residuals, dy: ((), dy),
        random=True,
        inference=lambda params, x: x,
    )
    _fit(chain(linear(2, 2), noisy), toy(), epochs=2, batch_size=20)
    jax.effects_barrier()
    assert len(seen) == len(set(seen)) == 8


def _exploding(at):
    """A loss that is infinite once the parameters have seen `at` steps."""
    honest = softmax_cross_entropy()

    def forward(prediction, target):
        value, residuals = honest.forward(prediction, target)
        return jnp.where(value > at, jnp.inf, value), residuals

    return Loss("exploding", forward, honest.backward)


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_parameters():
    network, data = perceptron((2, 10, 2), relu()), toy()
    good = list(islice(_epochs(network, data, _schedule()), 3))
    with pytest.raises(NonFiniteLoss, match="in epoch 3, step 2") as caught:
        list(_epochs(network, data, _schedule()))
    error = caught.value
    assert (error.epoch, error.step) == (3, 2)
    assert [epoch.number for epoch in error.history] == [0, 1, 2]
    for kept, expected in zip(*map(jax.tree.leaves, (error.params, good[2].params))):
        np.testing.assert_array_equal(kept, expected)


def _epochs(network, data, optimiser):
    settings = {"epochs": 4, "batch_size": 20, "key": jax.random.key(0)}
    return train(
        network, softmax_cross_entropy(), data, optimiser=optimiser, **settings
    )


def _schedule():
    """Steps of 0.1 until the first of epoch 3, the ninth, which is infinite."""
    return optax.sgd(lambda count: jnp.where(count == 8, jnp.inf, 0.1))


def test_an_infinite_loss_before_the_first_step_is_epoch_zero():
    with pytest.raises(NonFiniteLoss, match="got inf in epoch 0, step 0") as caught:
        _fit(perceptron((2, 2), relu()), toy(), loss=_exploding(0.0))
    assert caught.value.params is not None


def test_parameters_broken_by_the_last_step_are_not_kept():
    """The steps' losses come before each step, so the evaluation has to see it."""
    optimiser = optax.sgd(lambda count: jnp.where(count == 3, jnp.inf, 0.1))
    with pytest.raises(NonFiniteLoss, match="got nan in epoch 1, step 4") as caught:
        list(_epochs(perceptron((2, 2), relu()), toy(), optimiser))
    assert all(jnp.isfinite(v).all() for v in jax.tree.leaves(caught.value.params))


def test_nothing_is_hidden_when_the_gradient_comes_from_autodiff():
    network = perceptron((2, 10, 2), tanh())
    by_hand, by_autodiff = (
        _fit(network, toy(), rate=0.01, epochs=30, gradient=gradient)
        for gradient in (purefw.loss_and_grad, autodiff.loss_and_grad)
    )
    assert by_hand.history[30].train_loss < by_hand.history[0].train_loss
    assert difference(by_hand.params, by_autodiff.params) < 1e-12  # measured 1e-14


@pytest.mark.parametrize("batch_size", [0, 81])
def test_a_batch_size_that_does_not_fit_is_refused(batch_size):
    message = rf"batch_size must be in \[1, 80\], the rows of toy .* got {batch_size}"
    with pytest.raises(ValueError, match=message):
        _fit(perceptron((2, 2), relu()), toy(), batch_size=batch_size)


def test_no_epoch_is_refused():
    with pytest.raises(ValueError, match="epochs must be at least 1, got 0"):
        _fit(perceptron((2, 2), relu()), toy(), epochs=0)


def test_a_network_that_does_not_fit_the_data_is_refused_before_the_first_step():
    with pytest.raises(ValueError, match=r"one score a class of toy, shape \(80, 2\)"):
        _fit(perceptron((2, 3), relu()), toy())
    with pytest.raises(ValueError, match=r"x must have shape \(\.\.\., 64\), got"):
        _fit(perceptron((64, 2), relu()), toy())


def test_the_progress_bar_goes_to_the_standard_error_stream(capsys):
    _fit(perceptron((2, 2), relu()), toy(), epochs=2, progress=True)
    out, err = capsys.readouterr()
    assert out == "" and "2/2" in err and "validation accuracy" in err


def test_accuracy_counts_the_first_of_equal_scores_and_no_label_out_of_range():
    scores = jnp.array([[0.5, 0.5], [0.5, 0.5], [0.1, 0.9], [0.9, 0.1]])
    assert accuracy(scores, jnp.array([0, 1, 1, 7])) == 0.5
    assert accuracy(scores.astype("bfloat16"), jnp.array([0, 1, 1, -1])).dtype == (
        jnp.bfloat16
    )


def test_a_data_set_in_float32_trains_beside_float64_enabled():
    split = Split(jnp.ones((4, 2), jnp.float32), jnp.array([0, 1, 0, 1]))
    data = Dataset("narrow", split, split, classes=2)
    network = perceptron((2, 2), relu())
    narrow = Rule(
        "narrow",
        lambda key: jax.tree.map(lambda v: v.astype(jnp.float32), network.init(key)),
        network.forward,
        network.backward,
    )
    params = _fit(narrow, data).params
    assert all(v.dtype == jnp.float32 for v in jax.tree.leaves(params))
