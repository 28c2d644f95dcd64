"""The result of a check, for people, notebooks and programs.

One verdict a leaf, one overall: the worst. The truth value of a report is an error,
because "is it right?" and "was it judged?" are two questions; ask `report.verdict`.

The JSON form is `to_json()`; its keys are the attributes of Report and Leaf, and
`schema` is the version of that form.
"""

import json
import math
from dataclasses import asdict, dataclass, field, replace
from html import escape
from typing import Any

from reference.diagnosis.cause import Diagnosis
from reference.subject import Subject
from reference.verdict import Verdict

SCHEMA = 1


@dataclass(frozen=True)
class Leaf:
    """The judgement of one leaf of the cotangent.

    Attributes:
        name: "dx", "dparams.weight", "args[0]['w']".
        verdict: What is said of it.
        sentence: Why, for a person.
        units: Worst error in noise units (see reference.compare); 64 passes.
        relative: That error relative to the entry.
        visible: The smallest relative error that the check could have seen.
        exercised: Share of the leaf's entries that some cotangent reached.
        rounding: From a working dtype to the error there, relative to autodiff's own.
        point: The situation in which the worst error was met: "given" or another.
        index: The entry with the worst error.
        hand: The hand-written value there.
        autodiff: Reverse mode's value there.
        forward_mode: Forward mode's, where it was asked.
        difference: The numerical value and its error bar, where it was asked.
        taylor: By how much the hand is too large there, relative to the true value, as
            Taylor's remainder shows it, and the bar of that.
    """

    name: str
    verdict: Verdict
    sentence: str = ""
    units: float = 0.0
    relative: float = 0.0
    visible: float = math.inf
    exercised: float = 1.0
    rounding: dict[str, float] = field(default_factory=dict)
    point: str = "given"
    index: tuple[int, ...] = ()
    hand: float | None = None
    autodiff: float | None = None
    forward_mode: float | None = None
    difference: tuple[float, float] | None = None
    taylor: tuple[float, float] | None = None

    @property
    def error(self) -> float:
        """The worst error in noise units."""
        return self.units


@dataclass(frozen=True)
class Report:
    """The judgement of one backward pass.

    Attributes:
        subject: Whose backward pass.
        leaves: From a leaf's name to its judgement.
        broken: Sentences about what breaks the contract; one is enough for CONTRACT.
        notes: What a reader should know and what decides nothing.
        seconds: Wall-clock time of the check.
        hand_passes: How often the hand-written backward ran.
        reference_passes: How often the reference ran.
        reproduce: Python that shows the worst error again, where there is one.
        seed: Of the probes.
        given: What was judged, for who asks further; not part of the JSON.
        diagnosis: Why, where it was asked (reference.diagnosis).
    """

    subject: str
    leaves: dict[str, Leaf]
    broken: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    hand_passes: int = 0
    reference_passes: int = 0
    reproduce: str = ""
    seed: int = 0
    given: Subject | None = field(default=None, repr=False, compare=False)
    diagnosis: Diagnosis | None = None

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of a leaf; CONTRACT where the contract is broken."""
        if self.broken or not self.leaves:
            return Verdict.CONTRACT
        return max((v.verdict for v in self.leaves.values()), key=lambda v: v.severity)

    def __bool__(self) -> bool:
        """Always an error: a truth value would be ambiguous."""
        raise TypeError(
            "Report: its truth value is ambiguous; ask report.verdict, "
            "or call assert_correct(report)"
        )

    def __str__(self) -> str:
        """A headline, a line a leaf, the broken contract, the notes."""
        lines = [f"{self.verdict}  {self.subject}"]
        for leaf in self.leaves.values():
            first, *rest = self.said(leaf)
            lines.append(f"  {leaf.verdict:<12} {leaf.name}: {first}")
            lines += [f"  {'':<12} {line}" for line in rest]
        lines += [f"  {remark}" for remark in self.remarks]
        if self.reproduce:
            lines += [
                "  reproduce:",
                *(f"    {s}" for s in self.reproduce.splitlines()),
            ]
        return "\n".join(lines)

    @property
    def remarks(self) -> list[str]:
        """What is said of no single leaf."""
        found = [f"contract: {sentence}" for sentence in self.broken]
        if self.diagnosis is not None:
            found += [
                f"cause: {cause.sentence}"
                for cause in self.diagnosis.causes
                if not any(leaf in self.leaves for leaf in cause.leaves)
            ]
            found += [f"note: {term}" for term in self.diagnosis.zero_terms]
        return found + [f"note: {sentence}" for sentence in self.notes]

    def said(self, leaf: Leaf) -> list[str]:
        """The cause, where the diagnosis proved one, or the place; then the numbers."""
        numbers = [describe(leaf)]
        if self.diagnosis is None:
            return numbers
        cause = self.diagnosis.cause_of(leaf.name)
        if cause is None:
            place = self.diagnosis.where.get(leaf.name)
            return [place, *numbers] if place else numbers
        proof = [cause.evidence, str(cause.proof or "")]
        told = leaf.name == cause.leaves[0]  # Once for all its leaves.
        return [cause.sentence, *numbers, *(p for p in proof if p and told)]

    def __rich__(self):
        """The same as a rich table."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table = Table(title=f"{self.subject}: {self.verdict}", title_justify="left")
        for column in ("leaf", "verdict", "what was seen"):
            table.add_column(column, overflow="fold")
        for leaf in self.leaves.values():
            table.add_row(
                leaf.name,
                Text(leaf.verdict, COLOURS[leaf.verdict]),
                Text("\n".join(self.said(leaf))),
            )
        extra = [*self.remarks, self.reproduce] if self.reproduce else self.remarks
        return Group(table, *map(Text, extra))

    def _repr_html_(self) -> str:
        """The same as an HTML table, for notebooks."""
        rows = "".join(
            f"<tr><td><code>{escape(v.name)}</code></td>"
            f"<td style='color:{COLOURS[v.verdict]}'><b>{v.verdict}</b></td>"
            f"<td>{'<br>'.join(map(escape, self.said(v)))}</td></tr>"
            for v in self.leaves.values()
        )
        extra = "".join(f"<p>{escape(s)}</p>" for s in self.remarks)
        code = f"<pre>{escape(self.reproduce)}</pre>" if self.reproduce else ""
        return (
            f"<p><b>{self.verdict}</b> {escape(self.subject)}</p><table>"
            "<tr><th>leaf</th><th>verdict</th><th>what was seen</th></tr>"
            f"{rows}</table>"
            f"{extra}{code}"
        )

    def to_json(self) -> str:
        """A JSON object: `schema`, `verdict`, and the attributes of Report and Leaf.

        Numbers that are not finite are written as the strings "inf", "-inf" and "nan".
        """
        body = {"schema": SCHEMA, "verdict": self.verdict}
        body |= asdict(replace(self, given=None))
        del body["given"]
        return json.dumps(plain(body), allow_nan=False)


