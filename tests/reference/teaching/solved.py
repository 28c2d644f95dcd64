"""The twenty exercises solved, as a learner would, and the exercises themselves."""

from functools import cache
from pathlib import Path

from reference.teaching.exercise import all_exercises
from reference.teaching.grade import grade
from reference.teaching.question import questions

EXERCISES = all_exercises()
FOLDER = Path(__file__).parent / "solutions"


def solution(name):
    return (FOLDER / f"{name}.py").read_text()


@cache
def asked(name, seed):
    """Questions with their truths, for many submissions."""
    return questions(EXERCISES[name], seed)


def graded(name, source, seed=3, **options):
    return grade(source, EXERCISES[name], seed=seed, asked=asked(name, seed), **options)
