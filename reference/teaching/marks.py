"""A graded submission: one mark a term, and what is known of each that is lost."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any

SCHEMA = 1
HINTS = ("where", "axis", "term", "formula")


@dataclass(frozen=True)
class Mark:
    """One term.

    Attributes:
        name: "forward", "dscale", "dx: mean", with the part in front: "mix: dv".
        points: 1, half where only unusual configurations are wrong, or 0.
        of: What it could be.
        wrong_at: The kinds of configurations that are wrong.
        said: What was returned or raised, where it is no array to be compared.
        where: The first hint: the worst entry.
        axis: The second: which entries, along which axes.
        term: The third: the cause, proved (reference.diagnosis), or what is known.
        formula: The fourth.
        label: The cause for programs, "term: mean missing"; "" where none is proved.
        mistake: The cause's class, "C2".
    """

    name: str
    points: float = 1.0
    of: float = 1.0
    wrong_at: tuple[str, ...] = ()
    said: str = ""
    where: str = ""
    axis: str = ""
    term: str = ""
    formula: str = ""
    label: str = ""
    mistake: str = ""

    @property
    def is_full(self) -> bool:
        """Nothing is lost."""
        return self.points == self.of

    @property
    def state(self) -> str:
        """In a few words, without a hint."""
        if self.is_full:
            return "right"
        if self.points:
            return "right on usual configurations, wrong on others"
        return self.said or "wrong"

    def hints(self, level: int) -> list[str]:
        """The first `level` hints."""
        said = [getattr(self, kind) for kind in HINTS[:level]]
        return [] if self.is_full else [s for s in said if s]


@dataclass(frozen=True)
class Grade:
    """A submission's marks.

    Attributes:
        exercise: Its name.
        seed: Of the hidden configurations.
        marks: One a term.
        refused: Why the submission gets nothing at all; "" where it is judged.
        hints: How many hints were given.
        seconds: Wall-clock time.
    """

    exercise: str
    seed: int
    marks: tuple[Mark, ...]
    refused: str = ""
    hints: int = 0
    seconds: float = field(default=0.0, compare=False)

    @property
    def points(self) -> float:
        """The sum."""
        return sum(m.points for m in self.marks)

    @property
    def of(self) -> float:
        """What it could be."""
        return sum(m.of for m in self.marks)

    def mark(self, name: str) -> Mark:
        """The mark of a term."""
        return next(m for m in self.marks if m.name == name)

    def __str__(self) -> str:
        """A headline, a line a term, the hints asked for."""
        lines = [f"{self.exercise}: {self.points:g} of {self.of:g}"]
        if self.refused:
            return "\n".join([*lines, f"  not judged: the submission {self.refused}"])
        width = max(len(m.name) for m in self.marks)
        for m in self.marks:
            lines.append(f"  {m.points:>3g} of {m.of:g}  {m.name:<{width}}  {m.state}")
            lines += [f"{'':<12}hint: {hint}" for hint in m.hints(self.hints)]
        return "\n".join(lines)

    def to_json(self) -> str:
        """A JSON object: `schema`, `points`, `of` and the attributes."""
        body = {"schema": SCHEMA, "points": self.points, "of": self.of}
        return json.dumps(body | asdict(self), indent=1)


def grade_from(text: str) -> Grade:
    """What `to_json` wrote.

    Raises:
        ValueError: it did not.
    """
    try:
        body: dict[str, Any] = json.loads(text)
        if body["schema"] != SCHEMA:
            raise ValueError(f"report: schema must be {SCHEMA}, got {body['schema']}")
        marks = tuple(
            Mark(**m | {"wrong_at": tuple(m["wrong_at"])}) for m in body["marks"]
        )
        names = ("exercise", "seed", "refused", "hints", "seconds")
        return Grade(marks=marks, **{name: body[name] for name in names})
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError("report: FILE must be a result of `purefw grade`") from error
