"""The gradient of a minibatch that goes through the network in parts.

m counts the k parts of equal size, b the rows of the whole, b in m those of a part; v_b
is what row b adds to the loss and n(·) what the loss divides by, `Loss.divisor`: the
rows or entries that count, weighted; 1 for a sum.

    (1)  loss    = 1/n Σ_b v_b                         n = n(whole)
    (2)  loss_m  = 1/n_m Σ_{b in m} v_b                n_m = n(part m)
    (3)  loss    = Σ_m n_m/n loss_m
    (4)  dparams = Σ_m n_m/n dparams_m                 dparams_m of loss_m

(3): n_m loss_m is the sum over part m, and every row is in one part. (4): n and n_m are
numbers of the targets, in which no parameter stands, so that the sum is differentiated
summand by summand. The mean over the parts, which is usual, has 1/k in place of n_m/n
and is another gradient wherever parts differ in the rows that they ignore.
Limits: a part in which nothing counts has loss_m = 0 and dparams_m = 0, whatever n_m.
Memory: the residuals of one part, and dparams twice.
Where rows of a batch meet in the network, as in a batch norm, each row meets those of
its part alone: then (1) itself is another function.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Key

from purefw.rule import Loss
from purefw.train.step import ValueAndDparams


def accumulated(value_and_dparams: ValueAndDparams, loss: Loss, parts: int):
    """The same loss and gradient, a part of the rows at a time.

    Args:
        value_and_dparams: What `loss_and_grad(network, loss)` returns.
        loss: The loss in it; it says by `divisor` what it divides by.
        parts: How many. At least 1.

    Returns:
        A function `(params, x, target, key) -> (loss, dparams)` of a batch whose number
        of rows is a multiple of `parts`. For 1 it is the one given.

    Raises:
        ValueError: the loss has no divisor, so that it is not known to be a sum over
            rows; in the function, a number of rows that `parts` does not divide.

    Example:
        >>> from purefw import loss_and_grad
        >>> from purefw.layers.linear import linear
        >>> from purefw.losses.softmax_cross_entropy import softmax_cross_entropy
        >>> network, loss = linear(2, 3), softmax_cross_entropy(ignore_index=-1)
        >>> whole = loss_and_grad(network, loss)
        >>> in_parts = accumulated(whole, loss, 2)
        >>> params = network.init(jax.random.key(0))
        >>> x, labels = jnp.eye(4, 2), jnp.array([0, -1, 2, 1])
        >>> bool(jnp.allclose(whole(params, x, labels)[0],
        ...                   in_parts(params, x, labels)[0]))
        True
    """
    if parts == 1:
        return value_and_dparams
    if loss.divisor is None:
        raise ValueError(
            f"accumulate: loss must be a sum over rows and say by `divisor` what it "
            f"divides by, got {loss.name}"
        )
    return partial(_sum, value_and_dparams=value_and_dparams, loss=loss, parts=parts)


def _sum(
    params: Any,
    x: Any,
    target: Any,
    key: Key[Array, ""] | None = None,
    *,
    value_and_dparams: ValueAndDparams,
    loss: Loss,
    parts: int,
) -> tuple[Float[Array, ""], Any]:
    """Equations (3) and (4)."""
    n = loss.divisor(target)
    keys = None if key is None else jax.random.split(key, parts)

    def weighted(part: tuple) -> tuple:
        x, target, key = part
        value, dparams = value_and_dparams(params, x, target, key)  # (2)
        share = loss.divisor(target) / n
        return jax.tree.map(lambda v: share.astype(v.dtype) * v, (value, dparams))

    def add(total: tuple, part: tuple) -> tuple[tuple, None]:
        return jax.tree.map(jnp.add, total, weighted(part)), None  # (3) (4)

    split = jax.tree.map(lambda v: _parts(v, parts), (x, target))
    first = jax.tree.map(lambda v: v[0], (*split, keys))
    rest = jax.tree.map(lambda v: v[1:], (*split, keys))
    return lax.scan(add, weighted(first), rest)[0]


def _parts(v: Array, parts: int) -> Array:
    """The rows in parts of equal size."""
    if len(v) % parts:
        raise ValueError(
            f"accumulate: rows must be a multiple of {parts}, got {len(v)}"
        )
    return v.reshape(parts, len(v) // parts, *v.shape[1:])
