"""What the command line names: an object in a user's file, and its arguments.

`FILE.py:NAME` runs the file and takes NAME from it; `MODULE:NAME` imports. The object
is a Rule, a pair (forward, backward), or a function that carries a custom derivative.
Arguments come from a function without parameters that returns a tuple, or from shapes:
"f32[5,7] i32[5]<3" is a normal float array and integers from 0 to 2.
"""

import importlib
import re
import runpy
from pathlib import Path
from typing import Any

import jax
import numpy as np

from reference.verifier.problem import first_line

SHAPE = re.compile(r"(f64|f32|bf16|f16|i32|bool)\[([\d,]*)\](?:<([1-9]\d*))?")
DTYPES = {"f64": "float64", "f32": "float32", "bf16": "bfloat16", "f16": "float16"}


class LoadError(Exception):
    """What the user named cannot be had; the message is one sentence."""


def load(spec: str) -> Any:
    """The object behind `FILE.py:NAME` or `MODULE:NAME`.

    Args:
        spec: The name. NAME may have dots.

    Returns:
        The object.

    Raises:
        LoadError: no colon, no such file, module or name, or the file raises.

    Example:
        >>> load("purefw.layers.tanh:tanh").__name__
        'tanh'
    """
    place, _, name = spec.rpartition(":")
    if not place or not name:
        raise LoadError(f"check: NAME must be FILE.py:NAME or MODULE:NAME, got {spec}")
    found: Any = namespace(place)
    for part in name.split("."):
        try:
            found = found[part] if isinstance(found, dict) else getattr(found, part)
        except (KeyError, AttributeError):
            raise LoadError(f"check: {place} must define {name}, it does not") from None
    return found


def namespace(place: str) -> dict[str, Any]:
    """The names that a file or a module defines."""
    if place.endswith(".py") and not Path(place).is_file():
        raise LoadError(f"check: FILE must exist, got {place}")
    try:
        if place.endswith(".py"):
            return runpy.run_path(place)
        return vars(importlib.import_module(place))
    except ModuleNotFoundError as error:
        raise LoadError(f"check: {place} must import, but {error}") from error
    except (Exception, SystemExit) as error:
        raise LoadError(
            f"check: {place} must run, but it raises {first_line(error)}"
        ) from error


def arguments(spec: str, seed: int) -> tuple:
    """The arguments from `FILE.py:FUNCTION` or from shapes.

    Args:
        spec: The function's name, or shapes separated by spaces.
        seed: Of the values that shapes are filled with.

    Returns:
        A tuple of arguments.

    Raises:
        LoadError: neither reads.

    Example:
        >>> [v.shape for v in arguments("f32[5,7] i32[5]<3", seed=0)]
        [(5, 7), (5,)]
    """
    if ":" in spec:
        function = load(spec)
        try:
            made = function()
        except Exception as error:
            raise LoadError(
                f"check: {spec} must return the arguments, but it raises "
                f"{first_line(error)}"
            ) from error
        return made if isinstance(made, tuple) else (made,)
    rng = np.random.default_rng([0x9D2C5680, seed])
    return tuple(array(part, rng) for part in spec.split())


def array(text: str, rng: np.random.Generator) -> Any:
    """One array from its shape, as jaxprs print them."""
    match = SHAPE.fullmatch(text)
    if match is None:
        raise LoadError(
            "check: --args must be FILE.py:FUNCTION or shapes like f32[5,7], bf16[3], "
            f"i32[5]<3, bool[2], got {text}"
        )
    kind, sizes, bound = match.groups()
    shape = tuple(int(n) for n in sizes.split(",") if n)
    if kind == "bool":
        return rng.random(shape) < 0.5
    if kind == "i32":
        return rng.integers(0, int(bound or 2), shape, dtype=np.int32)
    return rng.standard_normal(shape).astype(jax.numpy.dtype(DTYPES[kind]))
