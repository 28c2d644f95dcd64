"""No rule and no loss of purefw escapes the registry, and so the oracle."""

import importlib
import inspect
import pkgutil
import types
from typing import get_origin, get_type_hints

import purefw.layers
import purefw.losses
from purefw.layers import softmax
from purefw.rule import Loss, Rule
from reference.registry import LOSSES, RULES


def modules(package):
    """Every module of a package, those of its subpackages included."""
    for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        yield importlib.import_module(info.name)


def constructors(module):
    """The names of a module's own public functions that return a Rule or a Loss."""
    for name, function in vars(module).items():
        own = getattr(function, "__module__", "") == module.__name__
        if own and inspect.isfunction(function) and not name.startswith("_"):
            returned = get_type_hints(inspect.unwrap(function)).get("return")
            if (get_origin(returned) or returned) in (Rule, Loss):
                yield name


def missing(module):
    """The constructors of a module whose name no entry of the registry bears."""
    entries = [e.rule.name for e in RULES.values()]
    entries += [e.loss.name for e in LOSSES.values()]
    registered = {name.split("(")[0] for name in entries}
    return [name for name in constructors(module) if name not in registered]


def test_every_constructor_is_registered():
    found = [m for p in (purefw.layers, purefw.losses) for m in modules(p)]
    assert sum(len(list(constructors(m))) for m in found) >= 10
    assert [name for module in found for name in missing(module)] == []


def test_a_planted_constructor_that_is_not_registered_is_found():
    planted = types.ModuleType("planted")
    source = inspect.getsource(softmax).replace("def softmax(", "def planted_rule(")
    exec(compile(source, "planted.py", "exec"), vars(planted))
    vars(planted)["__name__"] = "planted"
    for function in vars(planted).values():
        if inspect.isfunction(function) and function.__globals__ is vars(planted):
            function.__module__ = "planted"
    assert missing(planted) == ["planted_rule"]
