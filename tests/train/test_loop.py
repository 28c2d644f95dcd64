"""Rests, callbacks, early stopping, and what happens to steps that are not finite."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import purefw
from purefw.compose import chain
from purefw.data import toy
from purefw.layers.batch_norm import batch_norm
from purefw.layers.linear import linear
from purefw.layers.relu import relu
from purefw.layers.tanh import tanh
from purefw.losses.softmax_cross_entropy import softmax_cross_entropy
from purefw.models import perceptron
from purefw.train import (
    Epoch,
    Moment,
    NonFiniteLoss,
    Snapshot,
    Source,
    State,
    fit,
    train,
    train_epoch,
    train_step,
)
from purefw.train.callbacks import EarlyStopping

STEPS = 5  # An epoch of toy at batch 16.


def _run(of=train, network=None, data=None, **settings):
    settings = {
        "optimiser": optax.adam(1e-2),
        "epochs": 2,
        "batch_size": 16,
        "key": jax.random.key(0),
    } | settings
    network = network or perceptron((2, 5, 2), tanh())
    return of(network, softmax_cross_entropy(), data or toy(), **settings)


def same(tree, other):
    """Whether two trees hold the same bits."""
    pairs = zip(jax.tree.leaves(tree), jax.tree.leaves(other), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


def test_rests_change_no_bit_of_the_training():
    whole, parts = list(_run()), list(_run(rests=(3, 4)))
    assert [m.step for m in parts] == [0, 3, 4, 5, 6, 8, 9, 10]
    assert [m.epoch.number if m.epoch else None for m in parts][:4] == [
        0,
        None,
        None,
        1,
    ]
    assert same(parts[-1].snapshot.state, whole[-1].snapshot.state)
    assert parts[-1].history == whole[-1].history
    losses = np.concatenate([m.losses for m in parts])
    np.testing.assert_array_equal(losses, np.concatenate([m.losses for m in whole]))


def test_training_goes_on_from_a_moment_as_if_it_had_not_rested():
    moments = _run(rests=(3,))
    middle = [next(moments) for _ in range(4)][-1]  # Within epoch 2.
    assert middle.step == 6 and middle.epoch is None
    went_on = list(_run(resume=middle.snapshot))
    assert [m.step for m in went_on] == [6, 10]
    whole = list(_run())[-1]
    assert same(went_on[-1].snapshot.state, whole.snapshot.state)
    assert went_on[-1].history == whole.history


def test_a_snapshot_of_another_key_is_refused():
    snapshot = next(_run()).snapshot
    with pytest.raises(ValueError, match="key must be that of the snapshot, .* got"):
        _run(resume=snapshot, key=jax.random.key(1))


def test_the_next_batch_is_what_the_next_step_sees():
    network = perceptron((2, 5, 2), tanh())
    gradient = purefw.loss_and_grad(network, softmax_cross_entropy())
    moments = list(_run(network=network, rests=(1,)))
    for now, after in zip(moments, moments[1:]):
        loss, _ = gradient(now.params, *now.next_batch())
        np.testing.assert_allclose(loss, after.losses, rtol=1e-12)


def test_parameters_of_a_moment_outlive_the_next_step():
    moments = list(_run())
    assert not same(moments[0].params, moments[1].params)


def test_a_callback_is_called_where_it_is_due_and_ends_training():
    seen, every_epoch = [], []

    class Watch:
        every = 4

        def __call__(self, moment):
            seen.append(moment.step)
            return moment.step == 8

    _, history = _run(fit, callbacks=[Watch(), lambda m: every_epoch.append(m.step)])
    assert seen == [0, 4, 5, 8] and every_epoch == [0, 5]
    assert len(history) == 2


def test_a_callback_that_is_a_context_is_entered_and_left():
    class Context:
        states = []

        def __enter__(self):
            self.states.append("in")

        def __exit__(self, *error):
            self.states.append("out")

        def __call__(self, moment):
            raise ValueError("planted")

    with pytest.raises(ValueError, match="planted"):
        _run(fit, callbacks=[Context()])
    assert Context.states == ["in", "out"]


@pytest.mark.parametrize(
    "losses,stopped_at",
    [([3, 2, 1, 1, 1], 4), ([3, 2, 4, 1, 2], None), ([1, 2, 3], 2)],
)
def test_early_stopping_counts_from_the_best_epoch(losses, stopped_at):
    stop = EarlyStopping(2)
    histories = [
        tuple(Epoch(i, 0.0, None, loss, None) for i, loss in enumerate(losses[:n]))
        for n in range(1, len(losses) + 1)
    ]
    answers = [stop(_after(history)) for history in histories]
    assert (answers.index(True) if any(answers) else None) == stopped_at


def _after(history):
    source = Source(rows=1, batch_size=1, checksum=0)
    snapshot = Snapshot(State((), ()), jax.random.key(0), 0, history, source)
    return Moment(snapshot, (), history[-1], np.zeros(0), lambda: None)


def test_early_stopping_ends_fit_after_its_patience():
    rate = optax.sgd(0.0)
    _, history = _run(fit, optimiser=rate, epochs=9, callbacks=[EarlyStopping(3)])
    assert [epoch.number for epoch in history] == [0, 1, 2, 3]


def _poisoned(network, loss, *, in_gradient=False):
    """The gradient, not finite wherever the batch holds the largest row of the data."""
    right, largest = purefw.loss_and_grad(network, loss), toy().train.x[:, 0].max()

    def value_and_dparams(params, x, target, key):
        value, dparams = right(params, x, target, key)
        bad = jnp.where(jnp.any(x[:, 0] == largest), jnp.nan, 1.0)
        if in_gradient:
            return value, jax.tree.map(lambda v: v * bad.astype(v.dtype), dparams)
        return value * bad, dparams

    return value_and_dparams


@pytest.mark.parametrize("in_gradient", [False, True])
def test_a_step_that_is_not_finite_is_skipped_and_changes_nothing(in_gradient):
    """Neither parameters nor Adam's moments nor running statistics."""

    def gradient(network, loss):
        return _poisoned(network, loss, in_gradient=in_gradient)

    network = chain(linear(2, 3), batch_norm(3), linear(3, 2))
    before, skipped = None, 0
    for moment in _run(
        network=network, gradient=gradient, nonfinite="skip", rests=(1,)
    ):
        state = jax.tree.map(np.array, moment.snapshot.state)
        if before is not None:
            bad = bool(np.isnan(moment.losses).any())
            assert same(before, state) == bad
            skipped += bad
        before = state
    assert skipped == 2  # One an epoch.
    assert all(np.isfinite(v).all() for v in jax.tree.leaves(before))