COLOURS = {
    Verdict.RIGHT: "green",
    Verdict.KINK: "green",
    Verdict.UNTESTED: "darkorange",
    Verdict.INCONCLUSIVE: "darkorange",
    Verdict.IMPRECISE: "purple",
    Verdict.WRONG: "red",
    Verdict.CONTRACT: "red",
}


def describe(leaf: Leaf) -> str:
    """One line: the sentence, then the numbers."""
    parts = [leaf.sentence] if leaf.sentence else []
    if leaf.verdict in (Verdict.RIGHT, Verdict.KINK):
        parts.append(f"{leaf.units:.2g} noise units of 64")
        parts.append(f"sees errors from {leaf.visible:.1e}")
        if leaf.exercised < 1:
            parts.append(f"{leaf.exercised:.0%} of its entries exercised")
    if leaf.verdict in (Verdict.WRONG, Verdict.IMPRECISE) and leaf.hand is not None:
        where = f"[{', '.join(map(str, leaf.index))}]"
        parts.append(
            f"relative error {leaf.relative:.2g} ({leaf.units:.2g} noise units)"
        )
        parts.append(f"at {where}: hand {leaf.hand:.6g}, autodiff {leaf.autodiff:.6g}")
        if leaf.forward_mode is not None:
            parts.append(f"forward mode {leaf.forward_mode:.6g}")
        if leaf.difference is not None:
            value, bar = leaf.difference
            parts.append(f"differences {value:.6g} ± {bar:.1g}")
        if leaf.taylor is not None and math.isfinite(leaf.taylor[1]):
            error, bar = leaf.taylor
            parts.append(f"Taylor's remainder {error:+.3g} ± {bar:.0g} too large")
    if leaf.verdict is not Verdict.WRONG:
        parts += [f"{k}: {v:.2g} of autodiff's error" for k, v in leaf.rounding.items()]
    return "; ".join(parts)


def plain(value: Any) -> Any:
    """A JSON value: numbers that JSON cannot hold become strings."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, complex):
        return [plain(value.real), plain(value.imag)]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def assert_correct(report: Report) -> None:
    """Raise AssertionError, with the report as message, unless RIGHT or KINK.

    Example:
        >>> import jax.numpy as jnp
        >>> from purefw.layers.tanh import tanh
        >>> from reference import check_rule
        >>> assert_correct(check_rule(tanh(), jnp.array([0.3, -1.2])))
    """
    if report.verdict not in (Verdict.RIGHT, Verdict.KINK):
        raise AssertionError(str(report))
