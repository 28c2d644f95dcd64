"""`purefw hunt`: find the mistake in a network that trains all the same."""

from typing import Annotated

import typer

from reference.teaching.hunt.game import ASK, Hunt, ask
from reference.teaching.hunt.game import hunt as drawn


def hunt(
    seed: Annotated[int, typer.Option(min=0, help="Which hunt.")] = 0,
    question: Annotated[
        list[str] | None,
        typer.Option(
            "--ask",
            metavar="PART [PLACE]",
            help=f"One of {', '.join(ASK)}; repeatable.",
        ),
    ] = None,
    guess: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="CLASS PLACE", help="Such as: C4 linear2."),
    ] = None,
    give_up: Annotated[bool, typer.Option(help="Say what and where it is.")] = False,
) -> None:
    """A real mistake, planted in a network whose source is hidden. Which, and where?

    Without --ask, --guess and --give-up it asks you. Exit code 0: found, or nothing
    was guessed. 1: guessed wrongly.
    """
    found = drawn(seed)
    if not question and guess is None and not give_up:
        play(found)
        return
    if question:
        print("\n".join(ask(found, q) for q in question))
    if give_up:
        print(found.reveal)
    if guess is not None:
        is_right, said = found.guess(*guess)
        print(said)
        raise typer.Exit(0 if is_right else 1)


def play(found: Hunt) -> None:
    """Questions and guesses until it is found or given up."""
    print(found.task)
    print(f"  ask: {', '.join(ASK)}, with a place; guess CLASS PLACE; give up")
    asked = 0
    while True:
        said = typer.prompt("hunt", prompt_suffix="> ").strip()
        if said == "give up":
            print(found.reveal)
            return
        word, *guessed = said.split() or [""]
        if word == "guess" and len(guessed) == 2:
            is_right, answer = found.guess(*guessed)
            print(answer)
            if is_right:
                print(f"  {asked} questions; it trained to {found.plausible}")
                return
            continue
        try:
            print(ask(found, said))
            asked += 1
        except ValueError as error:
            print(error)
