"""A rule computed in a narrower dtype than its parameters are kept in.

    (1)  params' = round(params),  x' = round(x)       to the narrow dtype
    (2)  (y', residuals) = f(params', x'[, key])       y = wide(y')
    (3)  dy' = round(dy)
    (4)  (dparams', dx') = backward of f at residuals, dy'
    (5)  dparams = wide(dparams'),  dx = wide(dx')     to the dtypes of params and x

(3), (5): rounding is taken for the identity, whose derivative is 1: that of the step
function that it is would be 0 everywhere. So a cast in the forward is the cast back in
the backward. Integers stay as they are.
Small updates are not lost: what a step adds to a weight, often below the narrow dtype's
spacing at that weight, is added in the wide dtype. Running statistics, which a batch
norm's training forward only hands on, stay wide for the same reason.
Memory: residuals take half of what they do in float32; params' are a copy in 16 bits.

Reference: Micikevicius et al., "Mixed Precision Training", 2018, arXiv:1710.03740;
bfloat16 has float32's exponents and needs no scaling of the loss.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from purefw.compose.keys import forward_with
from purefw.leaves import last_name
from purefw.rule import Rule
from purefw.shared.structure import Static


class ComputedInResiduals(NamedTuple):
    """The rule's own residuals in the narrow dtype, and the dtypes to go back to."""

    residuals: Any
    params_dtypes: Static
    x_dtypes: Static


def computed_in(rule: Rule, dtype: Any) -> Rule:
    """The same rule, computed in `dtype` while parameters, x and y keep their own.

    Args:
        rule: Any rule.
        dtype: A float dtype, such as "bfloat16".

    Returns:
        A rule with the parameters of `rule`; y has the dtype of the first float leaf of
        params, of x where there is none.

    Raises:
        ValueError: `dtype` is not a float dtype.

    Example:
        >>> from purefw.layers.linear import linear
        >>> rule = computed_in(linear(2, 3), "bfloat16")
        >>> y, residuals = rule.forward(rule.init(jax.random.key(0)), jnp.ones((1, 2)))
        >>> y.dtype, residuals.residuals.x.dtype
        (dtype('float32'), dtype(bfloat16))
    """
    if not jnp.issubdtype(jnp.dtype(dtype), jnp.floating):
        raise ValueError(f"computed_in: dtype must be a float dtype, got {dtype}")
    return Rule(
        name=f"computed_in({rule.name})",
        init=rule.init,
        forward=partial(forward, rule=rule, dtype=dtype),
        backward=partial(backward, rule=rule, dtype=dtype),
        random=rule.random,
        inference=partial(infer, rule=rule, dtype=dtype),
    )


def forward(
    params: Any, x: Any, key: Key[Array, ""] | None = None, *, rule: Rule, dtype: Any
) -> tuple[Any, ComputedInResiduals]:
    """Equations (1) and (2)."""
    narrow_params = _narrow(params, dtype)  # (1)
    y, residuals = forward_with(rule, narrow_params, cast(x, dtype), key)  # (1) (2)
    dtypes = _dtypes(params), _dtypes(x)
    return cast(y, _wide(params, x)), ComputedInResiduals(residuals, *dtypes)  # (2)


def backward(
    residuals: ComputedInResiduals, dy: Any, *, rule: Rule, dtype: Any
) -> tuple[Any, Any]:
    """Equations (3) to (5)."""
    dparams, dx = rule.backward(residuals.residuals, cast(dy, dtype))  # (3) (4)
    return (
        _back(dparams, residuals.params_dtypes),  # (5)
        _back(dx, residuals.x_dtypes),  # (5)
    )


def infer(params: Any, x: Any, *, rule: Rule, dtype: Any) -> Any:
    """Equations (1) and (2) with the rule's inference form."""
    y = rule.apply(_narrow(params, dtype), cast(x, dtype))
    return cast(y, _wide(params, x))


def cast(tree: Any, dtype: Any) -> Any:
    """The float leaves of a tree in a dtype, all others as they are.

    Example:
        >>> cast((jnp.ones(1), jnp.array([3])), "bfloat16")
        (Array([1], dtype=bfloat16), Array([3], dtype=int32))
    """
    return jax.tree.map(lambda v: v.astype(dtype) if _is_float(v) else v, tree)


def _narrow(params: Any, dtype: Any) -> Any:
    """Equation (1) for params, whose running statistics stay."""
    return jax.tree_util.tree_map_with_path(
        lambda path, v: v if last_name(path).startswith("running") else cast(v, dtype),
        params,
    )


def _is_float(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jnp.floating)


def _wide(*trees: Any) -> Any:
    return next(v.dtype for v in jax.tree.leaves(trees) if _is_float(v))


def _dtypes(tree: Any) -> Static:
    return Static(tuple(v.dtype for v in jax.tree.leaves(tree)))


def _back(tree: Any, dtypes: Static) -> Any:
    leaves, structure = jax.tree.flatten(tree)
    pairs = zip(leaves, dtypes.value, strict=True)
    return structure.unflatten([v.astype(d) if _is_float(v) else v for v, d in pairs])
