"""A subject in NumPy, read as jax.numpy's so that it can be taken apart.

The reading (reference.interop.followed) is only used where its forward and its backward
give the numbers of the code itself, at the arguments and at points nearby. A forward
that cannot be read is a black box with a derivative by differences.
"""

from dataclasses import replace

import jax
import numpy as np

from reference.diagnosis.differences import by_differences
from reference.diagnosis.near import near
from reference.interop.followed import follow
from reference.verifier.cotangents import generator
from reference.verifier.problem import Problem
from reference.verifier.subject import Subject

POINTS = 3


def followed(problem: Problem) -> Subject | None:
    """The subject with both functions read, the forward alone, or by differences."""
    subject = problem.subject
    if subject.primal is not None:
        return None
    forward, backward = follow(subject.forward), follow(subject.backward)
    whole = replace(subject, forward=forward, backward=backward, traceable=True)
    ahead = replace(subject, primal=first(forward), traceable=True)
    options = [whole, ahead]
    if (primal := by_differences(problem)) is not None:
        options.append(replace(subject, primal=primal, traceable=True))
    return next((s for s in options if is_same(problem, s)), None)


def first(forward):
    """y alone."""
    return lambda *args: forward(*args)[0]


def is_same(problem: Problem, other: Subject) -> bool:
    """Whether two subjects give the same numbers, and the other's can be traced."""
    rng = generator(0, 51)
    try:
        for _ in range(POINTS):
            live = [v * (1 + 0.1 * rng.standard_normal(v.shape)) for v in problem.live]
            args = problem.shape.merge(live, problem.rest)
            flat = rng.standard_normal(problem.shape.output_size)
            dy = problem.shape.cotangent(problem.shape.split(flat))
            jax.make_jaxpr(other.primal or other.forward)(*args)
            for one, two in zip(
                numbers(problem.subject, args, dy),
                numbers(other, args, dy),
                strict=True,
            ):
                if not near(one, two):
                    return False
    except Exception:  # Whatever the code raises where it is not followed.
        return False
    return True


def numbers(subject: Subject, args: tuple, dy) -> list[np.ndarray]:
    """y and the cotangents, copies of the arguments given."""
    args, dy = jax.tree.map(np.array, (args, dy))
    y, residuals = subject.forward(*args)
    if subject.primal is not None:
        y = subject.primal(*args)
    leaves = jax.tree.leaves((y, subject.backward(residuals, dy)))
    return [
        np.asarray(v, np.float64) for v in leaves if np.asarray(v).dtype.kind == "f"
    ]
