"""A submission judged: asked on hidden configurations, compared, marked term by term.

Every part is given the reference's arguments, residuals and cotangents, never what the
submission itself computed before: a mistake costs its own term alone. A gradient with
named terms t gets a mark for each: the error is fitted by

    (1)  hand - truth = Σ_t α_t t

and term t is right if α_t = 0. Where the error is no such sum, all its terms are lost;
where the terms depend on each other, those that are lost on another configuration.
Right on the first two configurations and wrong on another is half.
"""

import time
from dataclasses import replace

import jax
import numpy as np

from reference.teaching.answers import Answer, Answers, ask, first_wrong
from reference.teaching.causes import Cause, causes
from reference.teaching.exercise import Exercise
from reference.teaching.marks import Grade, Mark
from reference.teaching.question import Question, questions
from reference.teaching.sandbox import Limits, Raised, Refused, Sandbox
from reference.teaching.where import axes, place
from reference.verifier.oracle import exact_arithmetic

USUAL = 2  # So many configurations have nothing special about them.
UNKNOWN = "no single mistake that is known explains it"
ZERO = 1e-7  # Below which a coefficient of (1) is rounding.


def grade(
    source: str,
    exercise: Exercise,
    *,
    seed: int,
    file: str = "submission.py",
    limits: Limits | None = None,
    asked: list[list[Question]] | None = None,
) -> Grade:
    """Judge a submission.

    Args:
        source: Its text.
        exercise: What it answers.
        seed: Of the hidden configurations; it never reaches the submission.
        file: Its name, for messages.
        limits: On time, memory and output.
        asked: `questions(exercise, seed)`, where they are kept for many submissions.

    Returns:
        The marks. Nothing that the submission does raises here.
    """
    start = time.perf_counter()
    asked = questions(exercise, seed) if asked is None else asked
    marks, refused = [], ""
    try:
        with Sandbox(source, file, limits or Limits()) as box:
            answered = ask(box, asked)
            for part in answered:
                marks += marked(box, part)
    except Refused as error:
        refused = str(error)
    except Raised as error:
        refused = f"does not run: {error}"
    if refused:
        marks = blank(asked)
    seconds = time.perf_counter() - start
    return Grade(exercise.name, seed, tuple(marks), refused, seconds=seconds)


def marked(box: Sandbox, answers: Answers) -> list[Mark]:
    """The marks of one part."""
    part = next(iter(answers.values()))[0].question.part
    prefix = f"{part.name}: " if part.name else ""
    forth = [a for name, a in answers.items() if name.startswith("forward ")]
    marks = [forward_mark(prefix, answers, forth)]
    gradients = {n.split()[1]: a for n, a in answers.items() if n.startswith("back")}
    found = causes(box, gradients)
    for name, answer in gradients.items():
        mark = gradient_mark(name, answer, found.get(name))
        formula = part.gradients[name[1:]]
        mark = replace(mark, formula="" if mark.is_full else formula)
        marks += [
            replace(m, name=prefix + m.name) for m in split(mark, name[1:], answer)
        ]
    return marks


def forward_mark(prefix: str, answers: Answers, forth: list[list[Answer]]) -> Mark:
    """One for y and what is kept."""
    wrong = [
        (name.split()[1], a)
        for name, found in answers.items()
        if name.startswith("forward ")
        for a in found
        if a.wrong is not None
    ]
    points = min(map(score, forth))
    mark = Mark(f"{prefix}forward", points, wrong_at=kinds(forth))
    if not wrong:
        return mark
    name, first = wrong[0]
    names = ", ".join(dict.fromkeys(n for n, _ in wrong))
    return replace(described(mark, name, first), term=f"wrong in forward: {names}")


def gradient_mark(name: str, answers: list[Answer], cause: Cause | None) -> Mark:
    """One for a gradient."""
    mark = Mark(name, score(answers), wrong_at=kinds([answers]))
    first = first_wrong(answers) or next((a for a in answers if a.wrong), None)
    if first is None:
        return mark
    mark = replace(described(mark, name, first), term=UNKNOWN)
    if cause is not None:
        mark = replace(
            mark, term=cause.sentence, label=cause.label, mistake=cause.mistake
        )
    return mark


