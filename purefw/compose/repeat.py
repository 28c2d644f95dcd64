"""Equal blocks one after the other, as one loop over stacked parameters.

l counts the n blocks; params_l is row l of every leaf of params.

    (1)  a_l  = f(params_l, a_{l-1})              l = 1, ..., n;  a_0 = x,  y = a_n
    (2)  da_n = dy
    (3)  (dparams_l, da_{l-1}) = backward of f applied to da_l     l = n, ..., 1

This is the chain rule of purefw.compose.chain with one f. As a lax.scan the block is
traced and compiled once, however large n is; (3) is a second scan, from the end, over
the residuals that (1) has stacked.
Invariant: y, dparams and dx are those of chain(f, ..., f), whose keys are split in the
same way.
"""

from functools import partial
from typing import Any

import jax
from jax import lax
from jaxtyping import Array, Key

from purefw.compose.keys import forward_with, require_key
from purefw.rule import Rule
from purefw.shared.sizes import check_sizes


def repeat(rule: Rule, n: int) -> Rule:
    """n blocks of one kind with parameters of their own; compile time is one block's.

    Args:
        rule: A block. Its y must have the structure, shapes and dtypes of its x, whose
            leaves are floats.
        n: How many. At least 1.

    Returns:
        A rule whose params and residuals are the block's with a leading axis of n, and
        cost n times as much. It is random where the block is.

    Raises:
        ValueError: n is not positive, `forward` gets params of another depth, the block
            changes the shape of x, or a random block gets no key.

    Example:
        >>> from purefw.layers.linear import linear
        >>> rule = repeat(linear(3, 3), 48)
        >>> rule.init(jax.random.key(0)).weight.shape
        (48, 3, 3)
    """
    check_sizes("repeat", n=n)
    return Rule(
        name=f"repeat({rule.name}, {n})",
        init=partial(init, rule=rule, n=n),
        forward=partial(forward, rule=rule, n=n),
        backward=partial(backward, rule=rule),
        random=rule.random,
        inference=partial(infer, rule=rule, n=n),
    )


def init(key: Key[Array, ""], *, rule: Rule, n: int) -> Any:
    """Parameters of each block from a key of its own, stacked."""
    return jax.vmap(rule.init)(jax.random.split(key, n))


def forward(
    params: Any,
    x: Any,
    key: Key[Array, ""] | None = None,
    *,
    rule: Rule,
    n: int,
) -> tuple[Any, Any]:
    """Equation (1)."""
    _check(params, n)
    keys = None
    if rule.random:
        require_key(key, rule)
        keys = jax.random.split(key, n)

    def block(a, inputs):
        p, k = inputs
        after, residuals = forward_with(rule, p, a, k)
        return _same(a, after, rule), residuals

    return lax.scan(block, x, (params, keys), length=n)  # (1)


def backward(residuals: Any, dy: Any, *, rule: Rule) -> tuple[Any, Any]:
    """Equations (2) and (3)."""

    def block(da, r):
        dparams, da = rule.backward(r, da)  # (3)
        return da, dparams

    dx, dparams = lax.scan(block, dy, residuals, reverse=True)  # (2)
    return dparams, dx


def infer(params: Any, x: Any, *, rule: Rule, n: int) -> Any:
    """Equation (1) with the block's inference form."""
    _check(params, n)

    def block(a, p):
        return _same(a, rule.apply(p, a), rule), None

    return lax.scan(block, x, params, length=n)[0]


def _check(params: Any, n: int) -> None:
    for v in jax.tree.leaves(params):
        if v.shape[:1] != (n,):
            raise ValueError(
                f"repeat: params must have {n} rows in every leaf, got shape {v.shape}"
            )


def _same(before: Any, after: Any, rule: Rule) -> Any:
    """`after`, if it has the structure, shapes and dtypes of `before`."""
    types = [jax.tree.map(lambda v: (v.shape, v.dtype), a) for a in (before, after)]
    if types[0] != types[1]:
        raise ValueError(
            f"repeat({rule.name}): y must have the shape and dtype of x {types[0]}, "
            f"got {types[1]}"
        )
    return after
