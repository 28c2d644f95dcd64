"""A verifier that looks on while a network trains.

Most mistakes of a backward pass show at the first random parameters. Some wait: a term
that only saturated units reach, a row that only a long sequence has, digits that are
lost once logits are large. So the minibatch to come is judged as training meets it.
"""

import time
from collections.abc import Callable

from purefw.leaves import gathered
from purefw.rule import Loss, Rule
from purefw.train import Moment
from reference.check import check_network
from reference.verdict import Verdict


class WrongGradient(Exception):
    """The gradient by hand is not the derivative of the loss, and training stopped."""


class Watch:
    """A callback of `fit`: the gradient of the next minibatch against the oracle.

    Example:
        >>> import jax
        >>> from purefw.data import toy
        >>> from purefw.layers.tanh import tanh
        >>> from purefw.losses.softmax_cross_entropy import softmax_cross_entropy
        >>> from purefw.models import perceptron
        >>> from purefw.train import fit
        >>> task = perceptron((2, 2), tanh()), softmax_cross_entropy()
        >>> _ = fit(*task, toy(), optimiser="sgd", epochs=1, batch_size=16,
        ...         key=jax.random.key(0), callbacks=[Watch(*task, 5)])
        step 0: RIGHT...
        step 5: RIGHT...
    """

    def __init__(
        self, network: Rule, loss: Loss, every: int, log: Callable[[str], None] = print
    ) -> None:
        """Watch a training.

        Args:
            network: What trains.
            loss: What it trains on.
            every: Steps between two looks. At least 1. A look takes as long as
                `check_network` at one point: seconds at first, for compiling.
            log: Where a sentence about each look goes.

        Raises:
            ValueError: `every` is not positive.
        """
        if every < 1:
            raise ValueError(f"watch: every must be at least 1, got {every}")
        self.every = every
        self._network, self._loss, self._log = network, loss, log

    def __call__(self, moment: Moment) -> None:
        """Judge the minibatch to come, at the parameters that it meets.

        Raises:
            WrongGradient: the verdict is WRONG or CONTRACT; it holds the report.
        """
        if moment.step % self.every:
            return
        began = time.perf_counter()
        x, target, key = moment.next_batch()
        params = gathered(moment.params)
        report = check_network(
            self._network, self._loss, params, x, target, key=key, points=0
        )
        seconds = time.perf_counter() - began
        self._log(f"step {moment.step}: {report.verdict.name}, {seconds:.1f} s")
        if report.verdict in (Verdict.WRONG, Verdict.CONTRACT):
            raise WrongGradient(f"the gradient before step {moment.step}:\n{report}")
