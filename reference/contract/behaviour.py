"""Item by item, what running a subject can show of its contract."""

from dataclasses import replace
from typing import Any

import jax
import numpy as np

from reference.contract.case import Case, cast, lift, make_case
from reference.contract.finding import CANNOT_TRACE, Finding, raised
from reference.contract.leaves import is_float, leaf_names, own, type_of
from reference.contract.linearity import linearity_findings
from reference.contract.program import epsilon_of, remembered, signature
from reference.contract.proof import UNSEEN, Proof, abstract, prove, trace_forward
from reference.contract.purity import purity_findings
from reference.contract.transforms import primal_findings, transform_findings
from reference.verifier.oracle import exact_arithmetic
from reference.verifier.subject import Subject

UNTRACED = Proof(frozenset({"purity"}), (), frozenset(), UNSEEN)


def behaviour_findings(subject: Subject, dy: Any) -> list[Finding]:
    """Judge linearity in dy, purity and the behaviour under transformations.

    What can be traced is lifted to float64; where that fails it is judged in the
    dtypes given. A rule that calls back into Python, or cannot be traced, is allowed
    the rounding of float32, because it may compute in that.

    Args:
        subject: One without fatal structure findings.
        dy: A cotangent of forward's y; its leaves for integers of y are ignored.

    Returns:
        The findings. One on purity is the only fatal one, since it spoils the rest.
    """
    dy = [np.asarray(v) for v in jax.tree.leaves(dy) if is_float(v)]
    if subject.traceable:
        for to_float64 in (True, False):
            try:
                return _judge_traced(subject, dy, to_float64)
            except CANNOT_TRACE:
                break
            except Exception as error:
                failure = raised("forward or backward", error)
                if failure.check == "leak" or not to_float64:
                    return [failure]
    args = own(subject.args, to_jax=subject.traceable)
    subject = replace(subject, args=args, traceable=False)
    dtypes = {type_of(v).dtype for v in jax.tree.leaves((args, dy))}
    epsilon = max(UNTRACED.epsilon, epsilon_of(dtypes))
    return _judge(make_case(subject, dy, epsilon), UNTRACED)


def _judge_traced(given: Subject, dy: list, to_float64: bool) -> list[Finding]:
    with exact_arithmetic(to_float64 or jax.config.jax_enable_x64):
        subject = replace(
            given, args=lift(given.args) if to_float64 else own(given.args, True)
        )
        key = ("proof", signature(subject, subject.args))
        proof, types = remembered(key, lambda: _prove(subject))
        dy = [cast(v, t) for v, t in zip(dy, types, strict=True)]
        case = make_case(subject, dy, proof.epsilon)
        findings = _judge(case, proof)
    if not proof.unused:
        return findings
    with exact_arithmetic(jax.config.jax_enable_x64):
        key = ("unused", signature(given, given.args))
        return findings + remembered(key, lambda: _unused(given, proof.unused))


def _prove(subject: Subject) -> tuple[Proof, list]:
    _, y, _ = trace_forward(subject, abstract(subject.args))
    types = [type_of(v) for v in jax.tree.leaves(y) if is_float(v)]
    return prove(subject, types), types


def _judge(case: Case, proof: Proof) -> list[Finding]:
    findings = list(proof.findings)
    if "purity" in proof.unproven:
        impure = purity_findings(case)
        findings = impure if any(f.fatal for f in impure) else findings + impure
    if any(f.fatal for f in findings):
        return findings[:1]
    if case.subject.linear:
        findings += linearity_findings(case)
    if any(f.fatal for f in findings):
        return findings
    findings += transform_findings(case, proof.unproven)
    if case.subject.primal is not None:
        findings += primal_findings(case)
    return findings


def _unused(given: Subject, names: frozenset[str]) -> list[Finding]:
    """A note with the bytes that each unused residual takes in the caller's dtypes."""
    _, _, residuals = trace_forward(given, abstract(given.args))
    leaves = zip(leaf_names(("residuals",), (residuals,)), jax.tree.leaves(residuals))
    return [
        Finding("unused residual", None, _wasted(name, v), fatal=False)
        for name, v in leaves
        if name in names
    ]


def _wasted(name: str, leaf: jax.ShapeDtypeStruct) -> str:
    size = f"{leaf.size * leaf.dtype.itemsize:,} bytes"
    return f"backward does not use the values of {name} ({size}): do not keep it"
