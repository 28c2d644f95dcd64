"""A network on the table: its passes, and what was found in them so far."""

from dataclasses import dataclass, field
from typing import Any

from purefw.rule import Loss, Rule
from reference.locate.trace import Fault
from reference.locate.true_cotangents import Truth
from reference.locate.walk import Path, Walk, show

LOSS: Path = (("loss", 0),)


@dataclass
class Dissection:
    """A network, its passes, and the faults found so far.

    Attributes:
        network, loss, target: Under test.
        truth: The true values and cotangents of every call.
        forced: The pass in which every call takes and gives the truth.
        free: The network's own pass; None where it raises.
        dprediction: What the loss gave in it.
        loss_error: By how much the loss's own dprediction is off, at the truth.
        meant: The rules that the user named as reference, by path.
        meant_loss: Likewise.
        seed: Of the probes.
        faults: By path.
    """

    network: Rule
    loss: Loss
    target: Any
    truth: Truth
    forced: Walk
    free: Walk | None = None
    dprediction: Any = None
    meant: dict[Path, Rule] = field(default_factory=dict)
    meant_loss: Loss | None = None
    seed: int = 0
    loss_error: Any = None
    faults: dict[Path, list[Fault]] = field(default_factory=dict)

    def name(self, path: Path) -> str:
        """A path as text."""
        return "loss" if path == LOSS else show(path, self.truth.calls)
