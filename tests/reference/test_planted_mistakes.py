"""The oracle rejects the mistakes that people make in a perceptron."""

from dataclasses import replace

import jax.numpy as jnp
import pytest

from purefw.layers.linear import LinearParams, linear
from purefw.layers.softmax import softmax
from purefw.layers.tanh import tanh
from purefw.losses.softmax_cross_entropy import softmax_cross_entropy
from purefw.losses.squared_error import squared_error
from reference import Verdict, chance, check_loss, check_rule

REJECTED = (Verdict.WRONG, Verdict.CONTRACT)


def cases(table, *often):
    """The names of a table; all but a few are slow."""
    return [n if n in often else pytest.param(n, marks=pytest.mark.slow) for n in table]


def _sign(residuals, dy):
    return (), -tanh().backward(residuals, dy)[1]


def _missing_row_sum(residuals, dy):
    dparams, dx = linear(3, 3).backward(residuals, dy)
    return LinearParams(dparams.weight, dy), dx


def _first_row_only(residuals, dy):
    dparams, dx = linear(3, 3).backward(residuals, dy)
    return LinearParams(dparams.weight, dy[0]), dx


def _transposed_square_weight(residuals, dy):
    dparams, _ = linear(3, 3).backward(residuals, dy)
    return dparams, dy @ residuals.params.weight


def _transposed_dweight(residuals, dy):
    dparams, dx = linear(3, 3).backward(residuals, dy)
    return LinearParams(dparams.weight.T, dparams.bias), dx


def _softmax_without_its_sum(residuals, dp):
    return (), residuals * dp


RULES = {
    "sign": (tanh(), _sign, "dx"),
    "missing_row_sum": (linear(3, 3), _missing_row_sum, "dparams.bias"),
    "first_row_only": (linear(3, 3), _first_row_only, "dparams.bias"),
    "transposed_square_weight": (linear(3, 3), _transposed_square_weight, "dx"),
    "transposed_dweight": (linear(3, 3), _transposed_dweight, "dparams.weight"),
    "softmax_without_its_sum": (softmax(), _softmax_without_its_sum, "dx"),
}


@pytest.mark.parametrize("name", cases(RULES, "missing_row_sum"))
def test_a_mistake_in_a_rule_is_rejected_at_its_leaf(name, keys):
    rule, backward, leaf = RULES[name]
    x = chance.normal(next(keys), (5, 3))
    report = check_rule(replace(rule, backward=backward), x)
    assert report.verdict in REJECTED
    assert report.leaves[leaf].verdict in REJECTED


def _labelled(keys):
    return chance.normal(next(keys), (5, 3)), jnp.array([0, 2, 1, 1, 0])


def _pair(keys):
    return tuple(chance.normal(next(keys), (2, 5, 3)))


LOSSES = {
    "missing_1/N": (
        softmax_cross_entropy("mean"),
        lambda residuals, dloss: softmax_cross_entropy().backward(residuals, 5 * dloss),
        _labelled,
    ),
    "missing_1/n": (squared_error("mean"), squared_error("sum").backward, _pair),
    "dloss_ignored": (
        squared_error("mean"),
        lambda residuals, dloss: squared_error().backward(residuals, dloss**0),
        _pair,
    ),
    "dloss_ignored_on_labels": (
        softmax_cross_entropy("mean"),
        lambda residuals, dloss: softmax_cross_entropy().backward(residuals, dloss**0),
        _labelled,
    ),
    "sign": (
        squared_error("mean"),
        lambda residuals, dloss: -squared_error().backward(residuals, dloss),
        _pair,
    ),
}


@pytest.mark.parametrize("name", cases(LOSSES, "dloss_ignored"))
def test_a_mistake_in_a_loss_is_rejected(name, keys):
    loss, backward, draw = LOSSES[name]
    report = check_loss(replace(loss, backward=backward), *draw(keys))
    assert report.verdict in REJECTED
    assert report.leaves["dprediction"].verdict in REJECTED
