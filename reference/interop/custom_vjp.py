"""A rule as a jax.custom_vjp function, and the other way round."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from purefw.rule import Rule
from purefw.shared.structure import Static
from reference.interop.arguments import Init, arguments, cotangents, init_or_nothing


class CustomResiduals(NamedTuple):
    """What the function's own forward keeps, and the shapes of its arguments."""

    own: Any
    types: Static
    x_is_tuple: Static


def to_custom_vjp(rule: Rule) -> jax.custom_vjp:
    """The rule as a function that every JAX library can differentiate, by hand.

    Args:
        rule: Any rule.

    Returns:
        `f(params, x)`, or `f(params, x, key)` of a random rule: y, with `rule.backward`
        as its derivative under jax.grad and jax.vjp. It has no forward mode.

    Example:
        >>> from purefw.layers.tanh import tanh
        >>> f = to_custom_vjp(tanh())
        >>> jax.grad(lambda x: f((), x).sum())(jnp.array([0.0, 0.5])).round(3)
        Array([1.   , 0.786], dtype=float32)
    """

    def primal(*args: Any) -> Any:
        return rule.forward(*args)[0]

    def backward(residuals: Any, dy: Any) -> tuple:
        return (*rule.backward(residuals, dy), *[None] * rule.random)

    primal.__name__ = rule.name
    f = jax.custom_vjp(primal)
    f.defvjp(rule.forward, backward)
    return f


def from_custom_vjp(f: Callable, *, init: Init | None = None) -> Rule:
    """The two halves of a jax.custom_vjp function as a rule.

    Args:
        f: Without nondiff_argnums (bind those first) and without symbolic zeros.
        init: `init(key) -> params`. Where given, f's first argument is params.

    Returns:
        A rule whose x is f's other argument, or a tuple of them. A cotangent that f
        gives as None comes out as zeros.

    Raises:
        ValueError: f is no jax.custom_vjp function with both halves, has
            nondiff_argnums or wants symbolic zeros.

    Example:
        >>> from reference import check_rule
        >>> @jax.custom_vjp
        ... def product(x, y):
        ...     return x * y
        >>> product.defvjp(lambda x, y: (x * y, (x, y)),
        ...                lambda r, dz: (r[1] * dz, r[1] * dz))  # The second is wrong.
        >>> report = check_rule(from_custom_vjp(product),
        ...                     (jnp.array([0.3, -1.2]), jnp.array([0.5, 2.0])))
        >>> {name: str(leaf.verdict) for name, leaf in report.leaves.items()}
        {'dx[0]': 'RIGHT', 'dx[1]': 'WRONG'}
    """
    if not isinstance(f, jax.custom_vjp) or f.fwd is None or f.bwd is None:
        raise ValueError(
            f"from_custom_vjp: f must be a jax.custom_vjp function after defvjp, "
            f"got {f!r}"
        )
    if f.nondiff_argnums or f.symbolic_zeros:
        raise ValueError(
            f"from_custom_vjp: f must have no nondiff_argnums and no symbolic_zeros, "
            f"got {f.nondiff_argnums} and {f.symbolic_zeros}"
        )
    has_params = init is not None
    return Rule(
        name=getattr(f, "__name__", "custom_vjp"),
        init=init_or_nothing(init),
        forward=partial(forward, f=f, has_params=has_params),
        backward=partial(backward, f=f, has_params=has_params),
    )


def forward(
    params: Any, x: Any, *, f: jax.custom_vjp, has_params: bool
) -> tuple[Any, CustomResiduals]:
    """The function's own forward."""
    args = arguments(params, x, has_params=has_params)
    y, own = f.fwd(*args)
    types = tuple(Static(_types(arg)) for arg in args)
    return y, CustomResiduals(own, Static(types), Static(isinstance(x, tuple)))


def backward(
    residuals: CustomResiduals, dy: Any, *, f: jax.custom_vjp, has_params: bool
) -> tuple[Any, Any]:
    """The function's own backward."""
    own, types, x_is_tuple = residuals
    found = f.bwd(own, dy)
    filled = tuple(
        _zeros(*t.value) if d is None else d for d, t in zip(found, types.value)
    )
    return cotangents(filled, x_is_tuple.value, has_params=has_params)


def _types(tree: Any) -> tuple:
    leaves, treedef = jax.tree.flatten(tree)
    leaves = [jnp.asarray(v) if isinstance(v, (int, float)) else v for v in leaves]
    return treedef, tuple((v.shape, v.dtype) for v in leaves)


def _zeros(treedef: Any, types: tuple) -> Any:
    return jax.tree.unflatten(treedef, [np.zeros(s, _tangent(d)) for s, d in types])


def _tangent(dtype: Any) -> Any:
    return dtype if jnp.issubdtype(dtype, jnp.inexact) else jax.dtypes.float0
