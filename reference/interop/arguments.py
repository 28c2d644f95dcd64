"""A function of several arguments as a rule of params and x."""

from collections.abc import Callable
from typing import Any

from purefw.shared.structure import no_params

Init = Callable[[Any], Any]


def arguments(params: Any, x: Any, *, has_params: bool) -> tuple:
    """The function's arguments: params first if there are any, a tuple x spread."""
    own = x if isinstance(x, tuple) else (x,)
    return (params, *own) if has_params else own


def cotangents(found: tuple, x_is_tuple: bool, *, has_params: bool) -> tuple[Any, Any]:
    """(dparams, dx) from one cotangent an argument."""
    dparams, dx = (found[0], found[1:]) if has_params else ((), found)
    return dparams, dx if x_is_tuple else dx[0]


def init_or_nothing(init: Init | None) -> Init:
    """The rule's init."""
    return no_params if init is None else init
