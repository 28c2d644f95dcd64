"""The lab's table: accuracies over the seeds, beside what a published solution reached.

That solution is stateful NumPy, one training of each network on MNIST's first 40,000
digits, batch 4, learning rate 0.1, one epoch. Its activation object stood in the
three-layer networks twice.
"""

from collections.abc import Sequence

from reference.generated import table
from reference.lab.accident import Accident
from reference.lab.answers import spread
from reference.lab.sweep import Run

PUBLISHED = {
    "784-10 none": "88.4 %",
    "784-128-10 tanh": "93.4 %",
    "784-128-10 sigmoid": "93.4 %",
    "784-128-10 relu": "95.0 %",
    "784-128-128-10 tanh": "92.9 %",
    "784-128-128-10 sigmoid": "89.9 %",
    "784-128-128-10 relu": "85.9 %",
}
MADE = "`purefw lab` writes this page, and beside it lab.html with the figures."


def header(runs: Sequence[Run]) -> list[str]:
    """The names of the columns; the published one where these are its networks."""
    return ["network", "held-out accuracy", *["published"] * comparable(runs)]


def rows(runs: Sequence[Run], mishap: Accident) -> list[list[str]]:
    """A line a network, and one of the accident."""
    pairs = [(run.name, run.accuracy) for run in runs]
    pairs.append((f"{mishap.name}, one shared object", mishap.shared))
    beside = comparable(runs)
    return [
        [name, spread(accuracy), *[PUBLISHED.get(name, "")] * beside]
        for name, accuracy in pairs
    ]


def comparable(runs: Sequence[Run]) -> bool:
    """Whether these are the published networks."""
    return all(run.name in PUBLISHED for run in runs)


def markdown(title: str, runs: Sequence[Run], mishap: Accident, answers) -> str:
    """Title, table and sentences as Markdown."""
    shown = table(header(runs), rows(runs, mishap))
    found = "\n\n".join(f"**{a.question}** {a.sentence}" for a in answers)
    return f"# The lab\n\n{title} {MADE}\n\n{shown}\n\n{found}\n"
