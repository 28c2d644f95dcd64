"""What other checks would have caught: the same mutants before each of them.

    check_grads   jax.test_util.check_grads at its defaults: one direction and one
                  cotangent from a fixed seed, differences, all leaves in one number.
                  Its reverse half, check_vjp, is called itself, with the mutant as the
                  pullback; in float64, which is kinder to it than JAX's default
    gradcheck     torch.autograd.gradcheck at its defaults: every entry of the Jacobian
                  by differences; the mutant is wrapped as a torch.autograd.Function
    ones          the gradient of y.sum() beside autodiff's, by numpy.allclose

All are given the registered typical input. A check that refuses the original is left
out at that rule: it would refuse everything. gradcheck is also left out where it would
be slow, by mutants times entries of input and output: a convolution of 40 000 took a
minute, more than all else together.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec

import jax
import numpy as np
from jax.test_util import check_vjp

from reference.mutate.schema import Schema
from reference.verifier.oracle import Oracle
from reference.verifier.problem import Problem


@dataclass
class Bench:
    """One problem with all its mutants, callable at any arguments.

    Attributes:
        problem: What is judged.
        schema: Its mutants.
        oracle: Its forward and truth.
        wanted: The mutants that are asked about.
    """

    problem: Problem
    schema: Schema
    oracle: Oracle
    wanted: Sequence[int]
    _pulled: dict = field(default_factory=dict)
    _values: dict = field(default_factory=dict)

    @property
    def live(self) -> list[np.ndarray]:
        """The judged leaves of the arguments, in float64."""
        return [np.asarray(self.problem.live[i], np.float64) for i in self.judged]

    @property
    def judged(self) -> list[int]:
        """Their places among the live leaves."""
        return [i for i, judged in enumerate(self.problem.is_judged) if judged]

    def whole(self, judged: list) -> list[np.ndarray]:
        """All live leaves, with others for the judged ones."""
        leaves = [np.asarray(v, np.float64) for v in self.problem.live]
        for i, v in zip(self.judged, judged, strict=True):
            leaves[i] = np.asarray(v)
        return leaves

    def value(self, judged: list) -> list[np.ndarray]:
        """The float leaves of y."""
        key = content(judged)
        if key not in self._values:
            live = self.whole(judged)
            self._values[key] = self.oracle.primal(live, self.problem.rest)
        return self._values[key]

    def pulled(self, k: int, judged: list, dys: list) -> list[np.ndarray]:
        """What mutant k returns; all mutants are run at once and remembered."""
        key = content([*judged, *dys])
        if key not in self._pulled:
            which = [-1, *self.wanted]
            live = self.whole(judged)
            dys = [np.asarray(d, np.float64) for d in dys]
            outputs = self.schema.outputs(which, live, self.problem.rest, dys)
            self._pulled[key] = dict(zip(which, zip(*outputs, strict=True)))
        return list(self._pulled[key][k])


def content(arrays: list) -> tuple:
    """The numbers of some arrays, as a key."""
    return tuple(np.asarray(v).tobytes() for v in arrays)


PATIENCE = {"gradcheck": 30_000}  # Mutants times entries of input and output.


def killed_by(rejects: Callable[[int], bool], bench: Bench) -> set[int] | None:
    """The mutants that a check rejects; None where it rejects the original."""
    if rejects(-1):
        return None
    return {k for k in bench.wanted if rejects(k)}


def check_grads(bench: Bench) -> Callable[[int], bool]:
    """jax.test_util.check_grads, its reverse half, at its defaults."""

    def rejects(k: int) -> bool:
        def pullback(live):
            return bench.value(live), lambda dys: (bench.pulled(k, live, list(dys)),)

        try:
            check_vjp(bench.value, pullback, (bench.live,))
        except AssertionError:
            return True
        return False

    return rejects


def ones(bench: Bench) -> Callable[[int], bool]:
    """The gradient of y.sum() by numpy.allclose."""
    dys = [np.ones(v.shape) for v in bench.problem.shape.live_outputs]
    truth = bench.oracle.truth(bench.whole(bench.live), bench.problem.rest, dys).value

    def rejects(k: int) -> bool:
        found = bench.pulled(k, bench.live, dys)
        return not all(
            np.allclose(v, truth[i]) for v, i in zip(found, bench.judged, strict=True)
        )

    return rejects


def gradcheck(bench: Bench) -> Callable[[int], bool]:
    """torch.autograd.gradcheck at its defaults."""
    import torch  # Not above: it takes seconds, and few commands need it.

    def function(k: int) -> Callable:
        class Mutant(torch.autograd.Function):
            @staticmethod
            def forward(ctx, *inputs):
                ctx.save_for_backward(*inputs)
                value = bench.value([v.detach().numpy() for v in inputs])
                return tuple(torch.tensor(v) for v in value)

            @staticmethod
            def backward(ctx, *dys):
                live = [v.detach().numpy() for v in ctx.saved_tensors]
                found = bench.pulled(k, live, [d.detach().numpy() for d in dys])
                return tuple(torch.tensor(v) for v in found)

        return Mutant.apply

    def rejects(k: int) -> bool:
        inputs = [torch.tensor(v, requires_grad=True) for v in bench.live]
        return not torch.autograd.gradcheck(function(k), inputs, raise_exception=False)

    return rejects


RIVALS: dict[str, Callable[[Bench], Callable[[int], bool]]] = {
    "check_grads": check_grads,
    "ones": ones,
} | ({"gradcheck": gradcheck} if find_spec("torch") else {})


def verdicts(bench: Bench) -> dict[str, set[int] | None]:
    """The kills of every rival that is installed."""
    entries = sum(v.size for v in bench.live) + bench.problem.shape.output_size
    work = entries * len(bench.wanted)
    with jax.debug_nans(False), np.errstate(all="ignore"):
        return {
            name: killed_by(rival(bench), bench)
            if work <= PATIENCE.get(name, work)
            else None
            for name, rival in RIVALS.items()
        }
