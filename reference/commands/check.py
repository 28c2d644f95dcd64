"""`purefw check`: a verdict on a backward pass in the user's own file."""

import inspect
import sys
from dataclasses import replace
from typing import Annotated, Any

import typer
from rich.console import Console

from purefw.rule import Loss, Rule
from reference.check import check_custom_vjp, check_loss, check_rule, check_vjp
from reference.diagnosis.diagnose import diagnose
from reference.load import LoadError, arguments, load
from reference.report import Report
from reference.verdict import Verdict

OPTIONAL = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD
EXIT = {Verdict.RIGHT: 0, Verdict.KINK: 0, Verdict.WRONG: 1, Verdict.IMPRECISE: 1}


def check(
    name: Annotated[
        str,
        typer.Argument(
            metavar="FILE.py:NAME|MODULE:NAME",
            help="A Rule, a Loss, a (forward, backward) pair, or a function that "
            "carries a custom derivative.",
        ),
    ],
    args: Annotated[
        str,
        typer.Option(
            help="FILE.py:FUNCTION that returns the arguments, or shapes: "
            "'f32[5,7] i32[5]<3'. For a Rule: its x; for a Loss: prediction and target."
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    seed: Annotated[int, typer.Option(help="Of the probes.")] = 0,
) -> None:
    """Judge a hand-written backward pass, and name its mistake where it is wrong.

    Exit code 0: right. 1: wrong or imprecise. 2: could not be judged.
    """
    try:
        report = explained(judge(load(name), arguments(args, seed), seed))
    except LoadError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(2) from None
    if as_json:
        print(report.to_json())
    else:
        Console().print(report)
    raise typer.Exit(EXIT.get(report.verdict, 2))


def explained(report: Report) -> Report:
    """The report with its diagnosis, unless there is nothing to explain."""
    if report.verdict in (Verdict.WRONG, Verdict.IMPRECISE, Verdict.CONTRACT):
        return replace(report, diagnosis=diagnose(report))
    return report


def judge(subject: Any, args: tuple, seed: int) -> Report:
    """The entrance that fits what was named."""
    subject = made(subject)
    if isinstance(subject, Loss):
        if len(args) != 2:
            raise LoadError(
                "check: --args must give prediction and target for a Loss, "
                f"got {len(args)}"
            )
        return check_loss(subject, *args, seed=seed)
    if isinstance(subject, Rule):
        if len(args) != 1:
            raise LoadError(
                f"check: --args must give one x for a Rule, got {len(args)}"
            )
        return check_rule(subject, args[0], seed=seed)
    if isinstance(subject, tuple) and len(subject) == 2 and all(map(callable, subject)):
        return check_vjp(*subject, *args, seed=seed)
    if callable(subject):
        return check_custom_vjp(subject, *args, seed=seed)
    raise LoadError(
        "check: NAME must be a Rule, a Loss, a pair (forward, backward) or a function, "
        f"got {type(subject).__name__}"
    )


def made(subject: Any) -> Any:
    """The Rule or Loss that a constructor without required arguments makes."""
    if not inspect.isfunction(subject):
        return subject
    needed = inspect.signature(subject).parameters.values()
    if any(p.default is p.empty and p.kind not in OPTIONAL for p in needed):
        return subject
    found = subject()
    return found if isinstance(found, (Rule, Loss)) else subject
