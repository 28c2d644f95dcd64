"""The cause of every wrong leaf, in the order from cheap to dear.

    a relation of hand and truth, a changed cotangent, the rule's named terms, a factor,
    a residual substituted, the paths of the forward, contributions of single outputs,
    other axes of a sum, single edits of the hand's program, a missing product, one
    operand of it replaced, edits of the forward and of the truth's program

The first that is proved at fresh probes is stated. But one cause for all leaves goes
before the first cause of each: the specific families are all asked while several
leaves have causes of their own.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice

from reference.diagnosis.cause import Cause, Diagnosis
from reference.diagnosis.contract import contract_causes
from reference.diagnosis.contributions import contributions
from reference.diagnosis.cotangent import cotangents, weighed
from reference.diagnosis.edits import other_forwards, plantings, repairs
from reference.diagnosis.hypothesis import Hypothesis, holds, prove
from reference.diagnosis.masks import not_masked
from reference.diagnosis.nonfinite import nonfinite
from reference.diagnosis.numpy_code import followed
from reference.diagnosis.operands import operands
from reference.diagnosis.paths import forward_paths
from reference.diagnosis.precision import precision_causes
from reference.diagnosis.products import products
from reference.diagnosis.proportions import factors, summed
from reference.diagnosis.reductions import reductions
from reference.diagnosis.relation import relations
from reference.diagnosis.residuals import other_values, residuals
from reference.diagnosis.scene import LIMIT, Stage
from reference.diagnosis.scope import in_scope
from reference.diagnosis.state import other_call
from reference.diagnosis.terms import named_terms
from reference.diagnosis.where import where
from reference.diagnosis.zero_terms import zero_terms
from reference.report import Report
from reference.verdict import Verdict
from reference.verifier.oracle import exact_arithmetic
from reference.verifier.subject import Subject
from reference.verifier.verify import check_subject, differentiable, flatten, output_of

FEW = 4  # Proved hypotheses of a family that may be common to all leaves.
Family = Callable[[Stage, int], Iterator[Hypothesis]]
SPECIFIC: tuple[Family, ...] = (
    nonfinite,
    relations,
    cotangents,
    named_terms,
    factors,
    other_call,
    residuals,
    forward_paths,
    contributions,
    reductions,
    repairs,
    other_values,
)
# Dearer, or true of many mistakes; not asked once every leaf has a cause.
GENERAL: tuple[Family, ...] = (
    products,
    operands,
    in_scope,
    weighed,
    other_forwards,
    plantings,
    summed,
    not_masked,
)


def diagnose(subject: Subject | Report) -> Diagnosis:
    """Why a backward pass is wrong, where that can be proved; else where.

    Args:
        subject: A report of one of the check functions, or a Subject, which is checked
            first.

    Returns:
        A cause for every wrong or imprecise leaf for which one is proved, the place of
        the error for the others. Nothing for leaves that are right. It costs up to
        twenty seconds on two cores, most of it compilation.

    Example:
        >>> import jax.numpy as jnp
        >>> from reference import check_vjp
        >>> def forward(x):
        ...     return jnp.sin(x), x
        >>> def backward(x, dy):
        ...     return (-jnp.cos(x) * dy,)
        >>> report = check_vjp(forward, backward, jnp.array([0.3, 1.2]))
        >>> diagnose(report).causes[0].sentence
        'has the wrong sign'
    """
    start = time.perf_counter()
    report = subject if isinstance(subject, Report) else check_subject(subject)
    if report.given is None:
        raise ValueError("diagnose: report must come from a check, it has no subject")
    found = explained(report, report.given)
    return replace(found, seconds=time.perf_counter() - start)


def explained(report: Report, subject: Subject) -> Diagnosis:
    """The diagnosis of a report's subject."""
    name = report.subject
    causes = contract_causes(report, subject)
    if causes or report.verdict is Verdict.CONTRACT:
        return Diagnosis(name, tuple(causes))
    with exact_arithmetic():
        problem, oracle = differentiable(flatten(subject, output_of(subject)))
        if oracle is None and (read := followed(problem)) is not None:
            problem, oracle = differentiable(flatten(read, output_of(read)))
        if oracle is None:
            return Diagnosis(name)
        stage = Stage(problem, report.seed)
        if report.verdict in (Verdict.RIGHT, Verdict.KINK):
            return Diagnosis(name, zero_terms=zero_terms(stage))
        wrong = wrong_leaves(report, stage)
        causes, left = explain(wrong)
        places = {stage.names[i]: where(s.home, i) for i, s in left.items()}
        zeros = zero_terms(stage) if wrong else ()
    causes += precision_causes(report, subject)
    return Diagnosis(name, tuple(causes), places, zeros)


def wrong_leaves(report: Report, stage: Stage) -> dict[int, Stage]:
    """For each WRONG leaf the stage at whose home it shows."""
    stages = {"given": stage}
    found = {}
    for i, name in enumerate(stage.names):
        leaf = report.leaves.get(name)
        if leaf is None or leaf.verdict is not Verdict.WRONG:
            continue
        found[i] = stage
        if not stage.home.is_wrong(i):
            at = stages.setdefault(
                leaf.point, Stage(stage.problem, report.seed, leaf.point)
            )
            found[i] = at
    return found


def explain(wrong: dict[int, Stage]) -> tuple[list[Cause], dict[int, Stage]]:
    """Causes, and the leaves that are left."""
    causes: dict[int, Cause] = {}
    few = FEW if len(wrong) > 1 else 1
    for family in SPECIFIC + GENERAL:
        if len(causes) == len(wrong) and family in GENERAL:
            break
        found = {
            i: list(islice(proved(family, stage, i), few)) for i, stage in wrong.items()
        }
        common = common_to_all(list(found.values()))
        if common:
            return merged(common), {}
        for i, options in found.items():
            if options:
                causes.setdefault(i, options[0])
    left = {i: stage for i, stage in wrong.items() if i not in causes}
    return merged([causes[i] for i in sorted(causes)]), left


def proved(family: Family, stage: Stage, i: int) -> Iterator[Cause]:
    """The family's hypotheses on leaf `i` that are proved."""
    for hypothesis in family(stage, i):
        if holds(hypothesis, stage.home, i) <= LIMIT:
            cause = prove(hypothesis, stage, i)
            if cause is not None:
                yield cause


def common_to_all(found: list[list[Cause]]) -> list[Cause]:
    """For each leaf the first cause that is proved for all of them, if there is one."""
    for cause in found[0] if found else ():
        same = [[c for c in options if c.label == cause.label] for options in found]
        if all(same):
            return [options[0] for options in same]
    return []


def merged(causes: list[Cause]) -> list[Cause]:
    """Causes of one sentence as one, with all their leaves."""
    found: dict[str, Cause] = {}
    for cause in causes:
        first = found.setdefault(cause.sentence, cause)
        if first is not cause:
            leaves = (*first.leaves, *cause.leaves)
            found[cause.sentence] = replace(first, leaves=leaves)
    return list(found.values())
