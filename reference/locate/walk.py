"""One pass through a network, forward and backward, that sees every call of a rule.

Every rule, combinators included, is replaced by one that numbers its call and records
what goes in and what comes out. A call's residuals travel with its number, so that it
is seen whose residuals a backward gets. Loops (lax.scan, as in repeat) are run step by
step, so that every block is a call of its own; inside a leaf all is compiled as usual.

A path names a call: the places of the parts from the network down, and which call of
that part it is within its parent's, (("[2]", 0), ("", 3)).
"""

from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp

from purefw.rule import Rule
from reference.contract.finding import CANNOT_TRACE
from reference.locate.parts import parts, with_parts

Path = tuple[tuple[str, int], ...]


@dataclass
class Call:
    """What one call of a rule took and gave.

    Attributes:
        path: Its name.
        rule: Whose call.
        is_leaf: Whether the rule has no parts.
        params, x, key: The arguments of forward.
        y, residuals: What forward returned.
        dy, handed: The arguments of backward, once it is called.
        handed_from: Whose residuals `handed` is.
        dparams, dx: What backward returned.
        error: What a leaf raised instead.
    """

    path: Path
    rule: Rule
    is_leaf: bool
    params: Any
    x: Any
    key: Any
    y: Any = None
    residuals: Any = None
    dy: Any = None
    handed: Any = None
    handed_from: Path | None = None
    dparams: Any = None
    dx: Any = None
    error: str = ""


@dataclass
class Walk:
    """A pass; subclasses change what flows on after it has been recorded."""

    calls: dict[Path, Call] = field(default_factory=dict)
    numbers: list[Path] = field(default_factory=list)
    _stack: list[tuple[Path, Counter]] = field(
        default_factory=lambda: [((), Counter())]
    )
    _returned: set[Path] = field(default_factory=set)

    def network(self, rule: Rule, place: str = "") -> Rule:
        """The rule, recorded by this walk."""
        inside = {k: self.network(v, k) for k, v in parts(rule).items()}
        inner = with_parts(rule, inside) if inside else compiled(rule)
        seen = {"rule": rule, "inner": inner, "place": place}
        return Rule(
            rule.name,
            rule.init,
            partial(self.forward, **seen),
            partial(self.backward, **seen),
            random=rule.random,
        )

    def enters(self, call: Call) -> tuple[Any, Any]:
        """The params and x with which the call goes on."""
        return call.params, call.x

    def leaves(self, call: Call) -> Any:
        """The y with which the network goes on."""
        return call.y

    def returns(self, call: Call) -> Any:
        """The dy with which the call goes back."""
        return call.dy

    def returned(self, call: Call) -> tuple[Any, Any]:
        """The dparams and dx with which the network goes back."""
        return call.dparams, call.dx

    def forward(self, params, x, key=None, *, rule: Rule, inner: Rule, place: str):
        """The recorded forward."""
        parent, counts = self._stack[-1]
        path = (*parent, (place, counts[place]))
        counts[place] += 1
        call = Call(path, rule, not parts(rule), params, x, key)
        self.calls[path] = call
        params, x = self.enters(call)
        keys = [key] if rule.random else []
        with self._within(path):
            call.y, call.residuals = inner.forward(params, x, *keys)
        self.numbers.append(path)
        return self.leaves(call), (jnp.array(len(self.numbers) - 1), call.residuals)

    def backward(self, residuals, dy, *, rule: Rule, inner: Rule, place: str):
        """The recorded backward."""
        number, own = residuals
        source = self.numbers[int(number)]
        path = self._receiver(source, place)
        self._returned.add(path)
        call = self.calls[path]
        call.dy, call.handed, call.handed_from = dy, own, source
        with self._within(path):
            call.dparams, call.dx = self.call_backward(call, inner)
        return self.returned(call)

    def call_backward(self, call: Call, inner: Rule) -> tuple[Any, Any]:
        """What the rule itself does."""
        return inner.backward(call.handed, self.returns(call))

    def _receiver(self, source: Path, place: str) -> Path:
        """The call that goes back: whose residuals these are, unless it has already."""
        parent, _ = self._stack[-1]
        if source[:-1] == parent and source[-1][0] == place:
            if source not in self._returned:
                return source
        waiting = [
            path
            for path in self.calls
            if path[:-1] == parent
            and path[-1][0] == place
            and path not in self._returned
        ]
        return waiting[-1] if waiting else source

    @contextmanager
    def _within(self, path: Path):
        self._stack.append((path, Counter()))
        try:
            yield
        finally:
            self._stack.pop()


@lru_cache(maxsize=256)
def compiled(rule: Rule) -> Rule:
    """A leaf as one program each way; a backward that JAX cannot trace as it is.

    Its forward raises ValueError where JAX cannot trace it.
    """

    def forward(*args: Any) -> Any:
        try:
            with jax.disable_jit(False):
                return programs[0](*args)
        except CANNOT_TRACE as error:
            raise ValueError(
                f"locate: {rule.name} must have a forward that JAX can trace, "
                f"got {type(error).__name__}"
            ) from error

    def backward(*args: Any) -> Any:
        try:
            with jax.disable_jit(False):
                return programs[1](*args)
        except CANNOT_TRACE:
            return rule.backward(*args)

    programs = jax.jit(rule.forward), jax.jit(rule.backward)
    return replace(rule, forward=forward, backward=backward)


@contextmanager
def step_by_step():
    """Loops of combinators run one step after the other."""
    with jax.disable_jit():
        yield


def show(path: Path, calls: dict[Path, Call]) -> str:
    """A path as text: ".middle[0]#2[1]", where #2 is the third call of one part."""
    text = ""
    for depth, (place, k) in enumerate(path[1:], start=2):
        again = (*path[: depth - 1], (place, 1)) in calls
        text += place + (f"#{k}" if again else "")
    return text.lstrip(".") or "the network"
