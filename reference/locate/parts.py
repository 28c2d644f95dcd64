"""The rules inside a rule.

A combinator binds its parts with functools.partial, as everything in purefw binds what
it is made of: `forward=partial(forward_chain, rules=(...))`. So the parts can be read
from the rule, and exchanged, without knowing any combinator; one of your own that is
written in the same way is taken apart like ours. A rule that holds its parts in a
closure, or was compiled, is one piece.
"""

from collections.abc import Mapping
from dataclasses import fields, replace
from functools import partial
from typing import Any

import jax
from jax.tree_util import keystr

from purefw.rule import Rule


def parts(rule: Rule) -> dict[str, Rule]:
    """The rules that `rule.forward` has bound, by place.

    Args:
        rule: Any rule.

    Returns:
        From "[2]", ".first" or "" (the only one) to the part; empty for a leaf, and
        where `rule.backward` has not bound rules in the same places.

    Example:
        >>> from purefw.compose import chain, residual
        >>> from purefw.layers.tanh import tanh
        >>> {k: v.name for k, v in parts(chain(residual(tanh()), tanh())).items()}
        {'[0]': 'residual(tanh)', '[1]': 'tanh'}
        >>> list(parts(residual(tanh())))
        ['']
    """
    ahead, back = dict(_bound(rule.forward)), dict(_bound(rule.backward))
    return ahead if ahead.keys() == back.keys() else {}


def places(rule: Rule) -> list[tuple[str, ...]]:
    """The way to every leaf, from the rule down.

    Example:
        >>> from purefw.compose import chain, residual
        >>> from purefw.layers.tanh import tanh
        >>> places(chain(residual(tanh()), tanh()))
        [('[0]', ''), ('[1]',)]
    """
    inside = parts(rule)
    if not inside:
        return [()]
    return [(k, *rest) for k, part in inside.items() for rest in places(part)]


def with_parts(rule: Rule, new: Mapping[str, Rule]) -> Rule:
    """The rule with other parts in the places that `new` names.

    Example:
        >>> from purefw.compose import residual
        >>> from purefw.layers.relu import relu
        >>> from purefw.layers.tanh import tanh
        >>> other = with_parts(residual(tanh()), {"": relu()})
        >>> parts(other)[""].name
        'relu'
    """
    changed = {}
    for field in fields(rule):
        f = getattr(rule, field.name)
        if _bound(f):
            changed[field.name] = _exchanged(f, new)
    return replace(rule, **changed)


def _exchanged(f: partial, new: Mapping[str, Rule]) -> partial:
    def exchange(path: tuple, value: Any) -> Any:
        return new.get(_place(path), value) if _is_rule(value) else value

    bound = jax.tree.map_with_path(exchange, f.keywords, is_leaf=_is_rule)
    return partial(f.func, *f.args, **bound)


def _bound(f: Any) -> list[tuple[str, Rule]]:
    if not isinstance(f, partial):
        return []
    leaves = jax.tree.leaves_with_path(f.keywords, is_leaf=_is_rule)
    return [(_place(path), value) for path, value in leaves if _is_rule(value)]


def _place(path: tuple) -> str:
    """Without the keyword's own name: parts are told apart by the rest."""
    return keystr(path[1:])


def _is_rule(value: Any) -> bool:
    return isinstance(value, Rule)
