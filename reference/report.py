"""The result of a check."""

from dataclasses import dataclass

from reference.verdict import Verdict


@dataclass(frozen=True)
class Leaf:
    """The judgement of one leaf of the cotangent."""

    name: str
    verdict: Verdict
    error: float


@dataclass(frozen=True)
class Report:
    """The judgement of one backward pass, leaf by leaf."""

    subject: str
    leaves: dict[str, Leaf]

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of a leaf."""
        return max(
            (leaf.verdict for leaf in self.leaves.values()), key=lambda v: v.severity
        )


def assert_correct(report: Report) -> None:
    """Raise AssertionError, with the report as message, unless RIGHT or KINK."""
    if report.verdict not in (Verdict.RIGHT, Verdict.KINK):
        raise AssertionError(str(report))
