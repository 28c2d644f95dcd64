"""A step downhill, and an epoch of them: pure functions, to be jitted or vmapped.

Where the gradient comes from is an argument: `purefw.loss_and_grad`, by hand, or a
function of the same signature made by autodiff. The optimisers are Optax's.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jaxtyping import Array, Float, Int, Key, Shaped

from purefw.data import Split, minibatches
from purefw.rule import Loss, Rule
from purefw.running import has_running, move_running

MOMENTUM = 0.9  # Of running statistics: the share of the old value.

ValueAndDparams = Callable[..., tuple[Float[Array, ""], Any]]
Gradient = Callable[[Rule, Loss], ValueAndDparams]


class State(NamedTuple):
    """What a step changes."""

    params: Any
    optimiser: optax.OptState


def train_step(
    state: State,
    x: Shaped[Array, "b *features"],
    target: Shaped[Array, "b *steps"],
    key: Key[Array, ""],
    *,
    network: Rule,
    gradient: ValueAndDparams,
    optimiser: optax.GradientTransformation,
    skip: bool = False,
) -> tuple[State, Float[Array, ""]]:
    """One step downhill on one minibatch.

    Args:
        state: Parameters and the optimiser's state.
        x: The rows of the minibatch.
        target: Their labels.
        key: For a random network; others do not look at it.
        network: What is trained. Where it has a batch norm, its residuals move the
            running statistics; XLA merges that forward with loss_and_grad's own.
        gradient: What `loss_and_grad(network, loss)` returns.
        optimiser: Any of Optax's.
        skip: Whether a minibatch with a loss or a gradient that is not finite changes
            nothing, neither parameters nor the optimiser nor running statistics.

    Returns:
        The next state, and the loss before the step; NaN for a step that was skipped.
    """
    loss, dparams = gradient(state.params, x, target, key)
    with jax.numpy_dtype_promotion("standard"):  # Optax adds integers to floats.
        updates, optimiser_state = optimiser.update(
            dparams, state.optimiser, state.params
        )
    params = optax.apply_updates(state.params, updates)
    if has_running(params):
        args = (x, jax.random.clone(key)) if network.random else (x,)
        _, residuals = network.forward(state.params, *args)
        params = move_running(params, residuals, MOMENTUM)
    moved = State(params, optimiser_state)
    if not skip:
        return moved, loss
    sound = all_finite((loss, dparams))
    kept = jax.tree.map(lambda new, old: jnp.where(sound, new, old), moved, state)
    return kept, jnp.where(sound, loss, jnp.nan)


def all_finite(tree: Any) -> Array:
    """Whether every entry of every leaf is finite."""
    return jnp.stack([jnp.isfinite(v).all() for v in jax.tree.leaves(tree)]).all()


def plan(
    key: Key[Array, ""], rows: int, batch_size: int
) -> tuple[Int[Array, "steps batch"], Key[Array, ""]]:
    """The row numbers of each minibatch of an epoch, and the key that theirs come of.

    Args:
        key: Of the epoch; it decides both.
        rows: How many there are.
        batch_size: Rows a step; see `minibatches` for a remainder.
    """
    order_key, network_key = jax.random.split(key)
    return minibatches(order_key, rows, batch_size), network_key


def batch_of(
    split: Split,
    order: Int[Array, "steps batch"],
    key: Key[Array, ""],
    i: int | Int[Array, ""],
) -> tuple[Shaped[Array, "..."], Shaped[Array, "..."], Key[Array, ""]]:
    """What step i of an epoch sees: rows, labels and a key of its own."""
    rows = order[i]
    return split.x[rows], split.labels[rows], jax.random.fold_in(key, i)


def train_epoch(
    state: State,
    split: Split,
    key: Key[Array, ""],
    *,
    step: Callable[..., tuple[State, Float[Array, ""]]],
    batch_size: int,
    start: int | Int[Array, ""] = 0,
    stop: int | Int[Array, ""] | None = None,
) -> tuple[State, Float[Array, " steps"]]:
    """Every minibatch of a newly shuffled split once, or some of them, as one loop.

    Traced `start` and `stop` make one program for every part of an epoch, so that an
    epoch in parts is the whole one to the bit.

    Args:
        state: Parameters and the optimiser's state. Donate it where it is not used
            again: the loop then works in its memory.
        split: What to learn from.
        key: Of the order and, one key a step, of a random network.
        step: `train_step` with its gradient and optimiser bound.
        batch_size: Rows a step; see `minibatches` for a remainder.
        start: The first step, from 0.
        stop: The step after the last; None for the end of the epoch.

    Returns:
        The next state, and the loss before each step, 0 where it was not taken.
    """
    order, network_key = plan(key, len(split.x), batch_size)
    batch = partial(batch_of, split, order, network_key)
    stop = len(order) if stop is None else stop
    return take_steps(state, batch, len(order), start, stop, step=step)


def take_steps(
    state: State,
    batch: Callable[[Any], tuple],
    steps: int,
    start: int | Int[Array, ""],
    stop: int | Int[Array, ""],
    *,
    step: Callable[..., tuple[State, Float[Array, ""]]],
) -> tuple[State, Float[Array, " steps"]]:
    """The steps of an epoch from `start` to `stop`, which `batch` says what they see.

    Returns:
        The next state, and the loss before each of all `steps`, 0 where not taken.
    """

    def body(i: Array, carry: tuple) -> tuple:
        state, losses = carry
        state, loss = step(state, *batch(i))
        return state, losses.at[i].set(loss)

    loss = jax.eval_shape(lambda state: step(state, *batch(0))[1], state)
    losses = jnp.zeros(steps, loss.dtype)
    return lax.fori_loop(start, stop, body, (state, losses))
