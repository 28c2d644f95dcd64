"""How planted mistakes are marked: `python -m tests.reference.teaching.score [NAME …]`.

Grades every submission of planted.txt, and asks the courses' checks about it; of the
exercises named, or of all. What was found is kept in docs/teaching_score.json, from
which the tables of docs/teaching.md are made.
"""

import json
import sys
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from reference.generated import replaced, table
from reference.teaching.exercise import drawn
from tests.reference.teaching.course_checks import CHECKS, passes
from tests.reference.teaching.planted import PLANTED, Planted
from tests.reference.teaching.solved import EXERCISES, graded

DOCS = Path(__file__).parents[3] / "docs"
KEPT, PAGE = DOCS / "teaching_score.json", DOCS / "teaching.md"
SEED = 3


@dataclass(frozen=True)
class Scored:
    """What was found of a wrong submission.

    Attributes:
        name: Of the mistake.
        expected: The marks that it should cost, ~ before those half lost.
        lost: Those that it cost.
        labels: The causes stated.
        true: For each cause whether it is a planted one.
        passes: The courses' checks that let it pass.
    """

    name: str
    expected: list[str]
    lost: list[str]
    labels: list[str]
    true: list[bool]
    passes: list[str]

    @property
    def placed(self) -> bool:
        """Marked down at the right terms, and nowhere else."""
        return set(self.expected) == set(self.lost)


def score(planted: Planted) -> Scored:
    """Grade one."""
    found = graded(planted.exercise, planted.source, SEED)
    lost = [m for m in found.marks if not m.is_full]
    labels = list(dict.fromkeys(m.label for m in lost if m.label))
    return Scored(
        planted.name,
        list(planted.lost),
        ["~" * (m.points > 0) + m.name for m in lost],
        labels,
        [label.startswith(planted.causes) for label in labels],
        [
            name
            for name, check in CHECKS.items()
            if passes(check, planted.source, usual(planted.exercise))
        ],
    )


@cache
def usual(name: str) -> list:
    """Each part with its usual configuration."""
    exercise = EXERCISES[name]
    return list(zip(exercise.parts, (cases[0] for cases in drawn(exercise, SEED))))


def load() -> dict[str, list[Scored]]:
    """What is kept, by exercise."""
    if not KEPT.exists():
        return {}
    kept = json.loads(KEPT.read_text())
    return {name: [Scored(**s) for s in found] for name, found in kept.items()}


def save(kept: dict[str, list[Scored]]) -> None:
    """In the order of the course."""
    ordered = {n: [asdict(s) for s in kept[n]] for n in EXERCISES if n in kept}
    KEPT.write_text(json.dumps(ordered, indent=1, ensure_ascii=False) + "\n")


def tables(kept: dict[str, list[Scored]]) -> str:
    """Everything between the marks."""
    head = ("exercise", "planted", "at the right terms", "a cause stated", "true")
    everything = [s for found in kept.values() for s in found]
    rows = [row(f"`{name}`", found) for name, found in kept.items()]
    missed = [
        (f"`{s.name}`", ", ".join(s.expected), ", ".join(s.lost), said(s))
        for s in everything
        if not s.placed or not all(s.true)
    ]
    courses = [
        (name, f"{sum(name in s.passes for s in everything)}") for name in CHECKS
    ]
    undetected = sum(not s.lost for s in everything)
    return "\n\n".join(
        [
            table(head, [*rows, row("all", everything)]),
            "What was marked otherwise than planted, or explained otherwise:",
            table(("mistake", "planted at", "marked at", "said"), missed),
            f"Of the same {len(everything)} wrong submissions these pass:",
            table(("check", "let pass"), [*courses, ("purefw grade", f"{undetected}")]),
        ]
    )


def row(name: str, found: list[Scored]) -> tuple[str, ...]:
    """A line of the first table."""
    placed, causes = sum(s.placed for s in found), [t for s in found for t in s.true]
    stated = sum(bool(s.labels) for s in found)
    return (
        name,
        str(len(found)),
        str(placed),
        str(stated),
        f"{sum(causes)} of {len(causes)}",
    )


def said(s: Scored) -> str:
    """The causes, ✗ behind those that are not planted."""
    return "; ".join(f"`{v}`{'' if t else ' ✗'}" for v, t in zip(s.labels, s.true))


def current(text: str) -> str:
    """The page with the tables of what is kept."""
    return replaced(text, "score", "\n" + tables(load()) + "\n", who="score")


def main() -> None:
    """Score, keep, write the page."""
    kept = load()
    for name in sys.argv[1:] or EXERCISES:
        kept[name] = [score(p) for p in PLANTED if p.exercise == name]
        for s in kept[name]:
            mark = "" if s.placed and all(s.true) else "  ✗ " + ", ".join(s.expected)
            print(f"{s.name}: {', '.join(s.lost)}: {said(s)}{mark}", flush=True)
        save(kept)
    PAGE.write_text(current(PAGE.read_text()))


if __name__ == "__main__":
    main()
