"""The oracle: proves or refutes any hand-written backward pass against autodiff."""

from reference.check import check_loss, check_rule, check_vjp
from reference.report import Report, assert_correct
from reference.verdict import Verdict

__all__ = [
    "Report",
    "Verdict",
    "assert_correct",
    "check_loss",
    "check_rule",
    "check_vjp",
]
