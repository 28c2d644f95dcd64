"""What a submission answers to each question, compared with the truth."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from reference.compare import Comparison
from reference.teaching.question import Question
from reference.teaching.sandbox import Raised, Sandbox
from reference.teaching.sheet import field_names, output_names


@dataclass(frozen=True)
class Answer:
    """What a submission said of one array of one question.

    Attributes:
        question: Which.
        found: The array, None where there is none.
        wrong: How it differs, or why there is no array; None where it is right.
    """

    question: Question
    found: np.ndarray | None
    wrong: Comparison | str | None


Answers = dict[str, list[Answer]]


def ask(box: Sandbox, asked: list[list[Question]]) -> list[Answers]:
    """Every forward, then every backward; the truth afterwards."""
    forwards = [[forward(box, q) for q in part] for part in asked]
    backwards = [[backward(box, q) for q in part] for part in asked]
    found = []
    for part, forth, back in zip(asked, forwards, backwards):
        answers: Answers = {}
        for q, *said in zip(part, forth, back):
            for name, value in (said[0] | said[1]).items():
                answers.setdefault(name, []).append(judged(q, name, value))
        found.append(answers)
    return found


def forward(box: Sandbox, q: Question) -> dict[str, Any]:
    """What forward returns, by name."""
    y, residuals = q.run
    outputs = output_names(y)
    wanted = [outputs if len(outputs) > 1 else outputs[0], field_names(residuals)]
    return said(box, q, "forward", q.args, wanted, q.outputs)


def backward(box: Sandbox, q: Question) -> dict[str, Any]:
    """What backward returns for the reference's residuals, by name."""
    dy = q.dy[0] if len(q.dy) == 1 else tuple(q.dy)
    args = tuple(q.kept), dy
    return said(box, q, "backward", args, q.gradients, q.gradients)


def said(box, q: Question, which: str, args, wanted, names) -> dict[str, Any]:
    """Arrays or sentences by name."""
    try:
        found = box.call(q.part.function(which), args, wanted, q.case.options)
    except Raised as error:
        found = [str(error)] * len(names)
    return {f"{which} {n}": v for n, v in zip(names, found)}


def judged(q: Question, name: str, value: np.ndarray | str) -> Answer:
    """An array compared with the truth."""
    if isinstance(value, str):
        return Answer(q, None, value)
    return Answer(q, value, q.differs(name.split()[1], value))


def first_wrong(answers: list[Answer]) -> Answer | None:
    """The first with an array that is wrong."""
    return next((a for a in answers if isinstance(a.wrong, Comparison)), None)
