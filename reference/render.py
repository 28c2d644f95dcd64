"""A report as text, as a rich table and as HTML."""

import math
from html import escape

import numpy as np
from rich.console import Group
from rich.table import Table
from rich.text import Text

from reference.verdict import Verdict

COLOURS = {
    Verdict.RIGHT: "green",
    Verdict.KINK: "green",
    Verdict.UNTESTED: "darkorange",
    Verdict.INCONCLUSIVE: "darkorange",
    Verdict.IMPRECISE: "purple",
    Verdict.WRONG: "red",
    Verdict.CONTRACT: "red",
}
COLUMNS = ("leaf", "verdict", "what was seen")
WIDTH, HEIGHT = 280, 120  # Of a picture, in pixels.


def as_text(report) -> str:
    """A headline, a line a leaf, the broken contract, the notes, the cost."""
    lines = [f"{report.verdict}  {report.subject}"]
    for leaf in report.leaves.values():
        first, *rest = said(report, leaf)
        lines.append(f"  {leaf.verdict:<12} {leaf.name}: {first}")
        lines += [f"  {'':<12} {line}" for line in rest]
    lines += [f"  {line}" for line in remarks(report)]
    if report.reproduce:
        lines += ["  reproduce:", *(f"    {s}" for s in report.reproduce.splitlines())]
    return "\n".join(lines)


def as_rich(report) -> Group:
    """The same as a rich table."""
    parts: list = [Text(f"{report.verdict}  {report.subject}")]
    if report.leaves:
        table = Table()
        for column in COLUMNS:
            table.add_column(column, overflow="fold")
        for leaf in report.leaves.values():
            verdict = Text(leaf.verdict, COLOURS[leaf.verdict])
            table.add_row(leaf.name, verdict, Text("\n".join(said(report, leaf))))
        parts.append(table)
    parts += map(Text, remarks(report))
    if report.reproduce:
        parts += [Text("reproduce:"), Text(report.reproduce)]
    return Group(*parts)


def as_html(report) -> str:
    """The same as an HTML table, with pictures of Taylor's remainders."""
    rows = "".join(
        f"<tr style='vertical-align:top'><td><code>{escape(v.name)}</code></td>"
        f"<td style='color:{COLOURS[v.verdict]}'><b>{v.verdict}</b></td>"
        f"<td style='text-align:left'>{'<br>'.join(map(escape, said(report, v)))}"
        f"{picture(v)}</td></tr>"
        for v in report.leaves.values()
    )
    header = "".join(f"<th>{column}</th>" for column in COLUMNS)
    table = f"<table><tr>{header}</tr>{rows}</table>" if rows else ""
    extra = "".join(f"<p>{escape(s)}</p>" for s in remarks(report))
    code = f"<p>reproduce:</p><pre>{escape(report.reproduce)}</pre>"
    code = code if report.reproduce else ""
    title = f"<p><b>{report.verdict}</b> {escape(report.subject)}</p>"
    return title + table + extra + code


def remarks(report) -> list[str]:
    """What is said of no single leaf."""
    found = [f"contract: {sentence}" for sentence in report.broken]
    if report.diagnosis is not None:
        found += [
            f"cause: {cause.sentence}"
            for cause in report.diagnosis.causes
            if not any(leaf in report.leaves for leaf in cause.leaves)
        ]
        found += [f"note: {term}" for term in report.diagnosis.zero_terms]
    return [
        *found,
        *(f"note: {sentence}" for sentence in report.notes),
        f"{report.seconds:.2f} s; {report.hand_passes} backward, "
        f"{report.reference_passes} reference and {report.forward_passes} forward "
        f"passes; seed {report.seed}",
    ]


def said(report, leaf) -> list[str]:
    """The cause, where the diagnosis proved one, or the place; then the numbers."""
    numbers = [describe(leaf)]
    if report.diagnosis is None:
        return numbers
    cause = report.diagnosis.cause_of(leaf.name)
    if cause is None:
        place = report.diagnosis.where.get(leaf.name)
        return [place, *numbers] if place else numbers
    proof = [cause.evidence, str(cause.proof or "")]
    told = leaf.name == cause.leaves[0]  # Once for all its leaves.
    return [cause.sentence, *numbers, *(p for p in proof if p and told)]


