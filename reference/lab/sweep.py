"""The lab's networks: 1, 2 and 3 layers, three activations, all seeds in one program.

The seeds of a network are one more axis of its parameters: vmap makes one training of
all of them, each with its own initial parameters and order of rows.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

import purefw
from purefw.data import Dataset
from purefw.evaluation import evaluate
from purefw.layers.linear import LinearParams
from purefw.layers.relu import relu
from purefw.layers.sigmoid import sigmoid
from purefw.layers.tanh import tanh
from purefw.losses.softmax_cross_entropy import softmax_cross_entropy
from purefw.models import perceptron
from purefw.rule import Rule
from purefw.train import State, train_epoch, train_step

ACTIVATIONS = {"tanh": tanh, "sigmoid": sigmoid, "relu": relu}
PROBED = 500  # Training rows at which gradients and units are looked at.
FLAT = 0.01  # Share of the activation's steepest slope below which a unit is flat.
POINTS = 10  # How often a training is looked at, at least.


class Look(NamedTuple):
    """What is seen of a training at one moment, for each seed.

    Attributes:
        epoch: How many epochs are done, in parts of one.
        accuracy: On the rows held out.
        loss: Likewise.
        gradient: Norm of dweight of each layer, at the same rows each time.
        flat: Share of (row, unit) pairs of each hidden layer whose slope is below FLAT
            of the steepest.
        dead: Share of the units of each hidden layer that are flat at every row.
        largest: max |weight| of each layer.
    """

    epoch: float
    accuracy: Float[Array, " seeds"]
    loss: Float[Array, " seeds"]
    gradient: Float[Array, "seeds layers"]
    flat: Float[Array, "seeds hidden"]
    dead: Float[Array, "seeds hidden"]
    largest: Float[Array, "seeds layers"]


class Run(NamedTuple):
    """One network and what was seen of it.

    Attributes:
        sizes: Widths, input to classes.
        activation: Its name; "none" where there is a single layer.
        looks: From epoch 0 to the end.
    """

    sizes: tuple[int, ...]
    activation: str
    looks: list[Look]

    @property
    def name(self) -> str:
        """ "784-128-10 relu"."""
        return f"{'-'.join(map(str, self.sizes))} {self.activation}"

    @property
    def accuracy(self) -> np.ndarray:
        """At the end, for each seed."""
        return np.asarray(self.looks[-1].accuracy)


class Plan(NamedTuple):
    """How all networks of a lab are trained.

    Attributes:
        data: What is learnt.
        epochs: How often.
        batch_size: Rows a step.
        rate: Of plain SGD.
        seeds: One training each.
    """

    data: Dataset
    epochs: int
    batch_size: int
    rate: float
    seeds: tuple[int, ...]


def shapes(data: Dataset, hidden: int) -> list[tuple[tuple[int, ...], str]]:
    """Sizes and activation of each of the lab's networks."""
    n_in, n_out = data.train.x.shape[1], data.classes
    found: list[tuple[tuple[int, ...], str]] = [((n_in, n_out), "none")]
    for depth in (1, 2):
        sizes = (n_in, *[hidden] * depth, n_out)
        found += [(sizes, name) for name in ACTIVATIONS]
    return found


def build(sizes: Sequence[int], activation: str) -> Rule:
    """The network; a single layer has no activation."""
    return perceptron(sizes, ACTIVATIONS.get(activation, tanh)())


def sweep(plan: Plan, hidden: int) -> Iterator[Run]:
    """Train every network of the lab.

    Args:
        plan: How.
        hidden: Width of every hidden layer.

    Returns:
        An iterator of Runs, the single layer first.

    Raises:
        ValueError: a number of the plan is out of its range.
    """
    for name, n in (("epochs", plan.epochs), ("seeds", len(plan.seeds))):
        if n < 1:
            raise ValueError(f"lab: {name} must be at least 1, got {n}")
    rows = len(plan.data.train.x)
    if not 1 <= plan.batch_size <= rows:
        raise ValueError(
            f"lab: batch_size must be in [1, {rows}], got {plan.batch_size}"
        )
    for sizes, activation in shapes(plan.data, hidden):
        yield Run(sizes, activation, list(looks(plan, sizes, activation)))


