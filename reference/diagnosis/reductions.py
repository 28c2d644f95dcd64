"""One reduction of the hand's program over other axes: a sum, a mean, a running sum.

Another sum has another shape, and what follows was written for the old one. So the
program is run on with the new sum r spread over the axes of its operand,

    (1)  r = Σ over the axes B of v, each kept with length 1         B for A

and whatever the program does with it, entry by entry or by broadcasting it back to v's
shape, is done with (1) instead. A result of r's own is given without the axes of B. A
mean divides by the number of its summands, so r is also tried times |A| / |B|. With
B = A, (1) undoes a broadcast along the wrong axis: a kept axis that was forgotten.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, combinations
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from reference.diagnosis.backward_program import Equation, program_of
from reference.diagnosis.hypothesis import Hypothesis
from reference.diagnosis.near import near
from reference.diagnosis.residuals import kept_right
from reference.diagnosis.scene import Scene, Stage
from reference.verifier.replay import Change, Replay, bind

REDUCTIONS: dict[str, Callable] = {
    "reduce_sum": jnp.sum,
    "reduce_max": jnp.max,
    "reduce_min": jnp.min,
    "reduce_prod": jnp.prod,
}
ALONG = {"cumsum": "axis", "cumprod": "axis", "cummax": "axis", "rev": "dimensions"}
ENTRYWISE = {
    "abs", "add", "add_any", "convert_element_type", "copy", "cos", "div", "erf", "exp",
    "expm1", "integer_pow", "log", "log1p", "logistic", "max", "min", "mul", "neg",
    "pow", "rsqrt", "select_n", "sin", "sqrt", "square", "sub", "tanh",
}  # fmt: skip
MOST = 400  # Runs, each one equation after the other.


@dataclass(frozen=True)
class Other:
    """What is done to one reduction: other axes, and a factor for a mean."""

    equation: Equation
    axes: tuple[int, ...]
    is_mean: bool = False

    @property
    def old(self) -> tuple[int, ...]:
        """The axes as they were written."""
        return written_axes(self.equation.eqn)


@dataclass(frozen=True)
class Spread:
    """(1), where the program has a value without the axes A, or with them kept."""

    value: Any
    shape: tuple[int, ...]
    old: tuple[int, ...]
    new: tuple[int, ...]
    is_kept: bool = False


class Reduced(Replay):
    """The program with one reduction replaced."""

    def __init__(self, other: Other):
        """Nothing has run yet."""
        super().__init__(Change(inline=True))
        self.other, self.path = other, ()

    def equation(self, eqn, values: list) -> list:
        """The equation, on spread values as on others."""
        outer, self.path = self.path, (*self.path, id(eqn))
        if self.path == self.other.equation.path:
            outputs = [started(eqn, values[0], self.other)]
        elif any(isinstance(v, Spread) for v in values) and not inner(eqn):
            outputs = [carried(eqn, values)]
        else:
            outputs = super().equation(eqn, values)
        self.path = outer
        return outputs


def inner(eqn) -> bool:
    """Whether an equation is a call whose body is walked."""
    return "jaxpr" in eqn.params or "call_jaxpr" in eqn.params


def written_axes(eqn) -> tuple[int, ...]:
    """The axes of a reduction, or of a running one."""
    axes = eqn.params[ALONG.get(eqn.primitive.name, "axes")]
    return (axes,) if isinstance(axes, int) else tuple(axes)


def started(eqn, v: Any, other: Other) -> Any:
    """The reduction over the new axes."""
    name = eqn.primitive.name
    if name in ALONG:
        axes = other.axes if name == "rev" else other.axes[0]
        return bind(eqn, [v], {**eqn.params, ALONG[name]: axes})[0]
    value = REDUCTIONS[name](v, axis=other.axes, keepdims=True)
    if other.is_mean:
        value = value * (count(v.shape, other.old) / count(v.shape, other.axes))
    return Spread(value, v.shape, other.old, other.axes)


def count(shape: tuple[int, ...], axes: tuple[int, ...]) -> int:
    """How many entries are summed."""
    return int(np.prod([shape[k] for k in axes]))


def carried(eqn, values: list) -> Any:
    """What an equation makes of spread values.

    Raises:
        ValueError: it does more with them than entry by entry or by broadcasting.
    """
    first = next(v for v in values if isinstance(v, Spread))
    if eqn.primitive.name in ("broadcast_in_dim", "reshape", "squeeze"):
        return reshaped(eqn.outvars[0].aval.shape, first)
    if eqn.primitive.name not in ENTRYWISE:
        raise ValueError("carried: an equation must work entry by entry")
    spread = [over_operand(v, first) for v in values]
    shape = np.broadcast_shapes(*(jnp.shape(v) for v in spread))
    value = bind(eqn, [jnp.broadcast_to(v, shape) for v in spread], eqn.params)[0]
    if eqn.outvars[0].aval.shape == first.shape:
        return jnp.broadcast_to(value, first.shape)
    return replace(first, value=value)


def over_operand(v: Any, first: Spread) -> Any:
    """A value with the axes of the reduction's operand."""
    if isinstance(v, Spread):
        return v.value
    if jnp.ndim(v) not in (0, len(first.shape)):
        return jnp.expand_dims(v, first.old)
    return v


