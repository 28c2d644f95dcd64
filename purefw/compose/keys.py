"""Keys for the random parts of a composed rule."""

from typing import Any

import jax
from jaxtyping import Array, Key

from purefw.rule import Rule


def split_keys(key: Key[Array, ""] | None, rules: tuple[Rule, ...]) -> list:
    """One key for each random rule, None for the others.

    Raises:
        ValueError: a rule is random and there is no key; the message names the rule.
    """
    needing = [rule for rule in rules if rule.random]
    if not needing:
        return [None] * len(rules)
    require_key(key, needing[0])
    keys = iter(jax.random.split(key, len(needing)))
    return [next(keys) if rule.random else None for rule in rules]


def forward_with(
    rule: Rule, params: Any, x: Any, key: Key[Array, ""] | None
) -> tuple[Any, Any]:
    """`rule.forward`, given the key only where it is random.

    Raises:
        ValueError: the rule is random and there is no key.
    """
    if not rule.random:
        return rule.forward(params, x)
    require_key(key, rule)
    return rule.forward(params, x, key)


def require_key(key: Key[Array, ""] | None, rule: Rule) -> None:
    """Raise ValueError, with the rule's name, where there is no key."""
    if key is None:
        raise ValueError(
            f"{rule.name}: key must be given, because forward is random, got None"
        )