def describe(leaf) -> str:
    """One line: the sentence, then the numbers."""
    parts = [leaf.sentence] if leaf.sentence else []
    if leaf.verdict in (Verdict.RIGHT, Verdict.KINK):
        parts.append(f"{leaf.units:.2g} noise units of 64")
        parts.append(f"sees errors from {leaf.visible:.1e}")
    if leaf.verdict in (Verdict.WRONG, Verdict.IMPRECISE) and leaf.hand is not None:
        parts += witnesses(leaf)
    if leaf.kink is not None:
        parts.append(kind_of_point(leaf.kink))
    if leaf.exercised < 1 and leaf.verdict is not Verdict.WRONG:
        parts.append(f"{1 - leaf.exercised:.0%} of its entries never exercised")
    if leaf.verdict is not Verdict.WRONG:
        parts += [f"{k}: {v:.2g} of autodiff's error" for k, v in leaf.rounding.items()]
    return "; ".join(parts)


def witnesses(leaf) -> list[str]:
    """What hand, autodiff, forward mode and differences say of the worst entry."""
    parts = []
    if leaf.autodiff is not None:
        units = f"{leaf.relative:.2g} ({leaf.units:.2g} noise units)"
        where = f"[{', '.join(map(str, leaf.index))}]"
        parts.append(f"relative error {units}")
        parts.append(f"at {where}: hand {leaf.hand:.6g}, autodiff {leaf.autodiff:.6g}")
    if leaf.forward_mode is not None:
        parts.append(f"forward mode {leaf.forward_mode:.6g}")
    if leaf.difference is not None and leaf.autodiff is not None:
        value, bar = leaf.difference
        parts.append(f"differences {value:.6g} ± {bar:.1g}")
    if leaf.taylor is not None and math.isfinite(leaf.taylor.uncertainty):
        error, bar = leaf.taylor.relative_error, leaf.taylor.uncertainty
        parts.append(f"Taylor's remainder: {error:+.3g} ± {bar:.0g} too large")
    return parts


def kind_of_point(kink) -> str:
    """A sentence about the smoothness of the forward where the leaf was judged."""
    if kink.kind == "near kink":
        return f"the forward has a kink within {kink.distance:.0e}"
    names = {"kink": "on a kink", "hoelder": "of a fractional power"}
    exponent = "" if math.isnan(kink.exponent) else f" (exponent {kink.exponent:.2f})"
    return f"the forward is {names.get(kink.kind, kink.kind)} there{exponent}"


def picture(leaf) -> str:
    """R(h) over h, both as logarithms, and the line of rounding; '' without one.

    A right claim falls three decades a decade until it meets rounding, a wrong one one.
    """
    if leaf.taylor is None or leaf.verdict is not Verdict.WRONG:
        return ""
    steps, remainders = leaf.taylor.steps, leaf.taylor.remainders
    shown = np.isfinite(remainders) & (remainders > 0)
    if shown.sum() < 2:
        return ""
    h, r = np.log10(steps[shown]), np.log10(remainders[shown])
    floor = math.log10(max(leaf.taylor.rounding, 1e-300))
    low, high = min(floor, r.min()), max(floor, r.max())

    def place(x, y) -> str:
        right = WIDTH * (x - h.min()) / (np.ptp(h) or 1.0)
        down = HEIGHT * (high - y) / ((high - low) or 1.0)
        return f"{right:.1f},{down:.1f}"

    curve = " ".join(map(place, h, r))
    line = f"{place(h.min(), floor)} {place(h.max(), floor)}"
    return (
        f"<br><svg width='{WIDTH}' height='{HEIGHT}' "
        "style='border:1px solid #ccc;margin:4px' fill='none'>"
        f"<polyline points='{curve}' stroke='red'/>"
        f"<polyline points='{line}' stroke='grey' stroke-dasharray='4'/></svg><br>"
        f"<small>Taylor's remainder over the step, {steps.min():.0e} to "
        f"{steps.max():.2g}, both logarithmic; dashed: rounding</small>"
    )
