"""`purefw verify`: a verdict on every rule and loss, then two trainings compared."""

import os
import zlib
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import islice
from multiprocessing import get_context
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

import purefw
from purefw.data import digits
from purefw.layers.relu import relu
from purefw.losses.softmax_cross_entropy import softmax_cross_entropy
from purefw.models import perceptron
from purefw.train import Epoch, train
from reference import autodiff
from reference.check import check_loss, check_rule
from reference.registry import LOSSES, RULES
from reference.report import Leaf, Report
from reference.verdict import Verdict

EPOCHS = 10
# Units in the last place of a leaf's largest entry, over the whole training split.
GRADIENT_LIMIT = 64 * float(jnp.finfo("float64").eps)
ACCURACY_LIMIT = 0.01
PARAMETER_LIMIT = 1e-4
PROCESSES = 4  # At most; each holds some 2 GB of compiled programs.
ENTRIES = 8  # From so many for each, a process is worth its start.


class Comparison(NamedTuple):
    """One epoch of both trainings.

    Attributes:
        manual: The training with the gradient by hand.
        autodiff: The training with the gradient by autodiff.
        gradient: Largest relative difference of the two gradients at the same
            parameters, those of the manual training.
        parameters: Largest relative difference of the two trainings' parameters.
    """

    manual: Epoch
    autodiff: Epoch
    gradient: float
    parameters: float

    @property
    def right(self) -> bool:
        """Whether all three differences are within their limits."""
        accuracies = (
            (self.manual.train_accuracy, self.autodiff.train_accuracy),
            (self.manual.validation_accuracy, self.autodiff.validation_accuracy),
        )
        return (
            all(abs(a - b) <= ACCURACY_LIMIT for a, b in accuracies)
            and self.gradient <= GRADIENT_LIMIT
            and self.parameters <= PARAMETER_LIMIT
        )


def verify(
    every_input: Annotated[
        bool,
        typer.Option(
            "--every-input", help="Judge at every registered input: some minutes more."
        ),
    ] = False,
) -> None:
    """Judge every hand-derived rule and loss, and train the digits both ways."""
    console = Console()
    wrong = print_verdicts(console, every_input)
    apart = print_trainings(console)
    if wrong or apart:
        console.print(f"NOT RIGHT: {', '.join([*wrong, *apart])}", soft_wrap=True)
        raise typer.Exit(1)
    console.print("All is right.")


def print_verdicts(console: Console, every_input: bool) -> list[str]:
    """The table of verdicts; returns the names that are neither RIGHT nor KINK."""
    table = Table("rule", "leaf", "error", "verdict")
    wrong = []
    with Progress(console=Console(stderr=True), transient=True) as bar:
        names = [*RULES, *LOSSES]
        found = zip(names, verdicts(names, every_input))
        for name, leaves in bar.track(found, len(names), description="Judging"):
            for leaf in leaves:
                table.add_row(name, leaf.name, f"{leaf.error:.3g}", leaf.verdict)
                if leaf.verdict not in (Verdict.RIGHT, Verdict.KINK):
                    wrong.append(f"{name} {leaf.name}")
    console.print(table)
    where = "all inputs" if every_input else "the typical input"
    console.print(f"error: the largest over {where}, in units of the noise of float64")
    return wrong


