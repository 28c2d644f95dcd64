"""`purefw trace`: a network on a minibatch, every step by hand beside autodiff."""

import sys
from pathlib import Path
from typing import Annotated, Any

import jax
import typer
from rich.console import Console

from purefw.data import NAMES, to_itself
from purefw.losses.softmax_cross_entropy import softmax_cross_entropy
from purefw.losses.squared_error import squared_error
from purefw.rule import Loss, Rule
from purefw.train.optimisers import one_of
from reference.commands.networks import NETWORKS, build
from reference.commands.settings import load_for
from reference.load import LoadError, load
from reference.locate import locate
from reference.registry.entry import normal_like

SPREAD = 0.1  # Added to initial parameters, among which are zeros.


def trace(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="FILE.py:NAME|MODULE:NAME",
            help="A function that returns (network, loss, params, x, target). "
            "Without one, --network.",
        ),
    ] = None,
    network: Annotated[
        str, typer.Option(help=f"{', '.join(NETWORKS)}.")
    ] = "perceptron",
    data: Annotated[
        str | None,
        typer.Option(help=f"What it sees, where it fits: {', '.join(NAMES)}."),
    ] = None,
    layers: Annotated[
        str | None, typer.Option(help="Widths of a perceptron or autoencoder.")
    ] = None,
    activation: Annotated[
        str | None, typer.Option(help="Between the layers, where there is a choice.")
    ] = None,
    batch: Annotated[int, typer.Option(help="Rows of the minibatch.")] = 4,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    html: Annotated[
        Path | None, typer.Option(help="Write a page to click through here, too.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of params, batch and probes.")] = 0,
) -> None:
    """Show the chain rule at work: each step's equations, shapes, values and errors.

    Exit code 0: every step is right. 1: one is wrong. 2: could not be judged.
    """
    try:
        if name is None:
            subject = known(network, data, layers, activation, batch, seed)
        else:
            subject = given(name)
        found = locate(*subject, seed=seed, jacobians=True)
    except LoadError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(2) from None
    if html is not None:
        write(html, found.to_html())
    if as_json:
        print(found.to_json())
    else:
        Console().print(found)
    raise typer.Exit(1 if found.faults else 0)


def write(file: Path, page: str) -> None:
    """The page as a file."""
    try:
        file.write_text(page, encoding="utf-8")
    except OSError as error:
        raise ValueError(
            f"trace: html must be a file that can be written, got {file} "
            f"({error.strerror})"
        ) from None


def known(
    network: str,
    data: str | None,
    layers: str | None,
    activation: str | None,
    batch: int,
    seed: int,
) -> tuple[Rule, Loss, Any, Any, Any]:
    """A network of `purefw train` on rows of its data, away from its initial point."""
    one_of("network", network, NETWORKS)
    dataset = load_for(network, data, seed=seed)
    rule, _ = build(network, dataset, layers, activation)
    if network == "autoencoder":
        dataset = to_itself(dataset)
    x, labels = dataset.train
    if not 1 <= batch <= len(x):
        raise ValueError(f"trace: batch must be in [1, {len(x)}], got {batch}")
    init_key, params_key, rows_key = jax.random.split(jax.random.key(seed), 3)
    initial = rule.init(init_key)
    moved = normal_like(initial, params_key)
    params = jax.tree.map(lambda v, n: v + SPREAD * n, initial, moved)
    rows = jax.random.choice(rows_key, len(x), (batch,), replace=False)
    loss = squared_error() if dataset.classes is None else softmax_cross_entropy()
    return rule, loss, params, x[rows], labels[rows]


def given(name: str) -> tuple[Rule, Loss, Any, Any, Any]:
    """What the user's function returns."""
    try:
        found = load(name)()
    except LoadError:
        raise
    except Exception as error:
        raise LoadError(
            f"trace: {name} must return (network, loss, params, x, target), but it "
            f"raises {type(error).__name__}: {error}"
        ) from error
    five = isinstance(found, tuple) and len(found) == 5
    if not (five and isinstance(found[0], Rule) and isinstance(found[1], Loss)):
        raise LoadError(
            f"trace: {name} must return (network, loss, params, x, target), "
            f"got {type(found).__name__}"
        )
    return found
