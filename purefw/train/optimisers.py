"""Optax's optimisers and schedules by name, with clipping and masked weight decay.

What each step does with the gradient, in this order:

    clip        scale the whole gradient down to a length of at most `clip`
    direction   what the optimiser is named for: momentum, Adam's moments, ...
    decay       add weight_decay times each weight to its direction (decoupled, so that
                "adam" with a decay is AdamW)
    rate        times the negative learning rate of this step

Weights are decayed. Biases, the scales and gains of norms, slopes and running
statistics are not: pulling them to 0 regularises nothing, and running statistics are
measured, not learned.

Reference: Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019,
arXiv:1711.05101.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import optax

from purefw.leaves import last_name

# The first part of a leaf's name, up to an underscore.
NOT_DECAYED = ("bias", "scale", "gain", "slope", "running")


class Direction(NamedTuple):
    """What an optimiser is named for, and the learning rate where none is given."""

    make: Callable[[], optax.GradientTransformation]
    rate: float


OPTIMISERS = {
    "sgd": Direction(optax.identity, 0.1),
    "momentum": Direction(partial(optax.trace, decay=0.9), 0.1),
    "nesterov": Direction(partial(optax.trace, decay=0.9, nesterov=True), 0.1),
    "adam": Direction(optax.scale_by_adam, 1e-3),
    "rmsprop": Direction(optax.scale_by_rms, 1e-3),
    "adagrad": Direction(optax.scale_by_rss, 1e-2),
    "lion": Direction(optax.scale_by_lion, 1e-4),
}
# Of the largest rate and the number of steps that it falls in.
SCHEDULES: dict[str, Callable[[float, int], optax.Schedule]] = {
    "constant": lambda rate, steps: optax.constant_schedule(rate),
    "linear": lambda rate, steps: optax.linear_schedule(rate, 0.0, steps),
    "cosine": optax.cosine_decay_schedule,
    "exponential": lambda rate, steps: optax.exponential_decay(rate, steps, 0.01),
}


def optimiser(
    name: str,
    learning_rate: float | optax.Schedule | None = None,
    *,
    schedule: str = "constant",
    steps: int | None = None,
    warmup: int = 0,
    clip: float | None = None,
    weight_decay: float = 0.0,
) -> optax.GradientTransformation:
    """One of Optax's optimisers by name; see the module for what it does.

    Args:
        name: One of OPTIMISERS.
        learning_rate: Above 0; the optimiser's usual one where None. Or a schedule of
            Optax's, a function of the number of steps taken.
        schedule: How the rate falls after the warmup: "constant", "linear" or "cosine"
            to 0, "exponential" to a hundredth.
        steps: Of the whole training, which the schedule needs unless it is constant.
        warmup: Steps in which the rate rises from 0, linearly.
        clip: Longest gradient, as the root of the sum of squares over all leaves;
            above 0. None: as it is.
        weight_decay: At least 0.

    Raises:
        ValueError: an unknown name, a number out of its range, a schedule without
            steps, or one by name beside a learning rate that is a schedule.

    Example:
        >>> import jax.numpy as jnp
        >>> step = optimiser("sgd", 0.5, clip=1.0)
        >>> params = jnp.array([1.0, 2.0])
        >>> step.update(jnp.array([3.0, 4.0]), step.init(params), params)[0]
        Array([-0.3, -0.4], dtype=float32)
    """
    direction = one_of("optimiser", name, OPTIMISERS)
    rate = direction.rate if learning_rate is None else learning_rate
    _check_range("clip", 1.0 if clip is None else clip, above=True)
    _check_range("weight_decay", weight_decay, above=False)
    if callable(rate):
        if schedule != "constant" or warmup:
            raise ValueError(
                "optimiser: learning_rate must be a number beside schedule "
                f"{schedule!r} and warmup {warmup}, got a schedule"
            )
    else:
        _check_range("learning_rate", rate, above=True)
        rate = _schedule(rate, schedule, steps, warmup)
    return optax.chain(
        optax.identity() if clip is None else optax.clip_by_global_norm(clip),
        direction.make(),
        optax.add_decayed_weights(weight_decay, decayed)
        if weight_decay
        else optax.identity(),
        optax.scale_by_learning_rate(rate),
    )


def decayed(params: Any) -> Any:
    """Which leaves weight decay is for: a mask for Optax, of the structure of params.

    Args:
        params: Of any network. A leaf without a name, as in a plain tuple, is decayed.

    Example:
        >>> from purefw.layers.linear import linear
        >>> decayed(linear(2, 3).init(jax.random.key(0)))
        LinearParams(weight=True, bias=False)
    """

    return jax.tree_util.tree_map_with_path(
        lambda path, _: last_name(path).split("_")[0] not in NOT_DECAYED, params
    )


def _schedule(
    rate: float, schedule: str, steps: int | None, warmup: int
) -> float | optax.Schedule:
    fall = one_of("schedule", schedule, SCHEDULES)
    if warmup < 0:
        raise ValueError(f"optimiser: warmup must be at least 0, got {warmup}")
    if schedule == "constant" and not warmup:
        return rate
    if schedule != "constant" and (steps is None or steps <= warmup):
        raise ValueError(
            f"optimiser: steps must be more than the warmup of {warmup} for schedule "
            f"{schedule!r}, got {steps}"
        )
    after = fall(rate, (steps or 0) - warmup)
    if not warmup:
        return after
    rise = optax.linear_schedule(0.0, rate, warmup)
    return optax.join_schedules([rise, after], [warmup])


def _check_range(name: str, value: float, *, above: bool) -> None:
    if not (value > 0 if above else value >= 0) or value == float("inf"):
        wanted = "positive and finite" if above else "at least 0 and finite"
        raise ValueError(f"optimiser: {name} must be {wanted}, got {value}")


def one_of(option: str, name: str, known: dict) -> Any:
    """The value of a name; an error that lists the known ones."""
    if name not in known:
        raise ValueError(
            f"train: {option} must be one of {', '.join(known)}, got {name!r}"
        )
    return known[name]
