"""What a module offers, read from its source: names, signatures, docstrings."""

import ast
import importlib
import inspect
import pkgutil
from functools import cache
from types import ModuleType
from typing import Any

from docs.pages.docstring import fenced, markdown


def modules(package: str) -> list[str]:
    """The package and all modules in it."""
    root = importlib.import_module(package)
    found = pkgutil.walk_packages(root.__path__, f"{package}.")
    return [package, *(module.name for module in found)]


def own(module: ModuleType) -> list[str]:
    """The public functions and classes that are written in a module."""
    return [
        node.name
        for node in tree(module).body
        if isinstance(node, (ast.FunctionDef, ast.ClassDef))
        and not node.name.startswith("_")
    ]


def exported(module: ModuleType) -> list[str]:
    """What a package takes from its modules."""
    return [name for name in getattr(module, "__all__", []) if name not in own(module)]


@cache
def tree(module: ModuleType) -> ast.Module:
    """The module's source."""
    return ast.parse(inspect.getsource(module))


def described(module: ModuleType, level: int = 2) -> str:
    """Every public name of a module, each under a heading of its own."""
    nodes = {node.name: node for node in tree(module).body if hasattr(node, "name")}
    parts = []
    for name in own(module):
        parts += one(nodes[name], "#" * level, f"{module.__name__}.{name}")
    return "\n\n".join(parts)


def one(node: Any, heading: str, anchor: str) -> list[str]:
    """A function or a class with its public methods."""
    label = anchor_of(anchor, isinstance(node, ast.ClassDef))
    parts = [f"({label})=\n{heading} `{node.name}`", fenced(signature(node), "python")]
    docstring = ast.get_docstring(node)
    if docstring:
        parts.append(markdown(docstring))
    for method in node.body if isinstance(node, ast.ClassDef) else []:
        if isinstance(method, ast.FunctionDef) and not method.name.startswith("_"):
            parts += one(method, heading + "#", f"{anchor}.{method.name}")
    return parts


def anchor_of(name: str, is_class: bool) -> str:
    """What links go to; Sphinx does not tell Power from power."""
    return f"class-{name}" if is_class else name


def signature(node: Any) -> str:
    """The first line of a definition as it was written; of a class, its fields too."""
    bare = ast.parse(ast.unparse(node)).body[0]
    if isinstance(bare, ast.ClassDef):
        bare.body = [b for b in bare.body if isinstance(b, ast.AnnAssign)] or [
            ast.Expr(ast.Constant(...))
        ]
    else:
        bare.body = [ast.Expr(ast.Constant(...))]
    text = ast.unparse(bare).removesuffix("\n    ...")
    return text if len(text) <= 88 or "\n" in text else wrapped(text)


def wrapped(text: str) -> str:
    """A long signature with one argument a line."""
    start, depth, cut = text.index("("), 0, []
    for i, character in enumerate(text[start:], start):
        depth += (character in "([{") - (character in ")]}")
        if depth == 1 and character == ",":
            cut.append(i)
        if depth == 0:
            end = i
            break
    ends = [*cut, end]
    begins = [start + 1, *(i + 1 for i in cut)]
    lines = [f"    {text[a:b].strip()}," for a, b in zip(begins, ends)]
    return "\n".join([text[: start + 1], *lines, text[end:]])
