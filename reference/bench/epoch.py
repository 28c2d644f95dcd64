"""One epoch of a perceptron, by everyone: one architecture, one update, one order.

n-128-classes with tanh, softmax and cross-entropy, plain SGD. All but scikit-learn
begin at the same parameters and go through the same rows in the same order;
MLPClassifier draws both itself, and trains on the remainder of the rows as well. A
maker prepares what may be prepared once and returns two functions: `run` trains one
epoch from the beginning, `score` tells the share of test rows that what `run` returned
gets right.
"""

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from purefw.compose import loss_and_grad
from purefw.data import Dataset
from purefw.layers.tanh import tanh
from purefw.losses.softmax_cross_entropy import softmax_cross_entropy
from purefw.models import perceptron
from purefw.train.step import State, plan, train_epoch, train_step
from reference.baselines import networks
from reference.baselines.lesson import separate_activations

HIDDEN, RATE = 128, 0.1
Maker = Callable[["Setting"], tuple[Callable[[], Any], Callable[[Any], float]]]


class Setting(NamedTuple):
    """What everyone gets.

    Attributes:
        data: The images.
        batch: Rows a step.
        key: Of the order of the rows.
        params: purefw's, at the beginning.
    """

    data: Dataset
    batch: int
    key: Any
    params: Any

    @property
    def order(self) -> np.ndarray:
        """The row numbers of each step."""
        return np.asarray(plan(self.key, len(self.data.train.x), self.batch)[0])

    @property
    def pairs(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Weight and bias of each layer."""
        layers = [layer for layer in self.params if layer != ()]
        return [(np.asarray(v.weight), np.asarray(v.bias)) for v in layers]

    @property
    def arrays(self) -> tuple[np.ndarray, ...]:
        """Rows and labels to learn from, then those to judge by."""
        return tuple(np.asarray(v) for split in self.splits for v in split)

    @property
    def splits(self) -> tuple:
        """Both."""
        return self.data.train, self.data.validation


def setting(data: Dataset, batch: int, seed: int = 0) -> Setting:
    """Parameters and order from a seed."""
    params_key, order_key = jax.random.split(jax.random.key(seed))
    network = perceptron((data.train.x.shape[1], HIDDEN, data.classes), tanh())
    return Setting(data, batch, order_key, network.init(params_key))


def scanned(setting: Setting, gradient: Callable) -> tuple:
    """An epoch of purefw's trainer, one donated loop, with either gradient."""
    step = partial(
        train_step,
        network=perceptron_of(setting),
        gradient=gradient,
        optimiser=optax.sgd(RATE),
    )
    epoch = jax.jit(
        partial(train_epoch, step=step, batch_size=setting.batch), donate_argnums=0
    )

    def run():
        params = jax.tree.map(jnp.copy, setting.params)
        state = State(params, optax.sgd(RATE).init(params))
        state, _ = epoch(state, setting.data.train, setting.key)
        return jax.block_until_ready(state.params)

    return run, partial(accuracy, setting)


def by_hand(setting: Setting) -> tuple:
    """purefw: the gradient derived by hand, the epoch one program."""
    return scanned(
        setting, loss_and_grad(perceptron_of(setting), softmax_cross_entropy())
    )


def perceptron_of(setting: Setting):
    """The network as a rule."""
    sizes = (setting.data.train.x.shape[1], HIDDEN, setting.data.classes)
    return perceptron(sizes, tanh())


def idiomatic():
    """The mean cross-entropy as people write it."""
    return networks.labelled(partial(networks.perceptron, activation=jnp.tanh))


def grad_in_a_scan(setting: Setting) -> tuple:
    """jax.grad in the same trainer."""
    value_and_grad = jax.value_and_grad(idiomatic())
    return scanned(setting, lambda params, x, y, key: value_and_grad(params, x, y))


def grad_in_a_loop(setting: Setting) -> tuple:
    """jax.grad, a jitted step, a loop in Python."""
    (x, labels), order = setting.data.train, setting.order
    gradient = jax.grad(idiomatic())

    @partial(jax.jit, donate_argnums=0)
    def step(params, rows):
        dparams = gradient(params, x[rows], labels[rows])
        return jax.tree.map(lambda v, dv: v - RATE * dv, params, dparams)

    def run():
        params = jax.tree.map(jnp.copy, setting.params)
        for rows in order:
            params = step(params, rows)
        return jax.block_until_ready(params)

    return run, partial(accuracy, setting)


def accuracy(setting: Setting, params: Any) -> float:
    """Of purefw's parameters."""
    x, labels = setting.data.validation
    scores = networks.perceptron(params, x, activation=jnp.tanh)
    return float((scores.argmax(axis=1) == labels).mean())


def lesson(setting: Setting) -> tuple:
    """The lesson's layers with state, in NumPy."""
    x, labels, test_x, test_labels = setting.arrays
    order = setting.order

    def run():
        network = separate_activations(setting.pairs, "tanh")
        network.train(x, labels, order, RATE)
        return network

    return run, lambda network: network.accuracy(test_x, test_labels)


def flax(setting: Setting) -> tuple:
    """flax.nnx and Optax, a jitted step, a loop in Python."""
    from flax import nnx

    (x, labels), order = setting.data.train, setting.order

    @nnx.jit
    def step(model, optimiser, rows):
        def loss(model):
            scores = model(x[rows])
            return optax.softmax_cross_entropy_with_integer_labels(
                scores, labels[rows]
            ).mean()

        optimiser.update(model, nnx.grad(loss)(model))

    def run():
        layers = []
        for weight, bias in setting.pairs:
            layers.append(nnx.Linear(*weight.shape, rngs=nnx.Rngs(0)))
            layers[-1].kernel[...] = jnp.asarray(weight)
            layers[-1].bias[...] = jnp.asarray(bias)
        model = nnx.Sequential(layers[0], jnp.tanh, layers[1])
        optimiser = nnx.Optimizer(model, optax.sgd(RATE), wrt=nnx.Param)
        for rows in order:
            step(model, optimiser, rows)
        return jax.block_until_ready(model)

    def score(model):
        test_x, test_labels = setting.data.validation
        return float((model(test_x).argmax(axis=1) == test_labels).mean())

    return run, score


def torch_eager(setting: Setting, threads: int = 1, compile: bool = False) -> tuple:
    """torch.nn and torch.optim.SGD, a loop in Python."""
    import torch

    x, labels, test_x, test_labels = map(
        torch.from_numpy, map(np.array, setting.arrays)
    )
    labels, order = labels.long(), torch.from_numpy(np.array(setting.order)).long()
    torch.set_num_threads(threads)

    def run():
        torch.set_num_threads(threads)
        linears = [torch.nn.Linear(*w.shape) for w, _ in setting.pairs]
        for layer, (weight, bias) in zip(linears, setting.pairs):
            layer.weight.data = torch.from_numpy(weight.T.copy())
            layer.bias.data = torch.from_numpy(bias.copy())
        model = torch.nn.Sequential(linears[0], torch.nn.Tanh(), linears[1])
        forward = torch.compile(model) if compile else model
        optimiser = torch.optim.SGD(model.parameters(), RATE)
        for rows in order:
            optimiser.zero_grad()
            loss = torch.nn.functional.cross_entropy(forward(x[rows]), labels[rows])
            loss.backward()
            optimiser.step()
        return model

    def score(model):
        with torch.no_grad():
            return float((model(test_x).argmax(1) == test_labels).float().mean())

    return run, score


def scikit(setting: Setting) -> tuple:
    """MLPClassifier; see the module for what it does otherwise."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    x, labels, test_x, test_labels = setting.arrays

    def run():
        model = MLPClassifier(
            (HIDDEN,),
            activation="tanh",
            solver="sgd",
            alpha=0,
            momentum=0,
            nesterovs_momentum=False,
            batch_size=setting.batch,
            random_state=0,
            learning_rate_init=RATE,
            max_iter=1,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            return model.fit(x, labels)

    return run, lambda model: float(model.score(test_x, test_labels))


OURS = "purefw, the epoch one scan"
LESSON = "the lesson's NumPy"
MAKERS: dict[str, Maker] = {
    OURS: by_hand,
    "jax.grad, the epoch one scan": grad_in_a_scan,
    "jax.grad, a jitted step in a loop": grad_in_a_loop,
    "flax and Optax, a jitted step in a loop": flax,
    LESSON: lesson,
    "scikit-learn MLPClassifier": scikit,
    "PyTorch eager, 1 thread": torch_eager,
    "PyTorch eager, 2 threads": partial(torch_eager, threads=2),
    "PyTorch compiled": partial(torch_eager, threads=2, compile=True),
}
