"""The accident: one activation object in two places, and the conclusion drawn from it.

The same perceptron with two hidden layers is trained three times from the same start on
the same rows: in the lesson's NumPy with one activation object for both places, in the
same NumPy with two, and as a pure function. The gradients are compared at the start.
"""

from typing import NamedTuple

import jax
import numpy as np

import purefw
from purefw.losses.softmax_cross_entropy import softmax_cross_entropy
from purefw.train.step import plan as order_of
from reference.baselines.lesson import (
    Linear,
    Network,
    separate_activations,
    shared_activation,
)
from reference.lab.sweep import Plan, build, keys_of, linears


class Accident(NamedTuple):
    """What it does to one network.

    Attributes:
        name: "784-128-128-10 relu".
        shared: Accuracy of each seed with one activation object.
        separate: With two of them.
        pure: Of the pure function.
        errors: For each layer, of seed 0 at the start, |dweight - true| / |true| with
            one object.
        pure_errors: Of the pure function; the truth is jax.grad.
    """

    name: str
    shared: np.ndarray
    separate: np.ndarray
    pure: np.ndarray
    errors: list[float]
    pure_errors: list[float]


def accident(
    plan: Plan, sizes: tuple[int, ...], activation: str, pure: np.ndarray
) -> Accident:
    """Train a network with the accident and without.

    Args:
        plan: How, as the sweep.
        sizes: Widths, with at least two hidden layers.
        activation: Its name.
        pure: The pure function's accuracies from the sweep.
    """
    x, labels = (np.asarray(v) for v in plan.data.train)
    held_x, held_labels = (np.asarray(v) for v in plan.data.validation)
    network = build(sizes, activation)
    accuracies: list[list[float]] = [[], []]
    for init_key, order_key in zip(*keys_of(plan)):
        pairs = [
            (np.asarray(p.weight), np.asarray(p.bias))
            for p in linears(network.init(init_key))
        ]
        makers = (shared_activation, separate_activations)
        for found, make in zip(accuracies, makers):
            trained = make(pairs, activation)
            for epoch in range(plan.epochs):
                key = jax.random.fold_in(order_key, epoch)
                order = np.asarray(order_of(key, len(x), plan.batch_size)[0])
                trained.train(x, labels, order, plan.rate)
            found.append(trained.accuracy(held_x, held_labels))
    errors, pure_errors = gradient_errors(plan, sizes, activation)
    return Accident(
        f"{'-'.join(map(str, sizes))} {activation}",
        *map(np.array, accuracies),
        pure,
        errors,
        pure_errors,
    )


def gradient_errors(
    plan: Plan, sizes: tuple[int, ...], activation: str
) -> tuple[list[float], list[float]]:
    """The relative errors of both, layer by layer, in float64 at the first rows."""
    with jax.enable_x64(True):
        network, loss = build(sizes, activation), softmax_cross_entropy()
        params = network.init(keys_of(plan)[0][0])
        x, labels = (v[:100] for v in plan.data.train)
        x = x.astype(float)

        def value(params):
            return loss.forward(network.forward(params, x)[0], labels)[0]

        truth = linears(jax.grad(value)(params))
        by_hand = linears(purefw.loss_and_grad(network, loss)(params, x, labels)[1])
        pairs = [(np.asarray(p.weight), np.asarray(p.bias)) for p in linears(params)]
        broken = shared_activation(pairs, activation)
        broken.gradient(np.asarray(x), np.asarray(labels))
        return (
            [apart(layer.dW, t.weight) for layer, t in zip(weights(broken), truth)],
            [apart(d.weight, t.weight) for d, t in zip(by_hand, truth)],
        )


def weights(network: Network) -> list[Linear]:
    """The linear layers."""
    return [layer for layer in network.layers if isinstance(layer, Linear)]


def apart(found, truth) -> float:
    """|found - truth| / |truth|."""
    norm = np.linalg.norm(np.asarray(truth))
    return float(np.linalg.norm(np.asarray(found) - np.asarray(truth)) / norm)
