"""Where a training runs: on one device, or on the many of a mesh.

Both take the same steps on the same rows in the same order. On a mesh each device has
its share of every minibatch, and each process reads the rows of its own devices alone;
purefw.mesh says what moves between them.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Int, Key, Shaped

from purefw.data import Dataset, Split
from purefw.evaluation import ROWS, evaluate, judged, predict_parts
from purefw.mesh import (
    batches,
    check_batch_size,
    optimiser_specs,
    parameter_specs,
    place,
    row_parts,
    shardings,
)
from purefw.rule import Loss, Rule
from purefw.train.step import State, plan, take_steps, train_epoch


class Task(NamedTuple):
    """What is trained, and how a step is taken."""

    network: Rule
    loss: Loss
    data: Dataset
    optimiser: optax.GradientTransformation
    step: Callable[..., tuple[State, Array]]
    batch_size: int

    def initial(self, key: Key[Array, ""]) -> State:
        """Initial parameters and the optimiser's state for them."""
        params = self.network.init(key)
        return State(params, self.optimiser.init(params))


class Devices(NamedTuple):
    """What a training asks of the devices that it runs on.

    Attributes:
        initial: `initial(key) -> state`.
        placed: `placed(state) -> state`: a copy, on these devices.
        run: `run(state, key, start, stop) -> (state, losses)`: the steps of the epoch
            of that key from `start` to `stop`. It works in the state's memory. The
            losses are those of the whole epoch, 0 where no step was taken.
        judge: `judge(params)` gives loss and accuracy of both splits.
    """

    initial: Callable[[Key[Array, ""]], State]
    placed: Callable[[State], State]
    run: Callable[..., tuple[State, Array]]
    judge: Callable[[Any], list[tuple[Array, Array | None]]]


def one_device(task: Task) -> Devices:
    """All on JAX's default device."""
    epoch = jax.jit(
        partial(train_epoch, step=task.step, batch_size=task.batch_size),
        donate_argnums=0,
    )
    judge = jax.jit(partial(evaluate, network=task.network, loss=task.loss))
    data = task.data

    def run(state: State, key: Key[Array, ""], start: int, stop: int) -> tuple:
        return epoch(state, data.train, key, start=start, stop=stop)

    def judge_both(params: Any) -> list:
        return [judge(params, split) for split in (data.train, data.validation)]

    return Devices(task.initial, copied, run, judge_both)


def many_devices(task: Task, mesh: Mesh) -> Devices:
    """Rows, parameters and moments as purefw.mesh splits them.

    Memory: a device holds its share of the rows to learn from twice, in the epoch's
    order and, to judge by, in their own, and its share of the rows held out.

    Raises:
        ValueError: the devices' shares of a minibatch would not be equal.
    """
    check_batch_size(task.batch_size, mesh)
    specs = state_specs(task, mesh)
    split = shardings(specs, mesh)
    everywhere = NamedSharding(mesh, PartitionSpec())
    advance = jax.jit(
        partial(_advance, step=task.step),
        donate_argnums=0,
        out_shardings=(split, everywhere),
    )
    judge = jax.jit(partial(_judge, task=task), out_shardings=everywhere)
    epoch = EpochRows(task.data.train, task.batch_size, mesh)
    held = [SplitRows.of(s, mesh) for s in (task.data.train, task.data.validation)]
    return Devices(
        jax.jit(task.initial, out_shardings=split),
        lambda state: place(state, specs, mesh),
        lambda state, key, start, stop: advance(state, *epoch(key), start, stop),
        lambda params: [judge(params, rows) for rows in held],
    )


def state_specs(task: Task, mesh: Mesh) -> State:
    """How parameters and the optimiser's state are split; nothing is computed."""
    state = jax.eval_shape(lambda: task.initial(jax.random.key(0)))
    params = parameter_specs(state.params, mesh)
    moments = optimiser_specs(task.optimiser, state.optimiser, params)
    return State(params, moments)


class EpochRows:
    """The minibatches of one epoch at a time, on the devices of a mesh."""

    def __init__(self, split: Split, batch_size: int, mesh: Mesh) -> None:
        """Take the rows to the host, which gives each device its share."""
        self._rows = [np.asarray(v) for v in split]
        self._batch_size, self._mesh = batch_size, mesh
        self._epoch, self._kept = None, ()

    def __call__(self, key: Key[Array, ""]) -> tuple:
        """Rows and labels, a minibatch a line, and the key that the steps' come of."""
        epoch = jax.random.key_data(key).tolist()
        if epoch != self._epoch:
            self._kept = ()  # The devices may not have the room for two.
            order, network_key = plan(key, len(self._rows[0]), self._batch_size)
            shares = (
                batches(rows, np.asarray(order), self._mesh) for rows in self._rows
            )
            self._kept = *shares, place(network_key, PartitionSpec(), self._mesh)
            self._epoch = epoch
        return self._kept


class SplitRows(NamedTuple):
    """A split to judge by: parts that all devices share, and what remains."""

    full: Shaped[Array, "parts b *features"]
    rest: Shaped[Array, "r *features"]
    labels: Shaped[Array, "n *steps"]

    @classmethod
    def of(cls, split: Split, mesh: Mesh) -> "SplitRows":
        """The rows of a split in their order; each part has about ROWS."""
        x, labels = (np.asarray(v) for v in split)
        size = row_parts(mesh) * -(-ROWS // row_parts(mesh))
        n = len(x) // size * size
        full = batches(x, np.arange(n).reshape(-1, size), mesh)
        rest, labels = place((x[n:], labels), PartitionSpec(), mesh)
        return cls(full, rest, labels)


def _advance(
    state: State,
    x: Shaped[Array, "steps b *features"],
    labels: Shaped[Array, "steps b *steps_"],
    key: Key[Array, ""],
    start: int | Int[Array, ""],
    stop: int | Int[Array, ""],
    *,
    step: Callable[..., tuple[State, Array]],
) -> tuple[State, Array]:
    """`train_epoch` on rows that lie in their order."""

    def batch(i: Any) -> tuple:
        return x[i], labels[i], jax.random.fold_in(key, i)

    return take_steps(state, batch, len(x), start, stop, step=step)


def _judge(params: Any, rows: SplitRows, *, task: Task) -> tuple:
    """Loss and accuracy of a split."""
    scores = predict_parts(params, rows.full, rows.rest, network=task.network)
    return judged(scores, rows.labels, task.loss)


def copied(tree: Any) -> Any:
    """The arrays of a tree in memory of their own, which no donation takes."""
    return jax.tree.map(jnp.copy, tree)
