"""How many planted mistakes are named: `python -m tests.reference.mistakes.score`.

Writes docs/diagnosis.md's table. A mistake is named if every wrong leaf has a cause and
one of the causes is the planted one; a cause is wrong if it is none of the planted.
"""

import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from reference.diagnosis.cause import Diagnosis
from reference.diagnosis.diagnose import diagnose
from reference.diagnosis.scene import Stage
from reference.generated import replaced, table
from reference.report import Leaf, Report
from reference.verdict import Verdict
from reference.verifier.oracle import exact_arithmetic
from reference.verifier.problem import ContractError, flatten
from reference.verifier.subject import Subject
from reference.verifier.verify import check_subject, differentiable, output_of
from tests.reference.mistakes import MISTAKES, RIGHT, Mistake
from tests.reference.mistakes.case import LATER, UNSEEN
from tests.zoo import defaults

PAGE = Path(__file__).parents[3] / "docs" / "diagnosis.md"


@dataclass(frozen=True)
class Scored:
    """One mistake and what was said of it."""

    mistake: Mistake
    found: Diagnosis
    seconds: float

    @property
    def true(self) -> list[bool]:
        """For each stated cause whether it is a planted one."""
        return [self.mistake.named_by(c.label) for c in self.found.causes]

    @property
    def named(self) -> bool:
        """Whether the planted cause is stated."""
        return any(self.true)


def subject_of(m: Mistake) -> Subject:
    """What the check gets."""
    args = m.args()
    names = tuple(f"args[{i}]" for i in range(len(args)))
    names = ("dparams", "dx") if m.terms else names
    return Subject(
        m.name,
        m.forward,
        m.backward,
        args,
        names,
        traceable=m.traceable,
        terms=m.terms,
    )


def scored(m: Mistake) -> Scored:
    """Check and diagnose."""
    with defaults():
        subject = subject_of(m)
        # Only the whole check tells imprecise from wrong.
        is_rounding = "C12" in m.classes
        report = check_subject(subject, points=4) if is_rounding else judged(subject)
        start = time.process_time()
        found = diagnose(report)
        return Scored(m, found, time.process_time() - start)


def judged(subject: Subject) -> Report:
    """The report; a short one where the error shows at the given point anyway."""
    try:
        with exact_arithmetic():
            problem, oracle = differentiable(flatten(subject, output_of(subject)))
            home = Stage(problem, 0).home if oracle and subject.traceable else None
            wrong = [home.is_wrong(i) for i in range(len(problem.names))]
    except (AttributeError, ContractError, TypeError, ValueError):
        wrong = []
    if not any(wrong):
        return check_subject(subject, points=4)
    leaves = {
        name: Leaf(name, Verdict.WRONG if w else Verdict.RIGHT)
        for name, w in zip(problem.names, wrong)
    }
    return Report(subject.name, leaves, given=subject)


def row(s: Scored) -> tuple[str, ...]:
    """A line of the table."""
    said = "; ".join(f"`{c.label}`" for c in s.found.causes) or "where, not why"
    mark = "" if s.named else " ✗"
    half = s.mistake.group
    classes = " ".join(s.mistake.classes)
    return f"{s.mistake.name}{mark}", classes, half, said


def summary(half: str, found: list[Scored]) -> tuple[str, ...]:
    """A line of the summary."""
    named = sum(s.named for s in found)
    causes = [ok for s in found for ok in s.true]
    slowest = max(s.seconds for s in found)
    return (
        half,
        str(len(found)),
        f"{named} ({named / len(found):.0%})",
        f"{sum(causes)} of {len(causes)} ({sum(causes) / max(len(causes), 1):.0%})",
        f"{slowest:.0f} s",
    )


def tables(found: list[Scored], spoken: Counter) -> str:
    """Everything between the marks."""
    groups = ("developed on", LATER, "reported", UNSEEN)
    stated = "stated causes that are the planted one"
    parts = [
        table(
            ("half", "planted", "named", stated, "slowest"),
            (summary(g, [s for s in found if s.mistake.group == g]) for g in groups),
        ),
        f"Of {len(RIGHT)} right backward passes beside them: {spoken['causes']} causes "
        "stated.",
        table(
            ("mistake", "class", "half", "said"),
            map(row, sorted(found, key=lambda s: s.mistake.name)),
        ),
    ]
    return "\n\n".join(parts)


def main() -> None:
    """Score every mistake and write the table into the page."""
    found = []
    for m in MISTAKES.values():
        found.append(scored(m))
        print(
            *row(found[-1]), f"{found[-1].seconds:.1f} s", file=sys.stderr, flush=True
        )
    spoken = Counter(causes=0)
    for m in RIGHT.values():
        spoken["causes"] += len(scored(m).found.causes)
    generated = f"\n{tables(found, spoken)}\n"
    PAGE.write_text(replaced(PAGE.read_text(), "score", generated, who="score"))


if __name__ == "__main__":
    main()
