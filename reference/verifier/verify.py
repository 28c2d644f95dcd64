"""From a subject to its report: the order of the checks, and what ends them early.

1.  structure (reference.contract): a broken one is CONTRACT, and nothing else is said
2.  MATH in float64 (reference.verifier.judge), or differences alone
(reference.verifier.black_box) 3.  circular truths (reference.verifier.circular), other
shapes (reference.verifier.shapes) 4.  behaviour (reference.contract): linear in dy,
pure, the same under jit and vmap 5.  ROUNDING in the working dtypes
(reference.verifier.rounding) 6.  for a wrong leaf, what the other witnesses say at its
worst entry

JAX's configuration is as before afterwards, also where something raises.
"""

import time
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from reference.contract import Finding, behaviour_findings, structure_findings
from reference.report import Leaf, Report
from reference.verdict import Verdict
from reference.verifier.black_box import judge_black_box
from reference.verifier.circular import judge_circular
from reference.verifier.cotangents import generator, normal
from reference.verifier.judge import Findings, judge_math, judge_shapes
from reference.verifier.oracle import PASSES, Oracle, exact_arithmetic, oracle_for
from reference.verifier.points import Point
from reference.verifier.probe import Probe
from reference.verifier.problem import ContractError, Problem, first_line, flatten
from reference.verifier.programs import in_library
from reference.verifier.rounding import judge_rounding
from reference.verifier.second_order import second_order_notes
from reference.verifier.shrink import as_it_is, reproducer
from reference.verifier.subject import Subject
from reference.verifier.witnesses import leaf_with_witnesses, plain_leaf

POINTS = 24  # More than there are moves: all of them.
COLUMNS = 4096  # Entries of the arguments up to which forward mode makes a truth.


def check_subject(
    subject: Subject,
    *,
    seed: int = 0,
    dtypes: tuple | None = None,
    points: int = POINTS,
) -> Report:
    """Judge a subject; every entrance of reference.check ends here."""
    start = time.perf_counter()
    found = structure_findings(subject)
    if sentences(found):
        leaves = {
            f.leaf: Leaf(f.leaf, Verdict.CONTRACT, f.sentence)
            for f in found
            if f.fatal and f.leaf is not None
        }
        return Report(
            subject.name, leaves, broken=sentences(found), seed=seed, given=subject
        )
    before = Counter(PASSES)
    try:
        report = judge(subject, seed, dtypes, points)
    except ContractError as error:
        report = Report(subject.name, {}, broken=(str(error),), seed=seed)
    except Exception as error:  # The user sees a sentence, never JAX's own frames.
        report = Report(subject.name, {}, broken=(stopped(error),), seed=seed)
    return replace(
        report,
        seconds=time.perf_counter() - start,
        given=subject,
        hand_passes=PASSES["hand"] - before["hand"],
        reference_passes=PASSES["truth"] - before["truth"],
        forward_passes=PASSES["forward"] - before["forward"],
    )


def stopped(error: Exception) -> str:
    """What stopped a check, and where."""
    frames = traceback.extract_tb(error.__traceback__)
    users = [f for f in frames if not in_library(f.filename)] or frames
    place = f"{Path(users[-1].filename).name}:{users[-1].lineno}"
    return f"the check stops at {place}: {first_line(error)}"


def judge(subject: Subject, seed: int, dtypes: tuple | None, points: int) -> Report:
    """Steps 2 to 6."""
    x64 = bool(jax.config.jax_enable_x64)
    with exact_arithmetic(x64):
        y = output_of(subject)
    with exact_arithmetic():
        problem = flatten(subject, y)
        problem, oracle = differentiable(problem)
        if oracle is None:
            return judge_by_differences(problem, seed)
        probe = Probe(problem, oracle, seed, points=points)
        given = Point("given", problem.live, problem.rest)
        refuse_nonfinite(probe.output(given))
        findings, notes = judge_math(probe, given, subject.linear)
        if problem.by_columns:
            notes.append("judged by forward mode: the forward has no reverse mode")
        judge_circular(probe, given, findings, notes)
        judge_shapes(probe, findings, notes)
        notes += second_order_notes(probe, given, findings)
    # NaN and inf break every clause of the contract, and are a verdict already.
    finite = all(np.isfinite(f.units) for f in findings)
    contract = behaviour(probe) if finite else []
    judge_rounding(probe, given, findings, dtypes, x64)
    with exact_arithmetic():
        blame_nonlinear(problem, findings, contract)
        leaves = [
            leaf_with_witnesses(probe, name, i, findings[i])
            for i, name in enumerate(problem.names)
            if problem.is_judged[i]
        ]
        code = reproduce(probe, findings)
    notes += [f"precision leak: {leak}" for leak in oracle.leaks]
    notes += [f"{why}, with {', '.join(at)}" for why, at in probe.refusals.items()]
    report = assemble(subject, seed, leaves, contract, notes)
    return replace(report, reproduce=code)


def accused_at_given(subject: Subject, seed: int = 0) -> Verdict | None:
    """IMPRECISE, WRONG or CONTRACT where the given point alone shows it, else None.

    The check of a subject gives no better verdict. Other points and shapes, linearity
    and purity are not looked at, nor what a report says beside its verdict.
    """
    if sentences(structure_findings(subject)):
        return Verdict.CONTRACT
    x64 = bool(jax.config.jax_enable_x64)
    try:
        with exact_arithmetic():
            problem, oracle = differentiable(flatten(subject, output_of(subject)))
            if oracle is None:
                return None
            probe = Probe(problem, oracle, seed, points=0)
            given = Point("given", problem.live, problem.rest)
            findings, _ = judge_math(probe, given, subject.linear)
        if worst_of(findings).severity < Verdict.IMPRECISE.severity:
            judge_rounding(probe, given, findings, None, x64)
    except Exception:  # The whole check says what stops it.
        return None
    worst = worst_of(findings)
    return worst if worst.severity >= Verdict.IMPRECISE.severity else None


