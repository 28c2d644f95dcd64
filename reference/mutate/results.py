"""The measured power of the checks, as tables: `python -m reference.mutate.results`.

Run from the root of the repository. It writes the tables of docs/results.md and the
summary of README.md from docs/power.json, between the lines `<!-- power -->` and
`<!-- /power -->`. `purefw power --output docs/power.json` measures.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from rich.table import Table

from reference import generated as made
from reference.mutate.panel import OURS, Row
from reference.registry import LOSSES, RULES

CHECKS = {
    OURS: "purefw",
    "check_grads": "check_grads",
    "gradcheck": "gradcheck",
    "ones": "ones",
}
CLASSES = {
    "C1": "cotangent lost",
    "C2": "missing term",
    "C3": "sign, swap",
    "C4": "scale",
    "C5": "reduction",
    "C6": "axis, layout",
    "C7": "overwritten",
    "C8": "masks",
    "C9": "wrong residual",
    "C11": "kinks, choices",
    "C12": "precision",
    "C13": "layout, blocks",
    "C14": "subsets",
    "formula": "another function or operand",
}
COUNTED = ("mutants", "equivalent", "conventions", "full")


def table(rows: list[Row]) -> Table:
    """A line an entry, for the terminal."""
    shown = Table("rule", "mutants", "equivalent", *CHECKS.values())
    for row in rows:
        killed = [row.killed.get(check) for check in CHECKS]
        counts = ["-" if n is None else str(n) for n in killed]
        shown.add_row(row.name, str(row.mutants), str(row.equivalent), *counts)
    totals = [cell(*total(rows, check)) for check in CHECKS]
    mutants = sum(row.mutants for row in rows)
    equivalent = sum(row.equivalent for row in rows)
    shown.add_section()
    shown.add_row("all", str(mutants), str(equivalent), *totals)
    return shown


def total(rows: list[Row], check: str) -> tuple[int | None, int]:
    """Kills and mutants of a check, over the rules whose original it accepts."""
    asked = [row for row in rows if row.killed.get(check) is not None]
    if not asked:
        return None, 0
    return sum(row.killed[check] or 0 for row in asked), sum(r.mutants for r in asked)


def cell(killed: int | None, mutants: int) -> str:
    """ "142 (100 %)", rounded down, so that only all is 100 %."""
    if killed is None:
        return "-"
    share = 1000 * killed // max(mutants, 1) / 10
    return f"{killed} ({share:g} %)"


def summary(rows: list[Row]) -> str:
    """The table of the README: a line a check."""
    totals = {name: total(rows, check) for check, name in CHECKS.items()}
    lines = [
        (name, cell(killed, mutants), str(mutants))
        for name, (killed, mutants) in totals.items()
        if killed is not None
    ]
    known = len(RULES) + len(LOSSES)
    return (
        made.table(("check", "mistakes caught", "of"), lines)
        + f"\n\nMeasured on {len(rows)} of the registry's {known} entries."
    )


def by_class(rows: list[Row]) -> str:
    """A line a class; shares are of the rules at which a check was asked."""
    lines = []
    for name, meaning in CLASSES.items():
        cells = [cell(*of_class(rows, name, check)) for check in CHECKS]
        mutants = sum(row.classes.get(name, {}).get("mutants", 0) for row in rows)
        lines.append((name, meaning, str(mutants), *cells))
    return made.table(("class", "what is wrong", "mutants", *CHECKS.values()), lines)


def of_class(rows: list[Row], name: str, check: str) -> tuple[int | None, int]:
    """Kills and mutants of a class, over the rules at which a check was asked."""
    found = [
        row.classes[name]
        for row in rows
        if name in row.classes and row.killed.get(check) is not None
    ]
    if not found:
        return None, 0
    return sum(c.get(check, 0) for c in found), sum(c["mutants"] for c in found)


def by_rule(rows: list[Row]) -> str:
    """A line an entry."""
    header = ["rule", "mutants", "equivalent", "conventions", *CHECKS.values()]
    lines = []
    for row in rows:
        killed = [row.killed.get(check) for check in CHECKS]
        cells = ["-" if n is None else str(n) for n in killed]
        counts = map(str, (row.mutants, row.equivalent, row.conventions))
        lines.append((row.name, *counts, *cells))
    return made.table(header, lines)


def survivors(rows: list[Row]) -> Iterator[str]:
    """What the verifier lets pass, and what it accuses wrongly."""
    for row in rows:
        yield from (f"- {row.name}: {text}" for text in row.survivors)
        if row.false_alarm:
            yield f"- {row.name}: right, and called {row.false_alarm}"


def unmeasured(rows: list[Row]) -> list[str]:
    """An entry for each constructor of which none was measured."""
    first = {e.rule.name: name for name, e in reversed(RULES.items())}
    first |= {e.loss.name: name for name, e in reversed(LOSSES.items())}
    seen = {row.constructor for row in rows}
    names = {name for made, name in first.items() if made not in seen}
    return [name for name in [*RULES, *LOSSES] if name in names]


def due(rows: list[Row]) -> str:
    """Which rows are older than fingerprints, as a sentence, or ""."""
    names = ", ".join(row.name for row in rows if not row.fingerprint)
    return names and f" Measured before there were fingerprints: {names}."


def page(rows: list[Row]) -> str:
    """The generated part of docs/results.md."""
    let_pass = list(survivors(rows)) or ["None survives, and no right rule is accused."]
    counts = Counter()
    for row in rows:
        counts.update({k: getattr(row, k) for k in COUNTED})
    missing = ", ".join(unmeasured(rows)) or "no constructor"
    parts = [
        f"{len(rows)} of the registry's {len(RULES) + len(LOSSES)} entries, "
        f"{counts['mutants']} mistakes; "
        f"{counts['equivalent']} equivalent mutants and {counts['conventions']} other "
        f"subgradients left out; {counts['full']} mutants went to the full check. "
        f"Not measured: {missing}.{due(rows)}",
        summary(rows),
        "What the verifier lets pass:",
        "\n".join(let_pass),
        by_class(rows),
        by_rule(rows),
    ]
    return "\n\n".join(parts)


def replaced(text: str, generated: str) -> str:
    """A page with another generated part.

    Raises:
        ValueError: The marks are missing.
    """
    return made.replaced(text, "power", generated, who="results")


def main() -> None:
    """Write both pages."""
    from reference.commands.power import read

    rows = read(Path("docs/power.json"))
    for path, generated in (("README.md", summary), ("docs/results.md", page)):
        file = Path(path)
        file.write_text(replaced(file.read_text(), generated(rows)))


if __name__ == "__main__":
    main()
