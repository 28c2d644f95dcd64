"""Training by minibatches: a step, an epoch as one scan, and the loop over epochs.

Where the gradient comes from is an argument: `purefw.loss_and_grad`, by hand, or a
function of the same signature made by autodiff. The optimisers are Optax's.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from jax import lax
from jaxtyping import Array, Float, Key, Shaped
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from purefw.compose import loss_and_grad
from purefw.data import Dataset, Split, minibatches
from purefw.evaluation import evaluate
from purefw.rule import Loss, Rule
from purefw.running import has_running, move_running

MOMENTUM = 0.9  # Of running statistics: the share of the old value.

Gradient = Callable[[Rule, Loss], Callable[..., tuple[Float[Array, ""], Any]]]


class State(NamedTuple):
    """What a step changes."""

    params: Any
    optimiser: optax.OptState


class Epoch(NamedTuple):
    """How good the parameters are after an epoch; number 0 is before the first.

    The accuracies are None where the data have no classes.
    """

    number: int
    train_loss: float
    train_accuracy: float | None
    validation_loss: float
    validation_accuracy: float | None


class Fitted(NamedTuple):
    """What training leaves: the parameters, and one Epoch for 0, 1, ..., epochs."""

    params: Any
    history: list[Epoch]


class NonFiniteLoss(ValueError):
    """The loss turned NaN or infinite, and training stopped.

    Attributes:
        epoch: The epoch in which it did, from 1; 0 is before the first step.
        step: The step in that epoch, from 1; the number of steps where only the
            evaluation after the last one saw it.
        params: The parameters after the last good epoch.
    """

    def __init__(self, epoch: int, step: int, loss: float, params: Any) -> None:
        """Name the place and keep the parameters."""
        super().__init__(
            f"train: loss must be finite, got {loss} in epoch {epoch}, step {step}"
        )
        self.epoch, self.step, self.params = epoch, step, params


def train_step(
    state: State,
    x: Shaped[Array, "b *features"],
    target: Shaped[Array, "b *steps"],
    key: Key[Array, ""],
    *,
    network: Rule,
    gradient: Callable[..., tuple[Float[Array, ""], Any]],
    optimiser: optax.GradientTransformation,
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

    Returns:
        The next state, and the loss before the step.
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
    return State(params, optimiser_state), loss


def train_epoch(
    state: State,
    split: Split,
    key: Key[Array, ""],
    *,
    step: Callable[..., tuple[State, Float[Array, ""]]],
    batch_size: int,
) -> tuple[State, Float[Array, " steps"]]:
    """Every minibatch of a newly shuffled split once, as one scan.

    Args:
        state: Parameters and the optimiser's state.
        split: What to learn from.
        key: Of the order and, one key a step, of a random network.
        step: `train_step` with its gradient and optimiser bound.
        batch_size: Rows a step; see `minibatches` for a remainder.

    Returns:
        The next state, and the loss before each step.
    """
    order_key, network_key = jax.random.split(key)
    rows = minibatches(order_key, len(split.x), batch_size)
    keys = jax.random.split(network_key, len(rows))

    def body(state: State, batch: tuple) -> tuple[State, Float[Array, ""]]:
        rows, key = batch
        return step(state, split.x[rows], split.labels[rows], key)

    return lax.scan(body, state, (rows, keys))


def train(
    network: Rule,
    loss: Loss,
    data: Dataset,
    *,
    optimiser: optax.GradientTransformation,
    epochs: int,
    batch_size: int,
    key: Key[Array, ""],
    gradient: Gradient = loss_and_grad,
) -> Iterator[tuple[Epoch, Any]]:
    """Train, and hand over the state of things after every epoch.

    Args:
        network: Maps rows of the data to one score a class, or, where there are no
            classes, to arrays like the labels.
        loss: Judges what the network says against the labels.
        data: What to learn from and what to judge by.
        optimiser: Any of Optax's.
        epochs: How often the training split is gone through. At least 1.
        batch_size: Rows a step, from 1 to the rows of the training split.
        key: Of the initial parameters, the order of the rows and a random network. The
            same key gives the same training to the bit.
        gradient: `loss_and_grad` of purefw, or one made by autodiff.

    Returns:
        An iterator of (Epoch, params) for the epochs 0, before the first step, to
        `epochs`.

    Raises:
        ValueError: epochs or batch_size out of range, or a network that does not fit
            the data; all before the first step.
        NonFiniteLoss: while iterating; it holds the last good epoch's parameters.
    """
    rows = len(data.train.x)
    if epochs < 1:
        raise ValueError(f"train: epochs must be at least 1, got {epochs}")
    if not 1 <= batch_size <= rows:
        raise ValueError(
            f"train: batch_size must be in [1, {rows}], the rows of {data.name} to "
            f"learn from, got {batch_size}"
        )
    check_fit(network, data)
    step = partial(
        train_step,
        network=network,
        gradient=gradient(network, loss),
        optimiser=optimiser,
    )
    return _epochs(
        network.init,
        optimiser.init,
        jax.jit(partial(train_epoch, step=step, batch_size=batch_size)),
        jax.jit(partial(evaluate, network=network, loss=loss)),
        data,
        epochs,
        key,
    )


def _epochs(init_params, init_optimiser, run, judge, data, epochs, key):
    init_key, epochs_key = jax.random.split(key)
    params = init_params(init_key)
    state, step = State(params, init_optimiser(params)), 0
    for number in range(epochs + 1):
        if number > 0:
            state, losses = run(
                state, data.train, jax.random.fold_in(epochs_key, number)
            )
            losses = np.asarray(losses)
            bad, step = np.flatnonzero(~np.isfinite(losses)), len(losses)
            if bad.size:
                first = int(bad[0])
                raise NonFiniteLoss(number, first + 1, float(losses[first]), params)
        record = Epoch(
            number,
            *jax.tree.map(float, judge(state.params, data.train)),
            *jax.tree.map(float, judge(state.params, data.validation)),
        )
        for value in (record.train_loss, record.validation_loss):
            if not np.isfinite(value):
                raise NonFiniteLoss(number, step, value, params)
        params = state.params
        yield record, params


def fit(
    network: Rule,
    loss: Loss,
    data: Dataset,
    *,
    optimiser: optax.GradientTransformation,
    epochs: int,
    batch_size: int,
    key: Key[Array, ""],
    gradient: Gradient = loss_and_grad,
    progress: bool = False,
) -> Fitted:
    """Train to the end; the arguments are those of `train`.

    Args:
        network: See `train`, as for all the others but the last.
        loss: As there.
        data: As there.
        optimiser: As there.
        epochs: As there.
        batch_size: As there.
        key: As there.
        gradient: As there.
        progress: Whether to draw a progress bar on the standard error stream.

    Raises:
        ValueError: as there.
        NonFiniteLoss: as there.

    Example:
        >>> from purefw.data import toy
        >>> from purefw.layers.tanh import tanh
        >>> from purefw.losses.softmax_cross_entropy import softmax_cross_entropy
        >>> from purefw.models import perceptron
        >>> params, history = fit(
        ...     perceptron((2, 10, 2), tanh()), softmax_cross_entropy(), toy(),
        ...     optimiser=optax.sgd(0.1), epochs=3, batch_size=4, key=jax.random.key(0))
        >>> history[0].train_loss > history[3].train_loss
        True
    """
    epochs_done = train(
        network,
        loss,
        data,
        optimiser=optimiser,
        epochs=epochs,
        batch_size=batch_size,
        key=key,
        gradient=gradient,
    )
    params, history = None, []
    with _bar(disable=not progress) as bar:
        task = bar.add_task(data.name, total=epochs, newest="")
        for record, newest in epochs_done:
            params = newest
            history.append(record)
            bar.update(task, completed=record.number, newest=_newest(record))
    return Fitted(params, history)


def check_fit(network: Rule, data: Dataset) -> None:
    """Raise ValueError unless the network maps the data's rows to what is judged."""
    key = jax.eval_shape(lambda: jax.random.key(0))
    scores = jax.eval_shape(
        lambda key, x: network.apply(network.init(key), x), key, data.train.x
    )
    labels = data.train.labels.shape
    if data.classes is None:
        wanted, expected = f"an array like the labels of {data.name}", labels
    else:
        wanted = f"one score a class of {data.name}"
        expected = (*labels, data.classes)
    if scores.shape != expected:
        raise ValueError(
            f"train: network must give {wanted}, shape {expected}, got {scores.shape}"
        )


def _newest(epoch: Epoch) -> str:
    """What the bar shows of an epoch."""
    if epoch.validation_accuracy is None:
        return f"validation loss {epoch.validation_loss:.4f}"
    return f"validation accuracy {epoch.validation_accuracy:.1%}"


def _bar(*, disable: bool) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[newest]}"),
        console=Console(stderr=True),
        disable=disable,
    )
