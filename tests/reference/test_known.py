"""What a rule was meant to be: purefw's own forward with this rule's numbers."""

from dataclasses import replace
from functools import partial

import pytest

from purefw.layers.multi_head_attention import multi_head_attention
from reference.known import known_of
from reference.registry import COMPOSITIONS, LOSSES, RULES

OWN = {name: e.rule for name, e in RULES.items() if name not in COMPOSITIONS}
OWN |= {name: e.loss for name, e in LOSSES.items()}


def parts(f):
    return (f.func, f.keywords) if isinstance(f, partial) else (f, {})


def around(f):
    return lambda *args: f(*args)


@pytest.mark.parametrize("name", OWN)
def test_the_forward_behind_a_wrapper_is_known(name):
    rule = OWN[name]
    known = known_of(replace(rule, forward=around(rule.forward)))
    assert parts(known.forward) == parts(rule.forward)


def test_its_numbers_are_this_rules_not_the_constructors():
    rule = multi_head_attention(8, 4, key_heads=2)
    known = known_of(replace(rule, forward=around(rule.forward)))
    assert known.forward.keywords == rule.forward.keywords
    assert known.forward.keywords != multi_head_attention(8, 4).forward.keywords


def test_a_forward_of_ones_own_with_nothing_inside():
    rule = multi_head_attention(8, 4, key_heads=2)
    known = known_of(replace(rule, forward=lambda params, x: (x, x)))
    assert known.forward.func is rule.forward.func


def test_a_backward_of_ones_own_is_of_no_rule():
    rule = multi_head_attention(8, 4)
    assert known_of(replace(rule, backward=lambda residuals, dy: (None, dy))) is None
