"""The running statistics of every batch norm in a network, moved after a step.

Batch norms are found in the trees of params and residuals by their types. Every
combinator lays out both in the order of its parts, so that the first batch norm in the
one is the first in the other.
"""

from typing import Any

import jax

from purefw.layers.batch_norm import (
    BatchNormParams,
    BatchNormResiduals,
    update_running,
)


def has_running(params: Any) -> bool:
    """Whether there is a batch norm in a network with these params.

    Example:
        >>> from purefw.layers.batch_norm import batch_norm
        >>> has_running(((), batch_norm(3).init(jax.random.key(0))))
        True
    """
    return bool(_nodes(params, BatchNormParams))


def move_running(params: Any, residuals: Any, momentum: float) -> Any:
    """The params of a network with all running statistics moved towards the batch's.

    Args:
        params: Those to update, after the optimiser has moved what is learned.
        residuals: What the network's `forward` returned for the batch.
        momentum: Share of the old value, in [0, 1].

    Returns:
        New params; all but the running statistics are those given.

    Raises:
        ValueError: the residuals of a batch norm are not kept, as under recompute, or
            `momentum` is outside [0, 1].

    Example:
        >>> import jax.numpy as jnp
        >>> from purefw.compose import chain
        >>> from purefw.layers.batch_norm import batch_norm
        >>> from purefw.layers.relu import relu
        >>> rule = chain(relu(), batch_norm(1))
        >>> params = rule.init(jax.random.key(0))
        >>> _, residuals = rule.forward(params, jnp.array([[2.0], [4.0]]))
        >>> move_running(params, residuals, 0.5)[1].running_mean
        Array([1.5], dtype=float32)
    """
    norms, kept = _nodes(params, BatchNormParams), _nodes(residuals, BatchNormResiduals)
    if len(norms) != len(kept):
        raise ValueError(
            "batch_norm: residuals must hold the statistics of every batch norm (those "
            f"in recompute do not), got {len(kept)} of {len(norms)}"
        )
    moved = iter([update_running(p, r, momentum) for p, r in zip(norms, kept)])
    return jax.tree.map(
        lambda v: next(moved) if isinstance(v, BatchNormParams) else v,
        params,
        is_leaf=lambda v: isinstance(v, BatchNormParams),
    )


def _nodes(tree: Any, kind: type) -> list:
    """The nodes of a type in a tree, in its order."""
    nodes = jax.tree.leaves(tree, is_leaf=lambda v: isinstance(v, kind))
    return [v for v in nodes if isinstance(v, kind)]
