"""A page for every rule, loss and combinator: its derivation and its figures."""

import importlib
import json
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from docs.pages.docstring import escaped, markdown
from docs.pages.source import described, modules
from reference.bench.result import Run, load
from reference.bench.show import time_ratio
from reference.known import function_of
from reference.registry import LOSSES, RULES

DOCS = Path(__file__).parents[1]
FAMILIES = {
    "purefw.layers": "Layers and activations",
    "purefw.losses": "Losses",
    "purefw.compose": "Combinators",
}


def pages() -> dict[str, str]:
    """From a page's path under docs/, without suffix, to its Markdown."""
    found, index = {}, ["# Rules", INTRODUCTION]
    for family, title in FAMILIES.items():
        names = [name for name in modules(family) if name != family]
        rows = []
        for name in names:
            module = importlib.import_module(name)
            short = name.rpartition(".")[2]
            found[f"rules/{short}"] = page(module)
            first = (module.__doc__ or "").strip().splitlines()[0]
            rows.append(f"| [{short}]({short}.md) | {cell(first)} | {verdict(name)} |")
        index += [f"## {title}", "\n".join([HEAD, *rows])]
    listed = "\n".join(name.removeprefix("rules/") for name in found)
    index.append(f"```{{toctree}}\n:hidden:\n\n{listed}\n```")
    return found | {"rules/index": "\n\n".join(index)}


INTRODUCTION = (
    "Each is one file: its derivation, and the functions that compute it. A page shows "
    "the file's derivation, its kinks, limits and cost as the docstring states them, "
    "the verdict on every registered entry at its typical input, how many of the "
    "mistakes planted in it the verifier catches, and its speed where it was measured."
)
HEAD = "| rule | what it is | verdict |\n| --- | --- | --- |"


def page(module: ModuleType) -> str:
    """One rule."""
    name, short = module.__name__, module.__name__.rpartition(".")[2]
    parts = [f"# {short}", markdown(module.__doc__ or ""), *figures(name)]
    parts += ["## Functions", f"In `{name}`.", described(module, level=3)]
    return "\n\n".join(part for part in parts if part)


def figures(module: str) -> list[str]:
    """What was measured on the entries of a module; nothing where nothing was."""
    names = entries(module)
    parts = []
    judged = [(n, *row) for n in names for row in judgements(n)]
    rows = [f"| {n} | `{leaf}` | {said} | {u:.2g} |" for n, leaf, said, u in judged]
    if names:
        parts += ["## Verdict", VERDICT, "\n".join([VERDICT_HEAD, *rows])]
    planted = [mistakes(n) for n in names]
    if any(planted):
        parts += ["## Planted mistakes", " ".join(filter(None, planted))]
    timed = [row for n in names for row in speed(n)]
    if timed:
        parts += ["## Speed", SPEED, "\n".join([SPEED_HEAD, *timed])]
    return parts


VERDICT = (
    "At the typical registered input under random parameters; the error is the worst "
    "over all cotangents and points, in units of the noise of float64, of which 64 "
    "pass. [What a verdict means](../verification.md)."
)
VERDICT_HEAD = "| entry | leaf | verdict | error |\n| --- | --- | --- | --- |"
SPEED = (
    "By hand over autodiff of the usual form, forward and backward in one compiled "
    "function; below 1 the hand is faster, and where the rounds disagree there is no "
    "ratio. [How it is measured](../performance.md)."
)
SPEED_HEAD = "| case | time by hand / autodiff | ± | ms |\n| --- | --- | --- | --- |"


def entries(module: str) -> list[str]:
    """The registered rules and losses whose backward a module holds."""
    every = {**RULES, **LOSSES}
    return [name for name, entry in every.items() if home(entry) == module]


def home(entry: Any) -> str:
    """Where the forward of a registered rule or loss is written."""
    rule = getattr(entry, "rule", None) or entry.loss
    return function_of(rule.forward).__module__


def verdict(module: str) -> str:
    """The worst verdict on a module's entries, for the table of all."""
    order = ["RIGHT", "KINK"]
    found = [row[1] for n in entries(module) for row in judgements(n)]
    strange = [said for said in found if said not in order]
    return (strange or sorted(set(found), key=order.index)[-1:] or ["—"])[0]


def mistakes(name: str) -> str:
    """One sentence from docs/power.json."""
    for row in read("power.json") or []:
        if row["name"] == name and row["mutants"]:
            caught = row["killed"]["purefw"]
            return f"Of {row['mutants']} in `{name}` the verifier catches {caught}."
    return ""


def speed(name: str) -> list[str]:
    """The rows of an entry in docs/performance.json."""
    return [
        f"| {row.name} | {time_ratio(row)} | {row.spread:.0%} | "
        f"{row.hand.milliseconds:.3g} |"
        for row in benchmark().rows
        if row.name == name
    ]


@cache
def benchmark() -> Run:
    """The run that docs/performance.md shows."""
    return load(DOCS / "performance.json")


@cache
def read(name: str) -> Any:
    """A file of figures; None where it was never made."""
    path = DOCS / name
    return json.loads(path.read_text("utf-8")) if path.exists() else None


def judgements(name: str) -> list[list]:
    """Leaf, verdict and error of an entry in docs/verdicts.json."""
    return read("verdicts.json")[name]


def cell(text: str) -> str:
    """The first line of a docstring inside a table."""
    return escaped(text.removesuffix(".").removesuffix(":"))
