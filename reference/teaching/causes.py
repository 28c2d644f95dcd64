"""The third hint: the cause, by reference.diagnosis, of a backward in another process.

The diagnosis calls the submission as it calls any backward that JAX cannot trace. What
it states is proved at probes and sizes that the submission has not seen before.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import numpy as np

from reference.diagnosis.cause import Cause
from reference.diagnosis.diagnose import diagnose
from reference.report import Leaf, Report
from reference.teaching.answers import (
    Answers,
    backward,
    first_wrong,
    forward,
    judged,
)
from reference.teaching.question import Question
from reference.teaching.sandbox import Raised, Sandbox
from reference.verdict import Verdict
from reference.verifier.subject import Subject

__all__ = ["Cause", "causes"]
LATEST = (
    "backward uses what the latest call of forward left behind, not the residuals that "
    "it is given: right after its own forward it is right"
)
EARLIER = (
    "backward depends on earlier calls, not only on the residuals that it is given: in "
    "a process of its own, where nothing was called before, it is right"
)


class Remote:
    """The submission's backward as a function."""

    def __init__(self, box: Sandbox, question: Question):
        """Call nothing yet."""
        self.box, self.question = box, question

    def __call__(self, residuals: Any, dy: Any) -> tuple:
        """One cotangent an argument, None for those that get no gradient.

        Raises:
            ValueError: what the submission raises.
        """
        q = self.question
        arrays = tuple(np.asarray(v) for v in residuals)
        dy = jax.tree.map(np.asarray, dy)
        try:
            found = self.box.call(
                q.part.function("backward"), (arrays, dy), q.gradients, q.case.options
            )
        except Raised as error:
            raise ValueError(str(error)) from None
        sentences = [v for v in found if isinstance(v, str)]
        if sentences:
            raise ValueError(sentences[0])
        by_name = dict(zip(q.gradients, found))
        return tuple(by_name.get(f"d{name}") for name in q.part.arguments)


def causes(box: Sandbox, gradients: Answers) -> dict[str, Cause]:
    """For each wrong gradient its cause, where one is proved.

    Args:
        box: The submission.
        gradients: From a gradient's name to its answers.

    Raises:
        Refused: the submission does what it may not, or takes too long.
    """
    found = stateful(box, gradients)
    by_question: dict[int, tuple[Question, list[str]]] = {}
    for name, answers in gradients.items():
        first = first_wrong(answers)
        if first is not None and name not in found:
            q = first.question
            by_question.setdefault(id(q), (q, []))[1].append(name)
    for q, names in by_question.values():
        found |= explained(box, q, names)
    return {n: replace(c, sentence=f"{n}: {c.sentence}") for n, c in found.items()}


def stateful(box: Sandbox, gradients: Answers) -> dict[str, Cause]:
    """Wrong gradients that are right where backward follows its own forward.

    `ask` runs every forward before the first backward, so that what a forward keeps in
    the module is another configuration's by then.
    """
    wrong = [n for n, answers in gradients.items() if any(a.wrong for a in answers)]
    latest = right_in(lambda: nullcontext(box), wrong, gradients)
    rest = [n for n in wrong if n not in latest]
    earlier = right_in(box.another, rest, gradients)
    return {
        name: Cause(label, "C9", (name,), sentence)
        for label, sentence, names in (
            ("state: latest call", LATEST, latest),
            ("state: earlier call", EARLIER, earlier),
        )
        for name in names
    }


def right_in(
    process: Callable[[], AbstractContextManager[Sandbox]],
    names: list[str],
    gradients: Answers,
) -> list[str]:
    """Gradients that are right in a process whose latest call is their forward."""
    for k in range(len(gradients[names[0]]) if names else 0):
        q = gradients[names[0]][k].question
        with process() as box:
            forward(box, q)
            now = {n: judged(q, n, value) for n, value in backward(box, q).items()}
        names = [n for n in names if now[f"backward {n}"].wrong is None]
        if not names:
            break
    return names


def explained(box: Sandbox, q: Question, names: list[str]) -> dict[str, Cause]:
    """The causes at one question."""
    subject = subject_of(box, q)
    leaves = {
        name: Leaf(name, Verdict.WRONG if name in names else Verdict.RIGHT)
        for name in q.gradients
    }
    try:
        diagnosis = diagnose(Report(q.part.name, leaves, seed=q.seed, given=subject))
    except (ArithmeticError, IndexError, TypeError, ValueError):
        return {}  # It raises at the diagnosis' probes: only where is said.
    found = {name: diagnosis.cause_of(name) for name in names}
    return {name: cause for name, cause in found.items() if cause is not None}


def subject_of(box: Sandbox, q: Question) -> Subject:
    """The question in the verifier's shape."""
    part = q.part
    frozen = [i for i, n in enumerate(part.arguments) if n not in part.gradients]
    return Subject(
        part.name,
        q.forward,
        Remote(box, q),
        tuple(q.args),
        tuple(f"d{name}" for name in part.arguments),
        traceable=False,
        frozen=tuple(frozen),
        terms=named(q) if part.terms else None,
    )


def named(q: Question) -> Any:
    """The terms by the names of leaves."""
    terms = partial(q.part.terms, **q.case.options)

    def of(residuals: Any, dy: Any) -> dict:
        return {f"d{name}": v for name, v in terms(residuals, dy).items()}

    return of
