"""What a broken contract says of the cause: shapes, mutation, state.

The contract's own tests are proofs: bytes that differ before and after a call, a result
that depends on another call. Here they get their label, and for a state what is kept:
the latest call's values, or a gradient that is added to and never cleared.
"""

import jax
import numpy as np

from reference.diagnosis.cause import Cause
from reference.diagnosis.near import near
from reference.diagnosis.shapes import shape_causes
from reference.report import Report
from reference.verifier.oracle import exact_arithmetic
from reference.verifier.problem import flatten
from reference.verifier.subject import Subject
from reference.verifier.verify import output_of


def contract_causes(report: Report, subject: Subject) -> list[Cause]:
    """Causes of what is broken, where one is known."""
    found = []
    for sentence in report.broken:
        check, _, text = sentence.partition(": ")
        if check == "shape" and not found:
            with exact_arithmetic():
                problem = flatten(subject, output_of(subject))
                found += shape_causes(problem, report.seed)
        elif check == "mutation":
            what = (
                "dy" if text.rstrip(".").split(":")[0].endswith("dy") else "residuals"
            )
            found.append(of_contract(f"mutation: {what}", "C10", text, report))
        elif check == "raises" and "read-only" in text:
            what = written_to(subject)
            text = f"backward writes into {what}: work on a copy"
            found.append(of_contract(f"mutation: {what}", "C10", text, report))
        elif check == "stale":
            found.append(of_contract("state: latest call", "C9", text, report))
        elif check == "repeatability" and accumulates(subject):
            text = (
                "backward adds to a gradient that it keeps and never clears: a second "
                "call gives the sum of both"
            )
            found.append(of_contract("state: accumulates", "C7", text, report))
    return found


def of_contract(label: str, mistake: str, text: str, report: Report) -> Cause:
    """A cause that the contract's test has proved."""
    return Cause(label, mistake, tuple(report.leaves) or ("every leaf",), text)


def written_to(subject: Subject) -> str:
    """Which argument of backward it writes into: the one whose copy it accepts."""
    y, residuals = subject.forward(*subject.args)
    dy = jax.tree.map(lambda v: np.ones(np.shape(v), np.asarray(v).dtype), y)
    for v in jax.tree.leaves(dy):
        v.flags.writeable = False
    try:
        subject.backward(jax.tree.map(np.array, residuals), dy)
    except ValueError:
        return "dy"
    return "residuals"


def accumulates(subject: Subject) -> bool:
    """Whether each call of backward adds the same to what the one before it gave."""
    args = jax.tree.map(np.asarray, subject.args)
    y, residuals = subject.forward(*args)
    dy = jax.tree.map(lambda v: np.full(np.shape(v), 0.7, np.asarray(v).dtype), y)
    calls = [flat(subject.backward(residuals, dy)) for _ in range(3)]
    steps = [b - a for a, b in zip(calls, calls[1:])]
    return bool(np.abs(steps[0]).max(initial=0) > 0 and close(*steps))


def flat(cotangents) -> np.ndarray:
    """All float leaves in one row, copied."""
    leaves = [np.asarray(v, np.float64).ravel() for v in jax.tree.leaves(cotangents)]
    return np.concatenate([*leaves, np.zeros(0)])


def close(a: np.ndarray, b: np.ndarray) -> bool:
    """Equal to the digits of float32."""
    return near(np.round(a, 4), np.round(b, 4)) or bool(np.allclose(a, b, 1e-3, 1e-5))
