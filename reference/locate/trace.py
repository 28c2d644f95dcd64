"""The chain rule of one network on one batch, step by step: what `locate` returns.

Every step is a call of a rule with no parts, in the order of the forward pass, and the
loss is the last. A step's state is one of

    right      its own arithmetic is right, and so is all that reaches it
    wrong      at the true x and under the true dy it is at fault itself
    infected   its own arithmetic is right, but it is given or gives on wrong numbers
"""

import json
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np

from reference import trace_page
from reference.compare import rms
from reference.locate.equations import Equations
from reference.report import plain
from reference.verdict import Verdict

SCHEMA = 1
KEPT = 64  # Entries up to which to_json writes an array out.


class Role(StrEnum):
    """What of a step is at fault."""

    FORWARD = "forward"
    RESIDUAL = "residual"
    DX = "dx"
    DPARAMS = "dθ"
    DLOSS = "dloss"


class State(StrEnum):
    """What a step is; see the module."""

    RIGHT = "right"
    WRONG = "wrong"
    INFECTED = "infected"


@dataclass(frozen=True)
class Fault:
    """One mistake and its place.

    Attributes:
        path: Of the call, as Step.path; of a combinator, its own.
        rule: The rule's name.
        role: What of it is at fault.
        leaf: "dx", "dparams.weight", "y", "residuals.x".
        sentence: What was seen.
        relative: The error there, relative to the true entry.
        units: The same in noise units; inf where noise was not asked.
    """

    path: str
    rule: str
    role: Role
    leaf: str
    sentence: str
    relative: float = float("nan")
    units: float = float("inf")

    def __str__(self) -> str:
        """One line."""
        return f"{self.path} {self.rule}, {self.role}: {self.leaf} {self.sentence}"


@dataclass(frozen=True)
class Comparison:
    """A cotangent by hand and by autodiff, both under the true dy.

    Attributes:
        hand: What the step's backward gives; None where it gives nothing usable.
        autodiff: The truth.
        verdict: Of reference.verifier.judge, at this point under coded and random dy.
        units: The worst error in noise units.
        relative: The worst error of `hand`, relative to the leaf's root mean square.
        flowed: The same of what came out in the real pass, infection included.
    """

    hand: np.ndarray | None
    autodiff: np.ndarray
    verdict: Verdict
    units: float
    relative: float
    flowed: float


@dataclass(frozen=True)
class Step:
    """One call of one rule.

    Attributes:
        number: From 1, in the order of the forward pass.
        path: Where in the network: ".middle[0]#2[1]".
        rule: Its name.
        state: See the module.
        faults: Its own.
        equations: From the derivation in its module.
        params, x, y: The leaves by name, in float64 (integers as they are).
        dy: The true cotangent of y, by leaf.
        dy_flowed: How far the dy of the real pass is from it, relative to its size.
        cotangents: dparams and dx by leaf.
        jacobian: ∂y/∂x of shape (y.size, x.size), where asked for and small.
    """

    number: int
    path: str
    rule: str
    state: State
    faults: tuple[Fault, ...]
    equations: Equations
    params: dict[str, np.ndarray]
    x: dict[str, np.ndarray]
    y: dict[str, np.ndarray]
    dy: dict[str, np.ndarray]
    dy_flowed: float
    cotangents: dict[str, Comparison]
    jacobian: np.ndarray | None = None

    @property
    def units(self) -> float:
        """The worst error of its own, in noise units."""
        return max((c.units for c in self.cotangents.values()), default=0.0)


