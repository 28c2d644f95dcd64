"""Two hundred wrong submissions: the solutions, each with one mistake in it.

planted.txt has a line for each: what the solution says, what this one says (⏎ is the
end of a line, + an addition at the end), which marks that costs, and which causes are
true of it, as the start of a label of reference.diagnosis; - for none, as a mistake in
forward has no cause. A mark behind ~ is half lost: only an unusual configuration is
wrong. All lines were written before any was graded.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from tests.reference.teaching.solved import solution

LATEST = """
KEPT, right, own = [], forward, backward

def forward(*args, **options):
    KEPT.append(right(*args, **options)[1])
    return right(*args, **options)

def backward(residuals, dy, **options):
    return own(KEPT[-1], dy, **options)
"""


@dataclass(frozen=True)
class Planted:
    """A wrong submission.

    Attributes:
        exercise: Its name.
        old: What the solution says; "" where something is added at the end.
        new: What this one says.
        lost: The marks that it costs.
        causes: The starts of labels that are true.
    """

    exercise: str
    old: str
    new: str
    lost: tuple[str, ...]
    causes: tuple[str, ...]

    @property
    def name(self) -> str:
        """In one line."""
        return f"{self.exercise}: {' '.join(self.new.split())[:60]}"

    @property
    def source(self) -> str:
        """The whole submission."""
        right = solution(self.exercise)
        assert right.count(self.old) == 1 or not self.old, (self.exercise, self.old)
        return right.replace(self.old, self.new) if self.old else right + self.new


def read(text: str) -> list[Planted]:
    """The lines of planted.txt."""
    found, exercise = [], ""
    for line in text.splitlines():
        if line.startswith("["):
            exercise = line.strip("[]")
        elif line and not line.startswith("#"):
            old, new, lost, causes = re.split(r"\s*=>\s*", line)
            old, new = (part.replace("⏎", "\n") for part in (old, new))
            found.append(
                Planted(
                    exercise,
                    "" if old == "+" else old,
                    new.replace("LATEST", LATEST),
                    tuple(mark.strip() for mark in lost.split(",")),
                    tuple(c.strip() for c in causes.split("|") if c.strip() != "-"),
                )
            )
    return found


PLANTED = read(Path(__file__).with_suffix(".txt").read_text())
