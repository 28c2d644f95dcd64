"""A sentence for each of the lab's questions, computed from what was seen."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from reference.lab.accident import Accident
from reference.lab.sweep import Run


class Answer(NamedTuple):
    """A question and its answer."""

    question: str
    sentence: str


def answers(runs: Sequence[Run], mishap: Accident) -> list[Answer]:
    """The four questions of the lab, and what the accident would have answered."""
    return [
        Answer("Does the activation between the layers change the result?", one(runs)),
        Answer("Are 2 or 3 layers needed?", two(runs)),
        Answer("What goes wrong in training as layers are added?", three(runs)),
        Answer("How do the weights behave?", four(runs)),
        Answer("What does one shared activation object do?", five(runs, mishap)),
    ]


def spread(values: np.ndarray) -> str:
    """ "95.0 ± 0.3 %": mean and standard deviation over seeds."""
    mean, deviation = 100 * np.mean(values), 100 * np.std(values)
    return f"{mean:.1f} ± {deviation:.1f} %"


def mean(run: Run) -> float:
    """Of the accuracies."""
    return float(run.accuracy.mean())


def of_depth(runs: Sequence[Run], depth: int) -> list[Run]:
    """Those with so many layers."""
    return [run for run in runs if len(run.sizes) == depth + 1]


def differ(a: Run, b: Run) -> bool:
    """Whether two runs are further apart than twice the spread over seeds."""
    noise = np.hypot(a.accuracy.std(), b.accuracy.std()) / len(a.accuracy) ** 0.5
    return bool(abs(mean(a) - mean(b)) > 2 * noise)


def one(runs: Sequence[Run]) -> str:
    """The best and the worst activation at each depth."""
    parts = []
    for depth in (2, 3):
        ranked = sorted(of_depth(runs, depth), key=mean)
        best, worst = ranked[-1], ranked[0]
        verdict = "more" if differ(best, worst) else "no more"
        parts.append(
            f"with {depth} layers {best.activation} reaches {spread(best.accuracy)} "
            f"and {worst.activation} {spread(worst.accuracy)}, {verdict} than the "
            "seeds explain"
        )
    return f"{'; '.join(parts)}."[0].upper() + f"{'; '.join(parts)}."[1:]


def two(runs: Sequence[Run]) -> str:
    """The best of each depth."""
    best = [max(of_depth(runs, depth), key=mean) for depth in (1, 2, 3)]
    gain = 100 * (mean(best[1]) - mean(best[0]))
    more = 100 * (mean(best[2]) - mean(best[1]))
    third = "a difference" if differ(best[1], best[2]) else "nothing beyond the seeds"
    return (
        f"One layer reaches {spread(best[0].accuracy)}; the second changes that by "
        f"{gain:+.1f} points ({best[1].activation}); the third by {more:+.1f} more "
        f"({best[2].activation}): {third}."
    )


def three(runs: Sequence[Run]) -> str:
    """Gradients of the first layer against the last, and units that do not move."""
    parts = []
    for run in of_depth(runs, 3):
        start = run.looks[0].gradient.mean(axis=0)
        end = run.looks[-1]
        parts.append(
            f"{run.activation}: the first layer's gradient begins at "
            f"{start[0] / start[-1]:.2g} of the last one's; at the end "
            f"{100 * end.flat.mean():.0f} % of the units' slopes are flat and "
            f"{100 * end.dead.mean():.1f} % of the units dead"
        )
    return f"In the three-layer networks, {'; '.join(parts)}."


def four(runs: Sequence[Run]) -> str:
    """The growth of max |W|, layer by layer."""
    parts = []
    for run in of_depth(runs, 3):
        first = run.looks[0].largest.mean(axis=0)
        last = run.looks[-1].largest.mean(axis=0)
        steps = ", ".join(f"{a:.2f} → {b:.2f}" for a, b in zip(first, last))
        parts.append(f"{run.activation} {steps}")
    return f"The largest |W| of layers 1, 2, 3 goes: {'; '.join(parts)}."


def five(runs: Sequence[Run], mishap: Accident) -> str:
    """What would be concluded, and what is so."""
    rival = next(r for r in of_depth(runs, 2) if r.activation in mishap.name.split())
    wrong = [f"{100 * e:.0f} %" for e in mishap.errors]
    fooled = mishap.shared.mean() < mean(rival) <= mishap.pure.mean()
    conclusion = (
        "who trusts it concludes that three layers are worse than two; they are not"
        if fooled
        else "here the accuracy alone does not give it away"
    )
    return (
        f"{mishap.name} with one activation object for both places reaches "
        f"{spread(mishap.shared)}, with two of them {spread(mishap.separate)}, as a "
        f"pure function {spread(mishap.pure)} (two layers: {spread(rival.accuracy)}). "
        f"Its gradients of layers 1, 2, 3 are off by {', '.join(wrong)} at the start, "
        f"the pure function's by at most {max(mishap.pure_errors):.0e}: {conclusion}."
    )