@dataclass(frozen=True)
class Trace:
    """A network taken apart.

    Attributes:
        network: Its name.
        loss: The loss's name.
        value: The loss.
        steps: The calls and then the loss.
        faults: From the loss backwards, those of combinators included.
        budget: From a leaf of the network's dparams to the share of its error that each
            fault's step has, by path; the shares sum to 1 where all errors are named.
        gradient: How far each leaf of the network's dparams is from the truth, relative
            to its size.
        notes: What a reader should know.
    """

    network: str
    loss: str
    value: float
    steps: tuple[Step, ...]
    faults: tuple[Fault, ...]
    budget: dict[str, dict[str, float]] = field(default_factory=dict)
    gradient: dict[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def first(self) -> Fault | None:
        """The first fault from the loss; None where there is none."""
        return self.faults[0] if self.faults else None

    def at(self, state: State) -> list[Step]:
        """The steps in a state."""
        return [step for step in self.steps if step.state is state]

    def __bool__(self) -> bool:
        """Always an error: a truth value would be ambiguous."""
        raise TypeError("Trace: its truth value is ambiguous; ask trace.faults")

    def sentences(self) -> list[str]:
        """What was found, for a person."""
        if not self.faults:
            return [f"All {len(self.steps)} steps of {self.network} are right."]
        first, *others = self.faults
        found = [f"First wrong step from the loss: {first}."]
        found += [f"Also wrong: {fault}." for fault in others]
        infected = self.at(State.INFECTED)
        if infected:
            names = ", ".join(f"{s.number} {s.rule}" for s in infected)
            found.append(f"Only infected: {names}.")
        for leaf, shares in self.budget.items():
            parts = [f"{share:.0%} from {path}" for path, share in shares.items()]
            found.append(
                f"{leaf} is off by {self.gradient[leaf]:.2g}: {', '.join(parts)}."
            )
        return found

    def __str__(self) -> str:
        """The sentences, a line a step from the loss backwards, the notes."""
        width = max(len(s.rule) + len(s.path) for s in self.steps) + 1
        lines = [
            f"{s.number:>4} {f'{s.path} {s.rule}':<{width}} {s.state:<9}"
            f"{s.units:>9.2g}  {shapes(s)}"
            for s in reversed(self.steps)
        ]
        notes = [f"note: {note}" for note in self.notes]
        return "\n".join([*self.sentences(), *lines, *notes])

    def __rich__(self):
        """A table of the steps, the sentences, and every rule's equations once."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        title = f"{self.network} under {self.loss} = {self.value:.6g}"
        table = Table(title=title, title_justify="left")
        table.add_column("step", justify="right", no_wrap=True)
        for column in ("rule", "shapes", "leaf"):
            table.add_column(column, overflow="fold")
        for column in ("hand", "autodiff", "noise\nunits", "off in\nthe pass"):
            table.add_column(column, justify="right", no_wrap=True)
        table.add_column("state", no_wrap=True)
        for step in self.steps:
            rows = [cells(name, c) for name, c in step.cotangents.items()]
            columns = zip(*rows) if rows else [()] * 5
            table.add_row(
                str(step.number),
                f"{step.rule}\n{step.path}",
                shapes(step),
                *map("\n".join, columns),
                Text(step.state, COLOURS[step.state]),
                end_section=True,
            )
        lines = [*self.sentences(), *(f"note: {n}" for n in self.notes), *self.rules()]
        return Group(table, *map(Text, lines))

    def _repr_html_(self) -> str:
        """The page of `to_html` in a frame, for notebooks."""
        return trace_page.framed(self)

    def to_html(self) -> str:
        """One page to click through that needs neither a server nor a network."""
        return trace_page.page(self)

    def rules(self) -> list[str]:
        """The equations of every rule of purefw in it, once each."""
        lines = []
        for rule, e in {step.rule: step.equations for step in self.steps}.items():
            for side, equations in (("forward", e.forward), ("backward", e.backward)):
                if equations:
                    lines += [
                        f"{rule}, {side}:",
                        *(f"    {line}" for line in equations),
                    ]
        return lines

    def to_json(self) -> str:
        """A JSON object with the attributes of Trace and Step, and `schema`.

        An array is {"shape", "dtype", "rms", "min", "max"}, with its "values" where it
        has at most 64 entries; numbers that are not finite are strings.
        """
        return json.dumps(plain({"schema": SCHEMA, **written(self)}), allow_nan=False)


COLOURS = {State.RIGHT: "green", State.WRONG: "red", State.INFECTED: "dark_orange"}


def cells(name: str, c: Comparison) -> tuple[str, ...]:
    """Leaf, size by hand, true size, error in noise units, error in the real pass."""
    hand = "-" if c.hand is None else f"{rms(c.hand):.4g}"
    return name, hand, f"{rms(c.autodiff):.4g}", f"{c.units:.2g}", f"{c.flowed:.1e}"


def shapes(step: Step) -> str:
    """(2, 7) → (2, 5)."""
    sides = [
        ", ".join(str(v.shape) for v in side.values()) for side in (step.x, step.y)
    ]
    return " → ".join(sides)


def written(value: Any) -> Any:
    """Dataclasses as dicts, arrays as said in `to_json`."""
    if isinstance(value, np.ndarray):
        return summary(value)
    if isinstance(value, dict):
        return {k: written(v) for k, v in value.items()}
    if isinstance(value, (tuple, list)):
        return [written(v) for v in value]
    if hasattr(value, "__dataclass_fields__"):
        return {k: written(getattr(value, k)) for k in value.__dataclass_fields__}
    return value


def summary(v: np.ndarray) -> dict[str, Any]:
    """An array in JSON."""
    numbers = np.asarray(v, np.float64)
    body: dict[str, Any] = {"shape": list(v.shape), "dtype": str(v.dtype)}
    if v.size:
        body |= {"rms": rms(numbers), "min": float(numbers.min())}
        body |= {"max": float(numbers.max())}
    return body | ({"values": v.tolist()} if v.size <= KEPT else {})
