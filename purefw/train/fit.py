"""Training to the end, with whatever looks on: a bar, logs, checkpoints, a verifier."""

import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

from purefw.data import Dataset
from purefw.rule import Loss, Rule
from purefw.train.callbacks import Bar
from purefw.train.loop import train
from purefw.train.moment import Epoch, Moment, NonFiniteLoss

Callback = Callable[[Moment], bool | None]


class Fitted(NamedTuple):
    """What training leaves: the parameters, and one Epoch for 0, 1, ..., epochs."""

    params: Any
    history: list[Epoch]


def fit(
    network: Rule,
    loss: Loss,
    data: Dataset,
    *,
    epochs: int,
    nonfinite: str = "raise",
    callbacks: Sequence[Callback] = (),
    progress: bool = False,
    **settings: Any,
) -> Fitted:
    """Train to the end.

    Args:
        network: See `train`.
        loss: As there.
        data: As there.
        epochs: As there.
        nonfinite: As there, or "stop": warn, and return what the last good epoch left.
        callbacks: Functions of a Moment. They are called in their order at the end of
            every epoch, 0 included, and, where they have an attribute `every`, before
            every step that is a multiple of it. One that returns True ends training.
            Those that are context managers are entered before the first step and left
            after the last.
        progress: Whether to draw a progress bar on the standard error stream.
        **settings: The other arguments of `train`: optimiser, batch_size and key; and
            gradient, accumulate, resume and mesh, which have defaults.

    Raises:
        ValueError: as there.
        NonFiniteLoss: as there.

    Example:
        >>> import jax, optax
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
    callbacks = [*callbacks, *([Bar(data.name, epochs)] if progress else [])]
    moments = train(
        network,
        loss,
        data,
        epochs=epochs,
        nonfinite=nonfinite,
        rests=[every for c in callbacks if (every := getattr(c, "every", None))],
        **settings,
    )
    with ExitStack() as stack:
        for callback in callbacks:
            if hasattr(callback, "__exit__"):
                stack.enter_context(callback)
        try:
            for moment in moments:
                due = [callback for callback in callbacks if is_due(callback, moment)]
                if any([callback(moment) for callback in due]):
                    break
        except NonFiniteLoss as error:
            if nonfinite != "stop":
                raise
            warnings.warn(f"{error}; stopped", stacklevel=2)
            return Fitted(error.params, list(error.history))
    return Fitted(moment.params, list(moment.history))


def is_due(callback: Callback, moment: Moment) -> bool:
    """Whether a callback is to be called: see `fit`."""
    every = getattr(callback, "every", None)
    return moment.epoch is not None or bool(every and moment.step % every == 0)
