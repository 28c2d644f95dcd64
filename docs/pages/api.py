"""A page for every public module that is not a rule's, and one for the command line."""

import importlib
import inspect
from types import ModuleType

import typer

from docs.pages.docstring import markdown
from docs.pages.rules import FAMILIES
from docs.pages.source import anchor_of, described, exported, modules, own
from reference.cli import app

EXTRA = (  # Named in the documentation.
    "reference.locate.locate",
    "reference.locate.trace",
    "reference.registry.invariants",
    "reference.teaching.exercise",
)


def pages() -> dict[str, str]:
    """From a page's path under docs/, without suffix, to its Markdown."""
    found = {f"api/{name}": page(name) for name in documented()}
    found["api/command"] = command()
    listed = "\n".join(name.removeprefix("api/") for name in found)
    toc = f"```{{toctree}}\n:maxdepth: 1\n\n{listed}\n```"
    return found | {"api/index": "\n\n".join(["# API", INTRODUCTION, toc])}


INTRODUCTION = (
    "Every public name. Rules, losses and combinators have [pages of their own]"
    "(../rules/index.md); a package's page says where its names are written."
)


def documented() -> list[str]:
    """The modules of purefw; of reference, those whose names its packages offer."""
    rules = {name for family in FAMILIES for name in modules(family)}
    library = [name for name in modules("purefw") if name not in rules]
    offering = [
        name for name in modules("reference") if exported(importlib.import_module(name))
    ]
    public = ("reference", "reference.interop", "reference.registry")
    homes = [
        home(importlib.import_module(package), name)
        for package in offering
        if package in public
        for name in exported(importlib.import_module(package))
    ]
    return sorted({*library, *FAMILIES, *public, *EXTRA, *filter(None, homes)})


def home(package: ModuleType, name: str) -> str:
    """Where a name of a package is written; nothing for a table of values."""
    return getattr(getattr(package, name), "__module__", "")


def anchor(package: ModuleType, name: str) -> str:
    """Where a name of a package is described; nothing for a table of values."""
    where = home(package, name)
    is_class = inspect.isclass(getattr(package, name))
    return anchor_of(f"{where}.{name}", is_class) if where else ""


def page(name: str) -> str:
    """One module."""
    module = importlib.import_module(name)
    parts = [f"# {name}", markdown(module.__doc__ or "")]
    parts.append("\n".join(offer(module, offered) for offered in exported(module)))
    parts.append(described(module) if own(module) else "")
    return "\n\n".join(part for part in parts if part)


def offer(package: ModuleType, name: str) -> str:
    """An item that says where a name of a package is described."""
    place = anchor(package, name)
    return f"- [`{name}`](#{place})" if place else f"- `{name}`"


def command() -> str:
    """What `purefw NAME --help` says, for every NAME."""
    group = typer.main.get_command(app)
    parts = [
        "# The command `purefw`",
        "Exit code 0: all is right. 1: a check failed. 2: what was asked cannot be "
        "done, said in one sentence.",
    ]
    for name, subcommand in sorted(group.commands.items()):
        parts += [f"## `purefw {name}`", markdown(subcommand.help or "")]
        rows = [option(parameter) for parameter in subcommand.params]
        parts.append("\n".join(filter(None, rows)))
    return "\n\n".join(parts)


def option(parameter) -> str:
    """One argument or option as an item of a list."""
    if parameter.name == "help":
        return ""
    names = " ".join(parameter.opts) if parameter.opts[0].startswith("-") else ""
    shown = names or parameter.metavar or parameter.name.upper()
    default = parameter.default
    known = isinstance(default, (str, int, float)) and not isinstance(default, bool)
    said = f" Default: `{default}`." if known and default != "" else ""
    text = markdown(getattr(parameter, "help", None) or "").strip() + said
    return f"- `{shown}`: {text.strip()}" if text else f"- `{shown}`"
