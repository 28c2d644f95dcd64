"""From a failure to the few numbers that show it.

The arguments of the worst trial are cut, axis by axis, as long as hand and truth still
differ (reference.verifier.shapes), then rounded to one decimal as long as they do. What
is left is printed as Python that runs the check again.
"""

from dataclasses import replace

import jax
import numpy as np

from reference.compare import rms
from reference.verifier.cotangents import generator, normal
from reference.verifier.oracle import oracle_for
from reference.verifier.points import Point
from reference.verifier.probe import Probe, Trial, lift
from reference.verifier.problem import Problem, is_key
from reference.verifier.shapes import axes_by_length, cut

TRIES = 6  # Each compiles a program.
SHOWN = 40  # Numbers beyond which arguments are not written out.
VISIBLE = 1e-7


def reproducer(probe: Probe, trial: Trial, i: int) -> str:
    """Python that shows the difference in leaf `i` again, as small as it could be made.

    Empty where the failure cannot be repeated from the arguments alone.
    """
    problem = moved_to(probe.problem, trial.point)
    if problem is None or not differs(problem, i, probe.seed):
        return ""
    problem = rounded(smaller(problem, i, probe.seed), i, probe.seed)
    return written(problem, probe.seed)


def as_it_is(problem: Problem, point: Point, seed: int) -> str:
    """The same without making it smaller, for a forward that only differences judge."""
    moved = moved_to(problem, point)
    return "" if moved is None else written(moved, seed)


def written(problem: Problem, seed: int) -> str:
    """Python that runs the check at these arguments; empty where they are many."""
    if sum(np.size(v) for v in problem.leaves if not is_key(v)) > SHOWN:
        return ""
    lines = [
        "from numpy import array, bool_, float16, float32, float64, int32, int64",
        "from jax.numpy import bfloat16",
        f"from reference import {problem.subject.call.partition('(')[0]}",
    ]
    for name, arg in zip(variables(problem), problem.subject.args):
        lines.append(f"{name} = {text(arg)}")
    return "\n".join([*lines, call(problem, seed)])


def moved_to(problem: Problem, point: Point) -> Problem | None:
    """The problem with the trial's arguments; None where their shapes are others."""
    if [v.shape for v in point.live] != [v.shape for v in problem.live]:
        return None
    args = problem.shape.merge(point.live, point.rest)
    subject = replace(problem.subject, args=args)
    return replace(problem, subject=subject, leaves=jax.tree.leaves(args))


def differs(problem: Problem, i: int, seed: int) -> bool:
    """Whether hand and truth visibly differ in leaf `i`."""
    probe = Probe(problem, oracle_for(problem.functions), seed)
    point = Point("given", problem.live, problem.rest)
    dys = probe.split(normal(probe.size, generator(seed, 11)))
    hand, truth = probe.oracle.both(lift(point.live), point.rest, lift(dys))
    error = np.abs(hand[i] - truth[i])
    return bool(
        np.isfinite(truth[i]).all() and (~(error <= VISIBLE * rms(truth[i]))).any()
    )


def smaller(problem: Problem, i: int, seed: int) -> Problem:
    """Fewer entries, as long as leaf `i` differs."""
    for n in sorted(axes_by_length(problem), reverse=True)[:TRIES]:
        for length in (1, 2):
            axes = axes_by_length(problem).get(n, [])
            candidate = cut(problem, axes, length) if axes and length < n else None
            if candidate is not None and safely_differs(candidate, i, seed):
                problem = candidate
                break
    return problem


def safely_differs(problem: Problem, i: int, seed: int) -> bool:
    """`differs`; False where a function refuses the shapes."""
    try:
        return differs(problem, i, seed)
    except Exception:  # The user's own refusal: then this is no smaller example.
        return False


def rounded(problem: Problem, i: int, seed: int) -> Problem:
    """Values with one decimal, none of them 0, as long as leaf `i` differs."""
    live = [one_decimal(v) for v in problem.live]
    candidate = moved_to(problem, Point("rounded", live, problem.rest))
    if any(map(np.iscomplexobj, problem.live)) or candidate is None:
        return problem
    return candidate if safely_differs(candidate, i, seed) else problem


def one_decimal(v: np.ndarray) -> np.ndarray:
    """Rounded where that leaves more than 0, which may be a kink."""
    short = np.round(v.astype(np.complex128), 1).real.astype(v.dtype)
    return np.asarray(np.where(short == 0, v, short))


def variables(problem: Problem) -> list[str]:
    """Python names for the arguments."""
    names = problem.subject.names
    return [n[1:] if n.startswith("d") else f"arg_{n[5:-1]}" for n in names]


def call(problem: Problem, seed: int) -> str:
    """The line that runs the check again."""
    names = variables(problem)
    made = problem.subject.call.format(*names, args=", ".join(names))
    return f"print({made[:-1]}, seed={seed}))" if seed else f"print({made})"


def text(tree) -> str:
    """A pytree of arrays as Python."""
    with np.printoptions(threshold=SHOWN + 1, floatmode="unique"):
        arrays = jax.tree.map(lambda v: v if is_key(v) else np.asarray(v), tree)
        return repr(arrays).replace("dtype=bool)", "dtype=bool_)").replace("\n", "")