def test_an_epoch_of_which_no_step_is_finite_is_not_skipped():
    def gradient(network, loss):
        return lambda params, *batch: (jnp.array(jnp.nan), params)

    with pytest.raises(NonFiniteLoss, match="got nan in epoch 1, step 1"):
        _run(fit, gradient=gradient, nonfinite="skip")


def test_stop_warns_and_returns_the_last_good_epoch():
    moments = list(_run())
    rate = optax.adam(lambda count: jnp.where(count == 7, jnp.inf, 1e-2))
    with pytest.warns(UserWarning, match="loss must be finite, .* epoch 2.*; stopped"):
        params, history = _run(fit, optimiser=rate, epochs=4, nonfinite="stop")
    assert [epoch.number for epoch in history] == [0, 1]
    assert same(params, moments[1].params)


@pytest.mark.parametrize(
    "settings,message",
    [
        ({"accumulate": 3}, "accumulate must divide batch_size 16, got 3"),
        ({"accumulate": 0}, "accumulate must divide batch_size 16, got 0"),
        ({"nonfinite": "hide"}, "nonfinite must be one of raise, stop, skip, got 'hid"),
        ({"rests": (0,)}, "rests must be at least 1, got 0"),
        ({"optimiser": "sdg"}, "optimiser must be one of sgd, .* got 'sdg'"),
    ],
)
def test_arguments_out_of_range_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        _run(**settings)


def test_the_step_traces_over_seeds():
    """vmap over states and keys is the trainings one by one."""
    network, loss = perceptron((2, 3, 2), relu()), softmax_cross_entropy()
    optimiser = optax.adam(1e-2)
    step = partial(
        train_step,
        network=network,
        gradient=purefw.loss_and_grad(network, loss),
        optimiser=optimiser,
    )
    data = toy().train

    def run(seed):
        init_key, key = jax.random.split(jax.random.key(seed))
        params = network.init(init_key)
        state = State(params, optimiser.init(params))
        return train_epoch(state, data, key, step=step, batch_size=16)[1]

    together = jax.jit(jax.vmap(run))(jnp.arange(3))
    for seed, losses in enumerate(together):
        np.testing.assert_allclose(run(jnp.array(seed)), losses, rtol=1e-12)
