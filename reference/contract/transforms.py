"""Under jit, vmap and jax.custom_vjp a rule stays what it is: judged by running it.

Only what proof.py leaves open comes here. A rule that a transformation refuses gets a
note: a kernel or a callback need not batch.
"""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from reference.contract.case import Case, distance, pullback
from reference.contract.finding import Finding
from reference.contract.proof import through_custom_vjp

DIFFERS = {
    "jit": "{} is another under jax.jit than without: backward must not ask what kind "
    "of array it is given",
    "vmap": "{} is another under jax.vmap, over {}, than in a loop",
    "custom_vjp": "{} is another through jax.custom_vjp{} than from backward itself",
    "primal": "forward's y is another {}",
}


def transform_findings(case: Case, clauses: frozenset[str]) -> list[Finding]:
    """Run each of `clauses` and compare within the noise of the leaf."""
    tests = {"jit": _jit, "vmap": _vmap, "custom_vjp": _custom_vjp}
    findings = []
    for clause in tests.keys() & clauses:
        try:
            with np.errstate(all="ignore"):
                findings += tests[clause](case)
        except Exception as error:
            line = (str(error).strip().splitlines() or ["no message"])[0]
            what = f"jax.{clause} refuses the rule: {type(error).__name__}: {line}"
            findings.append(Finding(clause, None, what, fatal=False))
    return findings


def primal_findings(case: Case) -> list[Finding]:
    """Forward's y against the plain function it claims to be."""
    plain = (
        jax.jit(case.subject.primal) if case.subject.traceable else case.subject.primal
    )
    wanted = _floats(plain(*case.subject.args))
    y = _compiled_or_not(case)(case.subject.args, case.dy)[0]
    return _compare_y(case, _floats(y), wanted, "than the function's own value")


def _compiled_or_not(case: Case) -> Callable:
    f = pullback(case.subject)
    return jax.jit(f) if case.subject.traceable else f


def _jit(case: Case) -> list[Finding]:
    dy = [jax.device_put(v) for v in case.dy]
    y, cotangents = pullback(case.subject)(case.subject.args, dy)
    jitted, _ = jax.jit(pullback(case.subject))(case.subject.args, dy)
    findings = _compare_y(
        case, _floats(jitted), _floats(y), "under jax.jit than without"
    )
    return findings or _compare(case, "jit", cotangents)


def _custom_vjp(case: Case) -> list[Finding]:
    args, dy = case.subject.args, case.dy
    findings = []
    for how, again in ("", lambda f: f), (" under jax.checkpoint", jax.checkpoint):
        f = jax.jit(through_custom_vjp(case.subject, again))
        findings = findings or _compare(case, "custom_vjp", f(args, dy)[1], how)
    return findings


def _vmap(case: Case) -> list[Finding]:
    f = pullback(case.subject)
    for which, is_batched, over_dy in _batches(len(case.subject.args)):
        points = (
            (case.subject.args, case.dy),
            (
                _where(is_batched, case.other_args, case.subject.args),
                case.other_dy if over_dy else case.dy,
            ),
        )
        args, dys = jax.tree.map(_stack, *points)
        axes = tuple(0 if b else None for b in is_batched), 0 if over_dy else None
        given = _where(is_batched, args, case.subject.args), dys if over_dy else case.dy
        batched = jax.jit(jax.vmap(f, axes))(*given)[1]
        for i, (at, dy) in enumerate(points):
            got = {k: v[i] for k, v in batched.items()}
            found = _compare(case, "vmap", got, which, at=at, dy=dy)
            if found:
                return found[:1]
    return []


def _batches(count: int) -> Iterator[tuple[str, list[bool], bool]]:
    """What is batched: its name, which of `count` arguments are, and whether dy is."""
    yield "dy alone", [False] * count, True
    yield "all inputs", [True] * count, True
    yield "the arguments alone", [True] * count, False
    for k in range(count) if count > 1 else ():
        yield f"argument {k} alone", [j == k for j in range(count)], False


def _where(which: list[bool], these: tuple, those: tuple) -> tuple:
    return tuple(a if w else b for w, a, b in zip(which, these, those))


def _stack(a: Any, b: Any) -> Any:
    return jax.numpy.stack([a, b])


def _compare(
    case: Case, clause: str, got: dict, *words: str, at: Any = None, dy: Any = None
) -> list[Finding]:
    at, dy = at or case.subject.args, dy or case.dy
    base = case.run(at, dy)
    gaps = {k: distance(np.asarray(got[k]), v) for k, v in base.items()}
    if all(gaps[k] <= case.allowed(v, 0.0) for k, v in base.items()):
        return []
    noise = case.noise(base, at, dy, move=True)
    return [
        Finding(clause, k, DIFFERS[clause].format(k, *words))
        for k, v in base.items()
        if gaps[k] > case.allowed(v, noise[k])
    ]


def _compare_y(case: Case, got: list, wanted: list, where: str) -> list[Finding]:
    same = len(got) == len(wanted) and all(
        distance(a, b) <= case.allowed(b, 0.0) for a, b in zip(got, wanted)
    )
    if same:
        return []
    return [Finding("primal", None, DIFFERS["primal"].format(where))]


def _floats(y: Any) -> list:
    leaves = (np.asarray(v) for v in jax.tree.leaves(y))
    return [v for v in leaves if jax.numpy.issubdtype(v.dtype, np.inexact)]
