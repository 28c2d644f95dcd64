"""Which rows make which minibatch, decided on the device."""

import jax
from jaxtyping import Array, Int, Key


def minibatches(
    key: Key[Array, ""], rows: int, batch_size: int
) -> Int[Array, "steps batch"]:
    """One epoch's row numbers in random order, a minibatch a line.

    Where `batch_size` does not divide `rows`, the rest sits this epoch out: every step
    then has one shape and the epoch is one scan. Which rows rest is random too.

    Args:
        key: Decides the order.
        rows: How many there are.
        batch_size: Rows a step, from 1 to `rows`.

    Returns:
        rows // batch_size lines, no row number twice.

    Raises:
        ValueError: `batch_size` is not in [1, rows].

    Example:
        >>> minibatches(jax.random.key(0), 7, 3).shape
        (2, 3)
    """
    if not 1 <= batch_size <= rows:
        raise ValueError(
            f"minibatches: batch_size must be in [1, {rows}], the number of rows, "
            f"got {batch_size}"
        )
    steps = rows // batch_size
    order = jax.random.permutation(key, rows)
    return order[: steps * batch_size].reshape(steps, batch_size)
