"""Optimisers by name are Optax's own, and decay spares what is no weight."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from purefw.train import decayed, optimiser
from tests.models.tiny import NETWORKS

PARAMS = {"weight": jnp.array([[0.5, -1.5]]), "bias": jnp.array([2.0, -3.0])}


def _after(transformation, steps=4):
    params, state = PARAMS, transformation.init(PARAMS)
    with jax.numpy_dtype_promotion("standard"):
        for i in range(steps):
            grads = {name: jnp.sin(v * (i + 1)) for name, v in params.items()}
            updates, state = transformation.update(grads, state, params)
            params = optax.apply_updates(params, updates)
    return params


@pytest.mark.parametrize(
    "name,theirs",
    [
        ("sgd", optax.sgd(0.1)),
        ("momentum", optax.sgd(0.1, momentum=0.9)),
        ("nesterov", optax.sgd(0.1, momentum=0.9, nesterov=True)),
        ("adam", optax.adam(1e-3)),
        ("rmsprop", optax.rmsprop(1e-3)),
        ("adagrad", optax.adagrad(1e-2)),
        ("lion", optax.lion(1e-4, weight_decay=0.0)),
    ],
)
def test_each_name_is_the_optimiser_of_optax(name, theirs):
    for key, value in _after(optimiser(name)).items():
        np.testing.assert_allclose(value, _after(theirs)[key], rtol=1e-12)


def test_adam_with_decay_is_adamw_with_the_mask():
    theirs = optax.adamw(1e-2, weight_decay=0.1, mask={"weight": True, "bias": False})
    ours = _after(optimiser("adam", 1e-2, weight_decay=0.1))
    for key, value in _after(theirs).items():
        np.testing.assert_allclose(ours[key], value, rtol=1e-12)
    unmasked = _after(optax.adamw(1e-2, weight_decay=0.1))
    assert abs(ours["bias"] - unmasked["bias"]).max() > 1e-3


def test_clipping_bounds_the_whole_gradient():
    ours = _after(optimiser("sgd", 0.5, clip=0.25), steps=1)
    moved = jax.tree.leaves(jax.tree.map(lambda a, b: a - b, ours, PARAMS))
    length = jnp.sqrt(sum(jnp.sum(v**2) for v in moved))
    np.testing.assert_allclose(length, 0.5 * 0.25, rtol=1e-12)


@pytest.mark.parametrize(
    "schedule,rates",
    [
        ("constant", [0.0, 0.05, 0.1, 0.1, 0.1]),
        ("linear", [0.0, 0.05, 0.1, 0.05, 0.0]),
        ("cosine", [0.0, 0.05, 0.1, 0.05, 0.0]),
        ("exponential", [0.0, 0.05, 0.1, 0.01, 0.001]),
    ],
)
def test_a_schedule_rises_and_falls(schedule, rates):
    one = optimiser("sgd", 0.1, schedule=schedule, warmup=2, steps=4)
    state, weight = one.init(jnp.zeros(())), []
    for _ in rates:
        with jax.numpy_dtype_promotion("standard"):
            update, state = one.update(jnp.array(-1.0), state, jnp.zeros(()))
        weight.append(float(update))
    np.testing.assert_allclose(weight, rates, atol=1e-7)


@pytest.mark.parametrize("name", NETWORKS)
def test_decay_takes_every_weight_and_no_bias_scale_or_running_statistic(name, keys):
    params = jax.eval_shape(NETWORKS[name]().init, next(keys))
    paths = jax.tree_util.tree_flatten_with_path(decayed(params))[0]
    for path, is_decayed in paths:
        leaf = jax.tree_util.keystr(path).rsplit(".", 1)[-1]
        spared = leaf.startswith(("bias", "scale", "running"))
        assert is_decayed != spared, leaf
    assert any(is_decayed for _, is_decayed in paths)


@pytest.mark.parametrize(
    "settings,message",
    [
        (
            {"learning_rate": -0.1},
            "learning_rate must be positive and finite, got -0.1",
        ),
        ({"learning_rate": float("nan")}, "learning_rate must be positive .* got nan"),
        ({"clip": 0.0}, "clip must be positive and finite, got 0.0"),
        (
            {"weight_decay": -1.0},
            "weight_decay must be at least 0 and finite, got -1.0",
        ),
        ({"schedule": "sine"}, "schedule must be one of constant, .* got 'sine'"),
        ({"schedule": "cosine"}, "steps must be more than the warmup of 0 .* got None"),
        ({"warmup": -1}, "warmup must be at least 0, got -1"),
        (
            {"learning_rate": optax.constant_schedule(0.1), "warmup": 3},
            "learning_rate must be a number beside .* warmup 3, got a schedule",
        ),
    ],
)
def test_what_is_out_of_range_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        optimiser("adam", **settings)