def verdicts(names: list[str], every_input: bool) -> Iterator[list[Leaf]]:
    """The leaves of each entry, in order; on a CPU by several processes."""
    judge = partial(verdict, every_input=every_input)
    count = min(PROCESSES, os.cpu_count() or 1, len(names) // ENTRIES)
    if count < 2 or jax.default_backend() != "cpu":
        yield from map(judge, names)
        return
    with ProcessPoolExecutor(count, mp_context=get_context("spawn")) as pool:
        yield from pool.map(judge, names)


def verdict(name: str, *, every_input: bool) -> list[Leaf]:
    """The worst of each leaf of an entry at its typical input, or at all."""
    return worst(list(islice(reports(name), None if every_input else 1)))


def reports(name: str) -> Iterator[Report]:
    """The report on a registered rule or loss at each of its inputs."""
    if name in LOSSES:
        loss_entry = LOSSES[name]
        for situation, draw in loss_entry.inputs.items():
            yield check_loss(loss_entry.loss, *draw(_key(name, situation)))
        return
    entry = RULES[name]
    for situation, draw in entry.inputs.items():
        params_key, x_key, key = jax.random.split(_key(name, situation), 3)
        params = entry.draw_params(params_key)
        yield check_rule(entry.rule, draw(x_key), params=params, key=key)


def _key(name: str, situation: str) -> jax.Array:
    return jax.random.key(zlib.crc32(f"{name}/{situation}".encode()))


def worst(reports: list[Report]) -> list[Leaf]:
    """Of each leaf, the report with the worst verdict; among equals, largest error."""
    leaves: dict[str, Leaf] = {}
    for leaf in (leaf for report in reports for leaf in judged(report)):
        if leaf.name not in leaves or _rank(leaf) > _rank(leaves[leaf.name]):
            leaves[leaf.name] = leaf
    return list(leaves.values())


def judged(report: Report) -> list[Leaf]:
    """A report's leaves, and a line of its own for a contract that is broken."""
    leaves = list(report.leaves.values())
    if report.verdict is Verdict.CONTRACT:
        leaves.append(Leaf("(contract)", Verdict.CONTRACT, " ".join(report.broken)))
    return leaves


def _rank(leaf: Leaf) -> tuple[int, float]:
    return leaf.verdict.severity, leaf.error


def print_trainings(console: Console) -> list[str]:
    """The table of both trainings; returns the epochs at which they part."""
    console.print("\n64-32-10 relu on the digits, trained twice from the same start:")
    table = Table("epoch")
    for column in ("loss", "accuracy"):
        table.add_column(f"{column}\nby hand")
        table.add_column(f"{column}\nautodiff")
    table.add_column("gradients\napart by")
    table.add_column("parameters\napart by")
    apart = []
    for c in trainings(epochs=EPOCHS):
        table.add_row(
            str(c.manual.number),
            f"{c.manual.train_loss:.6f}",
            f"{c.autodiff.train_loss:.6f}",
            f"{c.manual.validation_accuracy:.2%}",
            f"{c.autodiff.validation_accuracy:.2%}",
            f"{c.gradient:.1e}",
            f"{c.parameters:.1e}",
        )
        if not c.right:
            apart.append(f"epoch {c.manual.number}")
    console.print(table)
    console.print(
        "loss: of the training rows; accuracy: on the held-out fifth; apart: a leaf's\n"
        "largest deviation over its largest entry; the gradients at the same parameters"
    )
    return apart


def trainings(
    *, epochs: int, manual: Any = purefw.loss_and_grad
) -> Iterator[Comparison]:
    """Train the digits twice from the same parameters and compare at every epoch.

    Args:
        epochs: How many.
        manual: What is on trial, in the place of `purefw.loss_and_grad`.
    """
    with jax.enable_x64(True):
        network, loss = perceptron((64, 32, 10), relu()), softmax_cross_entropy()
        data = digits()
        settings = {
            "optimiser": optax.sgd(0.1),
            "epochs": epochs,
            "batch_size": 32,
        }
        by_hand = jax.jit(manual(network, loss))
        by_autodiff = jax.jit(autodiff.loss_and_grad(network, loss))
        runs = (
            train(
                network,
                loss,
                data,
                gradient=gradient,
                key=jax.random.key(0),
                **settings,
            )
            for gradient in (manual, autodiff.loss_and_grad)
        )
        x, labels = data.train
        for m, a in zip(*runs, strict=True):
            gradients = [f(m.params, x, labels)[1] for f in (by_hand, by_autodiff)]
            yield Comparison(
                m.epoch, a.epoch, difference(*gradients), difference(m.params, a.params)
            )


def difference(tree: Any, reference: Any) -> float:
    """The largest deviation over the leaves, each relative to its largest entry."""
    return max(
        float(jnp.abs(a - b).max() / jnp.abs(b).max())
        for a, b in zip(jax.tree.leaves(tree), jax.tree.leaves(reference), strict=True)
    )