def reshaped(shape: tuple[int, ...], v: Spread) -> Any:
    """A broadcast back to the operand, or the axes A kept or dropped."""
    if shape == v.shape:
        return jnp.broadcast_to(v.value, shape)
    fits = len(shape) == len(v.shape) and all(
        a in (1, b) for a, b in zip(shape, v.shape)
    )
    dropped = tuple(n for k, n in enumerate(v.shape) if k not in v.old)
    if not fits and shape != dropped:
        raise ValueError("reshaped: a sum must be broadcast to what was summed")
    return replace(v, is_kept=fits)


def given(v: Any, shape: tuple[int, ...]) -> np.ndarray:
    """A result in the shape of its leaf."""
    if not isinstance(v, Spread):
        return np.asarray(v)
    value = v.value if v.is_kept else jnp.squeeze(v.value, v.new)
    if value.shape != shape:
        raise ValueError("given: a result must have its leaf's shape")
    return np.asarray(value)


def reductions(stage: Stage, i: int) -> Iterator[Hypothesis]:
    """Other axes that make leaf `i` right and spoil no other."""
    program = program_of(stage)
    home = stage.home
    for n, other in enumerate(others(program.equations) if program else ()):
        if n == MOST:
            return
        fixed = home.once(f"reduced {other}", lambda o=other: run(home, o))
        if fixed is None or not near(fixed[i], home.truth[i]):
            continue
        if kept_right(home, fixed, i):
            yield hypothesis(other, i)


def hypothesis(other: Other, i: int) -> Hypothesis:
    """That these axes were meant."""
    equation = other.equation

    def sides(scene: Scene) -> tuple:
        there = program_of(scene.stage).same(equation)
        fixed = run(scene, replace(other, equation=there))
        if fixed is None:
            raise ValueError("reductions: the other axes must fit")
        return fixed[i], scene.truth[i]

    old, new = (", ".join(map(str, axes)) for axes in (other.old, other.axes))
    if other.old == other.axes:
        what, text = "kept", f"loses axis {old}, which must be kept with length 1"
    else:
        what = f"axis {new} for {old}"
        text = f"runs over axis {old} where axis {new} belongs"
    verb = equation.eqn.primitive.name.replace("reduce_", "")
    return Hypothesis(
        f"edit: {what} {equation.source}",
        "C5" if what == "kept" else "C6",
        f"the {verb} in {equation.text} {text}",
        sides,
        source=equation.source,
    )


def others(equations: list[Equation]) -> Iterator[Other]:
    """Every reduction over every other set of axes."""
    for equation in equations:
        name, shapes = equation.eqn.primitive.name, equation.eqn.invars
        if name not in REDUCTIONS and name not in ALONG:
            continue
        n, old = len(shapes[0].aval.shape), written_axes(equation.eqn)
        if name in ALONG:
            yield from (Other(equation, (k,)) for k in range(n) if (k,) != old)
            continue
        subsets = chain.from_iterable(combinations(range(n), k + 1) for k in range(n))
        for axes in subsets if n <= 4 else ():
            yield Other(equation, axes)
            if axes != old and name == "reduce_sum":
                yield Other(equation, axes, is_mean=True)


def run(scene: Scene, other: Other) -> list[np.ndarray] | None:
    """The cotangents; None where the program does not take them."""
    program = program_of(scene.stage)
    inputs = jax.tree.leaves((scene.run.residuals, scene.dys, scene.live))
    try:
        values = Reduced(other).run(
            program.closed.jaxpr, program.closed.consts, list(map(jnp.asarray, inputs))
        )
        return [given(v, t.shape) for v, t in zip(values, scene.truth, strict=True)]
    except (AttributeError, IndexError, TypeError, ValueError):
        return None
