"""Several rules on one input, their outputs summed or put side by side.

l counts the L rules.

    (1)  y   = Σ_l f_l(params_l, x)        or the outputs one after the other on the
               last axis
    (2)  dy_l = dy                         or the part of dy that f_l made
    (3)  (dparams_l, dx_l) = backward of f_l applied to dy_l
    (4)  dx  = Σ_l dx_l

(2): a sum hands its cotangent to every summand; putting side by side is undone by
cutting. (4): every rule reads the same x, and cotangents of a shared value add.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from purefw.compose.keys import forward_with, split_keys
from purefw.rule import Rule
from purefw.shared.structure import Static


class ParallelResiduals(NamedTuple):
    """The residuals of each rule, and the widths of the outputs."""

    parts: tuple
    widths: Static


def parallel(*rules: Rule, combine: str = "sum") -> Rule:
    """Every rule on the same x; params is a tuple, one item a rule.

    Args:
        rules: At least one. Where one of them is random, so is the whole.
        combine: "sum", for outputs of one shape, or "concatenate" along the last axis.

    Returns:
        A rule whose residuals cost the sum of its parts'.

    Raises:
        ValueError: there is no rule, another `combine`, outputs whose shapes do not
            fit, or `forward` of a random rule gets no key.

    Example:
        >>> from purefw.layers.relu import relu
        >>> rule = parallel(relu(), relu(), combine="concatenate")
        >>> rule.apply(((), ()), jnp.array([-1.0, 2.0]))
        Array([0., 2., 0., 2.], dtype=float32)
    """
    if not rules:
        raise ValueError("parallel: rules must be at least one, got none")
    if combine not in ("sum", "concatenate"):
        raise ValueError(
            f"parallel: combine must be 'sum' or 'concatenate', got {combine!r}"
        )
    return Rule(
        name="parallel(" + ", ".join(rule.name for rule in rules) + ")",
        init=partial(init, rules=rules),
        forward=partial(forward, rules=rules, combine=combine),
        backward=partial(backward, rules=rules, combine=combine),
        random=any(rule.random for rule in rules),
        inference=partial(infer, rules=rules, combine=combine),
    )


def init(key: Key[Array, ""], *, rules: tuple[Rule, ...]) -> tuple:
    """Parameters of each rule from a key of its own."""
    keys = jax.random.split(key, len(rules))
    return tuple(rule.init(k) for rule, k in zip(rules, keys))


def forward(
    params: tuple,
    x: Any,
    key: Key[Array, ""] | None = None,
    *,
    rules: tuple[Rule, ...],
    combine: str,
) -> tuple[Float[Array, "*s"], ParallelResiduals]:
    """Equation (1)."""
    keys = split_keys(key, rules)
    both = [forward_with(r, p, x, k) for r, p, k in zip(rules, params, keys)]
    outputs, residuals = zip(*both)
    widths = Static(tuple(v.shape[-1] for v in outputs))
    return _combined(outputs, combine), ParallelResiduals(residuals, widths)


def backward(
    residuals: ParallelResiduals,
    dy: Float[Array, "*s"],
    *,
    rules: tuple[Rule, ...],
    combine: str,
) -> tuple[tuple, Any]:
    """Equations (2) to (4)."""
    parts = [dy] * len(rules)  # (2)
    if combine == "concatenate":
        ends = [sum(residuals.widths.value[: i + 1]) for i in range(len(rules) - 1)]
        parts = jnp.split(dy, ends, axis=-1)  # (2)
    both = [
        rule.backward(r, d) for rule, r, d in zip(rules, residuals.parts, parts)
    ]  # (3)
    dparams, dxs = zip(*both)
    return dparams, jax.tree.map(lambda *d: sum(d[1:], d[0]), *dxs)  # (4)


def infer(
    params: tuple, x: Any, *, rules: tuple[Rule, ...], combine: str
) -> Float[Array, "*s"]:
    """Equation (1) with each rule's inference form."""
    return _combined([r.apply(p, x) for r, p in zip(rules, params)], combine)


def _combined(outputs: Any, combine: str) -> Float[Array, "*s"]:
    shapes = [v.shape for v in outputs]
    kept = len(shapes[0]) - (combine == "concatenate")
    if any(len(s) != len(shapes[0]) or s[:kept] != shapes[0][:kept] for s in shapes):
        raise ValueError(
            f"parallel: outputs must have shapes that fit to {combine}, got {shapes}"
        )
    if combine == "concatenate":
        return jnp.concatenate(outputs, axis=-1)  # (1)
    return sum(outputs[1:], outputs[0])  # (1)
