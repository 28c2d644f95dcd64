"""Backward passes as strangers write them: right, wrong and imprecise."""

import importlib
import pkgutil

from tests.zoo.case import ALL, CASES, HALF, WIDE, Case, defaults

_TOOLS = {"case"}
for _module in pkgutil.iter_modules(__path__):
    if _module.name not in _TOOLS and not _module.name.startswith("test_"):
        importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["ALL", "CASES", "HALF", "WIDE", "Case", "defaults"]
