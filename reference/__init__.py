"""The oracle: proves or refutes any hand-written backward pass against autodiff."""

from reference.check import (
    check_custom_vjp,
    check_gradient,
    check_loss,
    check_network,
    check_rule,
    check_vjp,
)
from reference.diagnosis.cause import Cause, Diagnosis
from reference.diagnosis.diagnose import diagnose
from reference.mutate.mutants import mutants
from reference.mutate.power import power
from reference.report import Report, assert_correct
from reference.verdict import Verdict

__all__ = [
    "Cause",
    "Diagnosis",
    "Report",
    "Verdict",
    "assert_correct",
    "check_custom_vjp",
    "check_gradient",
    "check_loss",
    "check_network",
    "check_rule",
    "check_vjp",
    "mutants",
    "power",
    "diagnose",
]