def keys_of(plan: Plan) -> tuple[Array, Array]:
    """Of each seed's initial parameters, and of its rows."""
    seeds = jnp.array(plan.seeds)

    def keys(of: int) -> Array:
        return jax.vmap(lambda seed: jax.random.fold_in(jax.random.key(seed), of))(
            seeds
        )

    return keys(0), keys(1)


def looks(plan: Plan, sizes: Sequence[int], activation: str) -> Iterator[Look]:
    """Train one network on all seeds, and look at it from time to time."""
    network, loss = build(sizes, activation), softmax_cross_entropy()
    optimiser = optax.sgd(plan.rate)
    step = partial(
        train_step,
        network=network,
        gradient=purefw.loss_and_grad(network, loss),
        optimiser=optimiser,
    )
    part = partial(train_epoch, step=step, batch_size=plan.batch_size)

    def run(state, keys, start, stop):
        def one(state, key):
            return part(state, plan.data.train, key, start=start, stop=stop)[0]

        return jax.vmap(one)(state, keys)

    advance = jax.jit(run, donate_argnums=0)
    look = jax.jit(jax.vmap(partial(_look, network=network, data=plan.data)))
    init_keys, order_keys = keys_of(plan)
    params = jax.vmap(network.init)(init_keys)
    state = State(params, jax.vmap(optimiser.init)(params))
    steps = len(plan.data.train.x) // plan.batch_size
    yield Look(0.0, *look(state.params))
    for epoch in range(plan.epochs):
        of_epoch = jax.vmap(partial(jax.random.fold_in, data=epoch))
        for start, stop in parts(steps, plan.epochs):
            state = advance(state, of_epoch(order_keys), start, stop)
            yield Look(epoch + stop / steps, *look(state.params))


def parts(steps: int, epochs: int) -> list[tuple[int, int]]:
    """An epoch in as many parts as make POINTS of all epochs, or whole.

    Example:
        >>> parts(10, 3), parts(10, 20)
        ([(0, 2), (2, 5), (5, 7), (7, 10)], [(0, 10)])
    """
    count = min(steps, max(1, -(-POINTS // epochs)))
    ends = [steps * k // count for k in range(count + 1)]
    return list(zip(ends, ends[1:]))


def _look(params: tuple, *, network: Rule, data: Dataset) -> tuple:
    """A Look without its epoch, of one seed."""
    x, labels = data.train.x[:PROBED], data.train.labels[:PROBED]
    loss = softmax_cross_entropy()
    value, accuracy = evaluate(params, data.validation, network=network, loss=loss)
    _, dparams = purefw.loss_and_grad(network, loss)(params, x, labels)
    flat = [v < FLAT for v in slopes(network, params, x)]
    return (
        accuracy,
        value,
        jnp.array([jnp.linalg.norm(d.weight) for d in linears(dparams)]),
        jnp.array([v.mean() for v in flat]),
        jnp.array([v.all(axis=0).mean() for v in flat]),
        jnp.array([jnp.abs(p.weight).max() for p in linears(params)]),
    )


def linears(params: tuple) -> list[LinearParams]:
    """The linear layers' parameters, or their cotangents."""
    return [p for p in params if isinstance(p, LinearParams)]


def slopes(network: Rule, params: tuple, x: Any) -> list[Array]:
    """The slope of every hidden unit at every row, over the steepest there is.

    The slope is what the activation's hand-written backward makes of a cotangent of 1.
    """
    rules, found = network.forward.keywords["rules"], []
    for rule, p in zip(rules, params):
        x, residuals = rule.forward(p, x)
        if not p:
            slope = rule.backward(residuals, jnp.ones_like(x))[1]
            found.append(jnp.abs(slope) / STEEPEST[rule.name])
    return found


STEEPEST = {"tanh": 1.0, "sigmoid": 0.25, "relu": 1.0}
