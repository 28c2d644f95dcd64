"""Every registered rule and loss is right at every one of its inputs."""

import zlib

import jax
import pytest

from reference import assert_correct, check_loss, check_rule
from reference.registry import LOSSES, RULES

RULE_CASES = [(n, i) for n, entry in RULES.items() for i in entry.inputs]
LOSS_CASES = [(n, i) for n, entry in LOSSES.items() for i in entry.inputs]


def _key(name: str, situation: str):
    return jax.random.key(zlib.crc32(f"{name}/{situation}".encode()))


@pytest.mark.parametrize("name,situation", RULE_CASES)
def test_rule_is_right(name, situation):
    entry = RULES[name]
    params_key, x_key, key = jax.random.split(_key(name, situation), 3)
    x = entry.inputs[situation](x_key)
    params = entry.draw_params(params_key)
    assert_correct(check_rule(entry.rule, x, params=params, key=key))


@pytest.mark.parametrize("name,situation", LOSS_CASES)
def test_loss_is_right(name, situation):
    entry = LOSSES[name]
    prediction, target = entry.inputs[situation](_key(name, situation))
    assert_correct(check_loss(entry.loss, prediction, target))
