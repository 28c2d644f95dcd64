"""The equations of a rule, from the docstring of its module.

A numbered line of the derivation belongs to the forward or to the backward by the tag,
`# (3)`, on the code that computes it; see docs/notation.md. An equation computed by a
helper of both is taken for the backward's if it defines a cotangent: "dx_bi = ...".
"""

import inspect
import re
from dataclasses import dataclass
from typing import Any

from reference.known import function_of, module_of

LINE = re.compile(r" {4,}\((\d+[a-z]?)\) +(.*)")
NUMBER = re.compile(r"\((\d+[a-z]?)\)")


@dataclass(frozen=True)
class Equations:
    """The lines of a derivation, each with its number."""

    forward: tuple[str, ...] = ()
    backward: tuple[str, ...] = ()


def equations_of(rule: Any) -> Equations:
    """The equations of a rule or a loss of purefw; none for any other.

    Example:
        >>> from purefw.layers.tanh import tanh
        >>> for line in equations_of(tanh()).backward: print(line)
        (2) dx_i = (1 - y_i)(1 + y_i) dy_i
    """
    module = module_of(rule)
    if module is None or not module.__doc__:
        return Equations()
    lines = {m[1]: m[2] for m in map(LINE.match, module.__doc__.splitlines()) if m}
    forward, backward = tags(module.forward), tags(module.backward)
    sides: tuple[list, list] = ([], [])
    for number, text in lines.items():
        undecided = (number in forward) == (number in backward)
        back = text.lstrip("(").startswith("d") if undecided else number in backward
        sides[back].append(f"({number}) {re.sub(' +', ' ', text).strip()}")
    return Equations(*map(tuple, sides))


def tags(f: Any) -> set[str]:
    """The numbers in a function's comments."""
    comments = re.findall(r"# (\(.*)", inspect.getsource(function_of(f)))
    return {n for comment in comments for n in NUMBER.findall(comment)}
