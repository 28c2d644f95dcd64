"""Registered rules and losses keep the invariants of their entries at random points."""

import zlib
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from reference.registry import LOSSES, RULES
from reference.registry.entry import normal_like

CLOSE = 1e-13  # Of the largest entry around: some hundred roundings.


def pairs(entries):
    """Each entry's name with each of its invariants; of a constructor the first one."""
    found, seen = [], set()
    for name, entry in entries.items():
        constructor = (entry.rule if entries is RULES else entry.loss).name
        marks = [pytest.mark.slow] * (constructor in seen)
        seen.add(constructor)
        for invariant in entry.invariants:
            label = f"{name}-{invariant.__name__}"
            found.append(pytest.param(name, invariant, id=label, marks=marks))
    return found


@cache
def rule_at_a_point(name):
    """(pull, params, x, dy) of a registered rule."""
    entry = RULES[name]
    keys = jax.random.split(jax.random.key(zlib.crc32(name.encode())), 3)
    params, x = entry.draw_params(keys[0]), next(iter(entry.inputs.values()))(keys[1])
    dy = normal_like(jax.eval_shape(entry.rule.apply, params, x), keys[2])

    def pull(params, x, dy):
        y, residuals = entry.rule.forward(params, x)
        return y, *entry.rule.backward(residuals, dy)

    return compiled(pull), *in_numpy((params, x, dy))


@cache
def loss_at_a_point(name):
    """(pull, prediction, target, dloss) of a registered loss."""
    entry = LOSSES[name]
    key = jax.random.key(zlib.crc32(name.encode()))
    prediction, target = next(iter(entry.inputs.values()))(key)

    def pull(prediction, target, dloss):
        loss, residuals = entry.loss.forward(prediction, target)
        return loss, entry.loss.backward(residuals, dloss)

    return compiled(pull), *in_numpy((prediction, target, jnp.array(-0.7)))


def compiled(pull):
    """One program for every invariant, from NumPy's arrays to NumPy's."""
    program = jax.jit(pull)
    return lambda *point: in_numpy(program(*point))


def in_numpy(tree):
    return jax.tree.map(np.asarray, tree)


def distance(got, expected, point):
    """The largest difference, in units of the largest entry around."""
    got, expected = jax.tree.leaves(got), jax.tree.leaves(expected)
    size = max(np.abs(v).max(initial=0) for v in [*got, *expected, *floats(point)])
    assert [v.shape for v in got] == [v.shape for v in expected]
    return max(np.abs(a - b).max(initial=0) for a, b in zip(got, expected)) / size


def floats(tree):
    return [v for v in jax.tree.leaves(tree) if v.dtype == float]


def bent(pull):
    """The same with a small mistake in each number that it returns."""

    def wrong(*point):
        first = np.cos(sum(i * v.ravel()[0] for i, v in enumerate(floats(point), 1)))

        def bend(v):
            weights = 1 + np.arange(v.size).reshape(v.shape)
            return v + 1e-6 * weights * (1 + v + first)

        results = pull(*point)
        return jax.tree.map(lambda v: bend(v) if v.dtype == float else v, results)

    return wrong


@pytest.mark.parametrize("name,invariant", pairs(RULES))
def test_a_rule_keeps_it(name, invariant):
    pull, *point = rule_at_a_point(name)
    assert distance(*invariant(pull, *point), point) <= CLOSE
    assert distance(*invariant(bent(pull), *point), point) > 1e3 * CLOSE


@pytest.mark.parametrize("name,invariant", pairs(LOSSES))
def test_a_loss_keeps_it(name, invariant):
    pull, *point = loss_at_a_point(name)
    assert distance(*invariant(pull, *point), point) <= CLOSE
    assert distance(*invariant(bent(pull), *point), point) > 1e3 * CLOSE
