"""The loop over epochs, which rests between two steps wherever someone wants to look.

The order of the rows and the keys of a random network follow from the training's key
and the number of the step alone. Training therefore goes on from any Snapshot as if it
had never been interrupted.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import numpy as np
import optax
from jax.sharding import Mesh
from jaxtyping import Array, Key

from purefw.compose import loss_and_grad
from purefw.data import Dataset
from purefw.rule import Loss, Rule
from purefw.train.accumulate import accumulated
from purefw.train.checks import check_arguments, check_fit, check_resumed, checksum
from purefw.train.devices import Devices, Task, copied, many_devices, one_device
from purefw.train.moment import Epoch, Moment, NonFiniteLoss, Snapshot, Source
from purefw.train.optimisers import optimiser as named_optimiser
from purefw.train.step import Gradient, batch_of, plan, train_step


def train(
    network: Rule,
    loss: Loss,
    data: Dataset,
    *,
    optimiser: optax.GradientTransformation | str,
    epochs: int,
    batch_size: int,
    key: Key[Array, ""],
    gradient: Gradient = loss_and_grad,
    accumulate: int = 1,
    nonfinite: str = "raise",
    rests: Sequence[int] = (),
    resume: Snapshot | None = None,
    mesh: Mesh | None = None,
) -> Iterator[Moment]:
    """Train, and hand over the state of things after every epoch.

    Args:
        network: Maps rows of the data to one score a class, or, where there are no
            classes, to arrays like the labels.
        loss: Judges what the network says against the labels.
        data: What to learn from and what to judge by.
        optimiser: Any of Optax's, or the name of one in purefw.train.optimisers.
        epochs: How often the training split is gone through. At least 1.
        batch_size: Rows a step, from 1 to the rows of the training split.
        key: Of the initial parameters, the order of the rows and a random network. The
            same key gives the same training to the bit.
        gradient: `loss_and_grad` of purefw, or one made by autodiff.
        accumulate: In how many equal parts a minibatch goes through the network, so
            that the residuals of one part are alive at a time; a divisor of
            `batch_size`. The gradient is that of the whole: see
            purefw.train.accumulate.
        nonfinite: At a loss that is not finite, "raise" NonFiniteLoss, or "skip" the
            steps whose loss or gradient is not finite, unless all of an epoch are.
            "stop" is for `fit`; here it raises.
        rests: Numbers of steps; training rests after every multiple of one of them,
            beside the ends of epochs.
        resume: Where to go on. None: at the beginning.
        mesh: The devices that share the work: see purefw.mesh, which places parameters,
            the optimiser's state and the rows on them. None: one device. The parameters
            of the moments then lie where the mesh has them.

    Returns:
        An iterator of Moments: where training begins or goes on, which is epoch 0 at
        the beginning, then every rest, the last being the end of the last epoch.

    Raises:
        ValueError: an argument out of its range, a network that does not fit the data,
            a loss that cannot be accumulated, a snapshot of another key, or a minibatch
            that the mesh cannot share out equally; all before the first step.
        NonFiniteLoss: while iterating; it holds the last good epoch's parameters.
    """
    check_arguments(data, epochs, batch_size, accumulate, nonfinite, rests)
    check_fit(network, data)
    if isinstance(optimiser, str):
        optimiser = named_optimiser(optimiser)
    step = partial(
        train_step,
        network=network,
        gradient=accumulated(gradient(network, loss), loss, accumulate),
        optimiser=optimiser,
        skip=nonfinite == "skip",
    )
    task = Task(network, loss, data, optimiser, step, batch_size)
    devices = one_device(task) if mesh is None else many_devices(task, mesh)
    source = Source(len(data.train.x), batch_size, checksum(data.train))
    init_key, order_key = jax.random.split(jax.random.clone(key))
    if resume is None:
        state = copied(devices.initial(init_key))  # Leaves may share memory.
        resume = Snapshot(state, key, 0, (), source)
    else:
        check_resumed(resume, key, source)
        resume = resume._replace(state=devices.placed(resume.state))
    course = Course(
        devices=devices,
        data=data,
        epochs=epochs,
        batch_size=batch_size,
        order_key=order_key,
        rests=tuple(rests),
        skip=nonfinite == "skip",
    )
    return _moments(course, resume)


@dataclass(frozen=True)
class Course:
    """What stays the same through a training.

    Attributes:
        devices: Where it runs.
        data: What to learn from and what to judge by.
        epochs: How many.
        batch_size: Rows a step.
        order_key: Of it come the keys of the epochs.
        rests: See `train`.
        skip: Whether steps that are not finite are skipped.
    """

    devices: Devices
    data: Dataset
    epochs: int
    batch_size: int
    order_key: Key[Array, ""]
    rests: tuple[int, ...]
    skip: bool

    @property
    def steps(self) -> int:
        """How many an epoch has."""
        return len(self.data.train.x) // self.batch_size

    def epoch_key(self, step: int) -> Key[Array, ""]:
        """Of the epoch, numbered from 1, whose part the next step is."""
        return jax.random.fold_in(self.order_key, step // self.steps + 1)

    def next_rest(self, step: int) -> int:
        """The first step after this one before which training rests."""
        return min((step // n + 1) * n for n in (self.steps, *self.rests))

    def batch(self, step: int) -> tuple[Array, Array, Key[Array, ""]]:
        """What the step after `step` sees."""
        split = self.data.train
        order, key = plan(self.epoch_key(step), len(split.x), self.batch_size)
        return batch_of(split, order, key, step % self.steps)

    def judged(self, number: int, params: Any) -> Epoch:
        """How good parameters are."""
        train, validation = jax.tree.map(float, self.devices.judge(params))
        return Epoch(number, *train, *validation)


def _moments(course: Course, now: Snapshot) -> Iterator[Moment]:
    """Rest, run to the next rest, and so on; `good` is what a NonFiniteLoss keeps."""
    good, losses, lost = copied(now.state.params), np.zeros(0), 0
    if not now.history:
        now = _ended(course, now, good)
    while True:
        params, at_end = copied(now.state.params), now.step % course.steps == 0
        good = params if at_end else good
        epoch = now.history[-1] if at_end else None
        yield Moment(now, params, epoch, losses, partial(course.batch, now.step))
        if now.step >= course.epochs * course.steps:
            return
        began, (now, losses) = now.step, _advanced(course, now)
        bad = np.flatnonzero(~np.isfinite(losses))
        lost = lost + len(bad) if len(bad) == len(losses) else 0
        if bad.size and (not course.skip or lost >= course.steps):
            number, step = divmod(began + int(bad[0]), course.steps)
            value = float(losses[bad[0]])
            raise NonFiniteLoss(number + 1, step + 1, value, good, now.history)
        if now.step % course.steps == 0:
            now = _ended(course, now, good)


def _advanced(course: Course, now: Snapshot) -> tuple[Snapshot, np.ndarray]:
    """The steps to the next rest, and their losses."""
    start = now.step % course.steps
    stop = start + course.next_rest(now.step) - now.step
    key = course.epoch_key(now.step)
    state, losses = course.devices.run(now.state, key, start, stop)
    now = now._replace(state=state, step=now.step + stop - start)
    return now, np.asarray(losses)[start:stop]


def _ended(course: Course, now: Snapshot, good: Any) -> Snapshot:
    """The snapshot with the record of the epoch that ends here."""
    number = now.step // course.steps
    record = course.judged(number, now.state.params)
    for value in (record.train_loss, record.validation_loss):
        if not np.isfinite(value):
            step = course.steps if number else 0
            raise NonFiniteLoss(number, step, value, good, now.history)
    return now._replace(history=(*now.history, record))