def described(mark: Mark, name: str, answer: Answer) -> Mark:
    """With the first two hints."""
    kind = f"on the configuration '{answer.question.case.kind}'"
    if isinstance(answer.wrong, str):
        return replace(mark, said=answer.wrong, where=f"{answer.wrong} ({kind})")
    assert answer.found is not None
    truth, noise = answer.question.truth[name]
    return replace(
        mark,
        where=f"{kind} {place(name, answer.wrong)}",
        axis=axes(answer.found.astype(float), truth, noise),
    )


def score(answers: list[Answer]) -> float:
    """1, 1/2 or 0."""
    if all(a.wrong is None for a in answers):
        return 1.0
    return 0.5 if all(a.wrong is None for a in answers[:USUAL]) else 0.0


def kinds(found: list[list[Answer]]) -> tuple[str, ...]:
    """Of configurations that are wrong."""
    wrong = [a.question.case.kind for answers in found for a in answers if a.wrong]
    return tuple(dict.fromkeys(wrong))


def split(mark: Mark, argument: str, answers: list[Answer]) -> list[Mark]:
    """A mark for each named term of a gradient; the mark itself where it has none."""
    weights = [coefficients(a, argument) for a in answers]
    names = next((list(w) for w in weights if w), [])
    if not names:
        return [mark]
    clear = [w for w in weights if w and not np.isnan([*w.values()]).any()]
    guilty = {t for t in names if any(abs(w[t]) > ZERO for w in clear)} or set(names)
    marks = []
    for term in names:
        lost = [w is not None and is_lost(w[term], term in guilty) for w in weights]
        points = 0.5 if any(lost) else 1.0
        points = 0.0 if any(lost[:USUAL]) else points
        one = replace(mark, name=f"{mark.name}: {term}", points=points)
        marks.append(one if points < 1 else Mark(one.name))
    return marks


def is_lost(coefficient: float, guilty: bool) -> bool:
    """Whether a term is wrong; where that cannot be told, whether it is elsewhere."""
    return guilty if np.isnan(coefficient) else abs(coefficient) > ZERO


def coefficients(answer: Answer, argument: str) -> dict[str, float] | None:
    """α of (1) by term, all 1 where the error is no such sum.

    None where there are no terms; NaN for each where the answer is wrong and the terms
    depend on each other, as in a row of one entry: another configuration tells them
    apart.
    """
    q = answer.question
    if q.part.terms is None:
        return None
    dy = q.dy[0] if len(q.dy) == 1 else tuple(q.dy)
    with exact_arithmetic():
        found = q.part.terms(q.run[1], dy, **q.case.options).get(argument)
        values = jax.tree.map(np.asarray, found or {})
    if not values:
        return None
    if answer.wrong is None:
        return dict.fromkeys(values, 0.0)
    if answer.found is None or isinstance(answer.wrong, str):
        return dict.fromkeys(values, 1.0)
    truth, _ = q.truth[f"d{argument}"]
    matrix = np.stack([v.ravel() for v in values.values()], 1)
    error = (answer.found - truth).ravel()
    if not np.isfinite(error).all():
        return dict.fromkeys(values, 1.0)
    alpha, _, rank, _ = np.linalg.lstsq(matrix, error, rcond=1e-10)
    left = np.abs(matrix @ alpha - error).max()
    if left > 1e-9 * np.abs(error).max():
        return dict.fromkeys(values, 1.0)
    if rank < len(values):
        return dict.fromkeys(values, np.nan)
    return dict(zip(values, map(float, alpha)))


def blank(asked: list[list[Question]]) -> list[Mark]:
    """No points for anything."""
    marks = []
    for part in asked:
        first, definition = part[0], part[0].part
        prefix = f"{definition.name}: " if definition.name else ""
        marks.append(Mark(f"{prefix}forward", 0.0))
        for name in definition.gradients:
            answer = Answer(first, first.kept[0], None)
            names = coefficients(answer, name) or {}
            marks += [Mark(f"{prefix}d{name}: {t}", 0.0) for t in names]
            marks += [] if names else [Mark(f"{prefix}d{name}", 0.0)]
    return marks
