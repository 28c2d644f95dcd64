"""Where digits are lost: the first operation that must be exact to keep them.

The hand's program in its working dtype is a list of operations. With the first k of
them in float64 and the rest as written,

    (1)  e(k) = the worst error relative to the truth of the same numbers

falls from that of the whole program to that of a good one at some k: the operation k is
the one that loses the digits, by a cast or by cancellation, since rounding its operands
is enough to lose them and computing it exactly is enough to keep them. It is the k of
the steepest fall; in long programs one fall is found by halving.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from reference.compare import rms
from reference.diagnosis.cause import Cause, Proof
from reference.report import Report
from reference.verdict import Verdict
from reference.verifier.cotangents import generator, normal
from reference.verifier.oracle import exact_arithmetic
from reference.verifier.probe import Probe, lift
from reference.verifier.problem import Problem, flatten
from reference.verifier.programs import CUSTOM, user_frame
from reference.verifier.replay import CALLS, Change, Replay, bind
from reference.verifier.rounding import quantised
from reference.verifier.subject import Subject
from reference.verifier.verify import differentiable, output_of

FEW = 80  # Operations up to which all are tried.
BETTER = 8.0  # By how much the error must fall.
SEEDS = 3


def precision_causes(report: Report, subject: Subject) -> list[Cause]:
    """One cause for each IMPRECISE leaf that one operation explains."""
    leaves = [k for k, v in report.leaves.items() if v.verdict is Verdict.IMPRECISE]
    if not leaves:
        return []
    with exact_arithmetic():
        problem, oracle = differentiable(flatten(subject, output_of(subject)))
    if oracle is None or oracle.eager:
        return []
    found = []
    for name in leaves:
        ratios = report.leaves[name].rounding
        dtype = max(ratios, key=lambda k: ratios[k], default="")
        if dtype:
            probe = Probe(problem, oracle, report.seed)
            cause = culprit(problem, probe, problem.names.index(name), jnp.dtype(dtype))
            found += [] if cause is None else [cause]
    return found


def culprit(problem: Problem, probe: Probe, i: int, dtype) -> Cause | None:
    """The operation that loses the digits of leaf `i`, if one does."""
    errors = [errors_of(problem, probe, i, dtype, seed) for seed in range(SEEDS)]
    e, count, equations = errors[0]
    if not e(count) * BETTER <= e(0):
        return None
    high = steepest(e, count)
    eqn, low = equations[high - 1], high - 1
    falls = [f(low) / f(high) for f, *_ in errors]
    if min(falls) < 2:
        return None
    frame = user_frame(eqn)
    source = f"{frame[0].rsplit('/', 1)[-1]}:{frame[1]}" if frame else ""
    what = "casts to a narrower float" if is_cast(eqn) else "loses the digits"
    return Cause(
        f"precision: {source} {eqn.primitive.name}",
        "C12",
        (problem.names[i],),
        f"`{eqn.primitive.name}` at {source or 'a line of the library'} {what}: with "
        f"float64 up to there the error in {dtype} falls {min(falls):.3g}-fold",
        Proof(SEEDS - 1, 1, 0.0),
        f"error {e(low):.2g} of the leaf's size with its operands rounded, "
        f"{e(high):.2g} without",
        source,
    )


def steepest(e: Callable[[int], float], count: int) -> int:
    """The k at which (1) falls most, from k - 1 to k."""
    if count <= FEW:
        values = [e(k) for k in range(count + 1)]
        return int(np.argmax(np.divide(values[:-1], values[1:]))) + 1
    low, high, good = 0, count, max(np.sqrt(e(0) * e(count)), 2 * e(count))
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if e(middle) <= good else (middle, high)
    return high


def is_cast(eqn) -> bool:
    """Whether an equation converts to a narrower float."""
    return eqn.primitive.name in ("convert_element_type", "reduce_precision")


def errors_of(problem: Problem, probe: Probe, i: int, dtype, seed: int) -> tuple:
    """(1) as a function of k, the number of operations, and the operations."""
    shape = problem.shape
    live = quantised(problem.live, dtype)
    flat = normal(probe.size, generator(seed, 40)).value
    dys = quantised(shape.split(flat), dtype)
    with exact_arithmetic():
        at = lift(live), problem.rest, lift(dys)
        truth = probe.oracle.truth(*at).value[i]
    with exact_arithmetic(x64=True):
        closed = jax.make_jaxpr(problem.functions.hand)(live, problem.rest, dys)
    counter = Prefix(0)
    inputs = jax.tree.leaves((live, problem.rest, dys))

    def e(k: int) -> float:
        with exact_arithmetic():
            hand = Prefix(k).run(closed.jaxpr, closed.consts, inputs)[i]
        gap = np.abs(np.asarray(hand, np.float64) - truth)
        error = float(gap.max(initial=0) / max(rms(truth), 1e-300))
        return max(error, float(jnp.finfo(dtype).eps))  # Below is nothing to gain.

    with exact_arithmetic():
        counter.run(closed.jaxpr, closed.consts, inputs)
    run: Callable[[int], float] = e
    return run, len(counter.seen), counter.seen


class Prefix(Replay):
    """The first k operations in float64, the rest in the dtypes they were traced in."""

    def __init__(self, k: int):
        """Nothing has run yet."""
        super().__init__(Change(widen=True))
        self.k, self.seen = k, []

    def equation(self, eqn, values: list) -> list:
        """One operation, exact or as written."""
        if eqn.primitive.name in CALLS | CUSTOM:
            return super().equation(eqn, values)
        self.seen.append(eqn)
        if len(self.seen) <= self.k:
            return super().equation(eqn, values)
        narrow = [
            jnp.asarray(v, w.aval.dtype) if hasattr(w.aval, "dtype") else v
            for v, w in zip(values, eqn.invars)
        ]
        return bind(eqn, narrow, eqn.params)