def worst_of(findings: list[Findings]) -> Verdict:
    """The worst verdict among the leaves."""
    return max((f.verdict for f in findings), key=lambda v: v.severity)


def reproduce(probe: Probe, findings: list[Findings]) -> str:
    """A small example of the first wrong leaf, or ''."""
    for i, leaf in enumerate(findings):
        if leaf.verdict is Verdict.WRONG and leaf.trial is not None:
            return reproducer(probe, leaf.trial, i)
    return ""


def judge_by_differences(problem: Problem, seed: int) -> Report:
    """Step 2 and 4 for a forward that JAX cannot differentiate."""
    findings, notes = judge_black_box(problem, seed)
    shape = problem.shape
    subject = replace(problem.subject, traceable=problem.is_jax)
    flat = normal(shape.output_size, generator(seed, 10)).value
    contract = behaviour_findings(
        subject, shape.cotangent(shape.narrow(shape.split(flat)))
    )
    blame_nonlinear(problem, findings, contract)
    leaves = [plain_leaf(n, f) for n, f in judged(problem, findings)]
    report = assemble(subject, seed, leaves, contract, notes)
    wrong = [f.trial.point for f in findings if f.trial is not None]
    code = as_it_is(problem, wrong[0], seed) if wrong else ""
    return replace(report, reproduce=code)


def output_of(subject: Subject) -> Any:
    """y at the given arguments, or its shapes where the forward can be traced."""
    try:
        return jax.eval_shape(subject.forward, *subject.args)[0]
    except Exception:  # What cannot be traced is called.
        y = subject.forward(*subject.args)[0]
        refuse_nonfinite([np.asarray(v) for v in jax.tree.leaves(y)])
        return y


def refuse_nonfinite(leaves: list[np.ndarray]) -> None:
    """Raise ContractError where y is not finite at the given arguments."""
    for v in leaves:
        if np.issubdtype(v.dtype, np.inexact) and not np.isfinite(v).all():
            raise ContractError(
                "forward must return finite values at the given arguments, "
                f"got {v.ravel()[~np.isfinite(v.ravel())][0]}"
            )


def differentiable(problem: Problem) -> tuple[Problem, Oracle | None]:
    """The problem and its oracle; None where JAX cannot differentiate the forward."""
    for candidate in candidates(problem):
        try:
            oracle = oracle_for(candidate.functions)
            oracle.is_dead  # noqa: B018  Tracing the pullback tells.
            if problem.subject.opened is not None:  # And running it, where it leaks.
                given = Point("given", problem.live, problem.rest)
                Probe(candidate, oracle, 0).output(given)
        except ContractError:
            raise
        except Exception:  # NumPy, callbacks, loops: whatever stops the trace.
            continue
        return candidate, oracle
    return problem, None


def candidates(problem: Problem) -> Iterator[Problem]:
    """The problem, with its primal opened; by reverse mode, by forward mode."""
    is_complex = any(np.iscomplexobj(v) for v in problem.live)
    few = sum(v.size for v in problem.live) <= COLUMNS and not is_complex
    subject = problem.subject
    for by_columns in (False, True) if few else (False,):
        for primal in dict.fromkeys((subject.primal, subject.opened or subject.primal)):
            yield replace(
                problem,
                subject=replace(subject, primal=primal),
                by_columns=by_columns,
            )


def behaviour(probe: Probe) -> list[Finding]:
    """Step 4, under a normal cotangent in the output's own dtypes."""
    dy = normal(probe.size, generator(probe.seed, 10))
    shape = probe.problem.shape
    dys = shape.narrow(probe.split(dy))
    return behaviour_findings(probe.problem.subject, shape.cotangent(dys))


def blame_nonlinear(problem, findings: list[Findings], contract: list[Finding]) -> None:
    """A leaf that is not linear in dy is WRONG, by the sentence that says how."""
    for finding in contract:
        for name, leaf in zip(problem.names, findings):
            if finding.nonlinear and finding.leaf in (None, name):
                leaf.verdict, leaf.sentence = Verdict.WRONG, finding.sentence


def judged(problem: Problem, findings: list[Findings]) -> list[tuple[str, Findings]]:
    """Names and findings of the leaves that have a cotangent."""
    triples = zip(problem.names, findings, problem.is_judged)
    return [(name, leaf) for name, leaf, is_judged in triples if is_judged]


def assemble(subject, seed, leaves, contract, notes) -> Report:
    """The report."""
    broken = sentences([f for f in contract if not f.nonlinear])
    remarks = [f"{f.check}: {f.sentence}" for f in contract if not f.fatal]
    return Report(
        subject.name,
        {leaf.name: leaf for leaf in leaves},
        broken=broken,
        notes=tuple(dict.fromkeys([*notes, *remarks])),
        seed=seed,
    )


def sentences(findings: list[Finding]) -> tuple[str, ...]:
    """What the fatal ones say."""
    return tuple(f"{f.check}: {f.sentence}" for f in findings if f.fatal)
