"""Mistakes with a name, planted around a backward pass instead of inside it.

Three places: the cotangent before backward reads it, the residuals before backward
reads them, and what backward returns. The classes are those found in public code:

    C1   cotangent lost       dy replaced by ones, one entry, its mean, its sign, ...
    C2   missing term         a summand of `terms` left out; a leaf of dy dropped
    C3   sign, swap           a leaf negated, two leaves exchanged
    C4   scale                a leaf times 2, 1/2, N, 1/N, 1 + 1e-6
    C6   axis, layout         a leaf transposed or reversed along an axis
    C8   masks                a mask that lets everything through
    C9   wrong residual       another row's, another step's, another call's; y for x
    C12  precision            residuals stored in bfloat16
    C13  layout, blocks       the last row or one entry not written
    C14  subsets              nothing for one leaf

C5, C7 and C11 are slips inside backward (operators.py): a sum that is a mean, = for +=,
> for >=. C10, writing into an argument, cannot be done to a JAX array.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Leaves = list[Any]


@dataclass(frozen=True)
class Call:
    """What the planting of a residual may draw on.

    Attributes:
        forward: `forward(*args) -> (y, residuals)`.
        args: Its arguments.
        place: Which of them is the data: not the parameters, not the target.
        y: What it returned.
    """

    forward: Callable
    args: tuple
    place: int
    y: Any

    @cached_property
    def other(self) -> Leaves:
        """The residuals of a call with the rows of x reversed, or of 0.9 x."""

        def moved(v):
            v = jnp.asarray(v)
            if v.ndim and v.shape[0] > 1:
                return v[::-1]
            return 0.9 * v if jnp.issubdtype(v.dtype, jnp.floating) else v

        args = list(self.args)
        args[self.place] = jax.tree.map(moved, args[self.place])
        return jax.tree.leaves(self.forward(*args)[1])


@dataclass(frozen=True)
class Plant:
    """One mistake around a backward pass.

    Attributes:
        kind: Its name.
        sentence: What is done.
        mistake: Its class.
        change: From the leaves to others: `(leaves)` of dy, `(leaves, call)` of the
            residuals, `(leaves, residuals, dy)` of what backward returns.
        source: Empty: no line of the rule is changed.
        code: Likewise.
    """

    kind: str
    sentence: str
    mistake: str
    change: Callable[..., Leaves]
    source: str = ""
    code: str = ""

    def __str__(self) -> str:
        """What is done."""
        return self.sentence


class CotangentPlant(Plant):
    """On dy."""


class ResidualPlant(Plant):
    """On the residuals, between forward and backward."""


class OutputPlant(Plant):
    """On what backward returns."""


def planted(plant: Plant, leaves: Leaves, *context: Any) -> Leaves:
    """The leaves after a plant; as they were where its shapes do not fit."""
    found = plant.change(leaves, *context)
    return [
        jnp.asarray(w, jnp.asarray(v).dtype) if np.shape(w) == np.shape(v) else v
        for v, w in zip(leaves, found, strict=True)
    ]


def with_leaf(leaves: Leaves, k: int, value: Any) -> Leaves:
    """The leaves with another in place k."""
    return [*leaves[:k], value, *leaves[k + 1 :]]


# The cotangent.

COTANGENT = {
    "ones": ("dy is taken for ones", jnp.ones_like),
    "first": ("the first entry of dy stands for all", lambda v: v.ravel()[0]),
    "mean": ("the mean of dy stands for all", jnp.mean),
    "sign": ("the sign of dy stands for dy", jnp.sign),
    "abs": ("|dy| stands for dy", jnp.abs),
    "square": ("dy² stands for dy", jnp.square),
    "relu": ("max(dy, 0) stands for dy", lambda v: jnp.maximum(v, 0)),
    "clip": ("dy is clipped to [-1, 1]", lambda v: jnp.clip(v, -1, 1)),
}


def cotangent_plants(dy: Leaves) -> Iterator[Plant]:
    """C1, and C2 where y has several leaves."""
    for kind, (sentence, f) in COTANGENT.items():
        yield CotangentPlant(f"dy {kind}", sentence, "C1", partial(_each, f=f))
    for k in range(len(dy) if len(dy) > 1 else 0):
        yield CotangentPlant(
            "dy leaf zero",
            f"leaf {k} of dy is not used",
            "C2",
            lambda leaves, k=k: with_leaf(leaves, k, jnp.zeros_like(leaves[k])),
        )


def _each(leaves: Leaves, f: Callable) -> Leaves:
    return [jnp.broadcast_to(f(v), v.shape) if v.size else v for v in leaves]


# The residuals.


def residual_plants(residuals: Leaves, names: list[str], y: Leaves) -> Iterator[Plant]:
    """C8, C9 and C12 for each leaf of the residuals."""
    for k, (v, name) in enumerate(zip(residuals, names, strict=True)):
        if v.dtype == bool:
            yield ResidualPlant(
                "mask removed",
                f"the mask {name} lets everything through",
                "C8",
                lambda leaves, call, k=k: with_leaf(
                    leaves, k, jnp.ones_like(leaves[k])
                ),
            )
        for axis in range(v.ndim):
            if v.shape[axis] > 1:
                yield ResidualPlant(
                    "residual rolled",
                    f"residual {name} is that of the next place on axis {axis}",
                    "C9",
                    partial(_rolled, k=k, axis=axis),
                )
        for j in _alike(residuals, k)[:2]:
            yield ResidualPlant(
                "residual swapped",
                f"residual {names[j]} stands for {name}",
                "C9",
                lambda leaves, call, j=j, k=k: with_leaf(leaves, k, leaves[j]),
            )
        for j, w in enumerate(y):
            if w.shape == v.shape and w.dtype == v.dtype:
                yield ResidualPlant(
                    "residual y",
                    f"leaf {j} of y stands for residual {name}",
                    "C9",
                    partial(_output, k=k, j=j),
                )
        yield ResidualPlant(
            "residual stale",
            f"residual {name} is that of another call",
            "C9",
            partial(_stale, k=k),
        )
    if any(jnp.issubdtype(v.dtype, jnp.floating) for v in residuals):
        yield ResidualPlant(
            "residuals in bfloat16", "residuals are stored in bfloat16", "C12", _coarse
        )


def _alike(leaves: Leaves, k: int) -> list[int]:
    """The other leaves of one shape and dtype."""
    v = leaves[k]
    return [
        j
        for j, w in enumerate(leaves)
        if j != k and w.shape == v.shape and w.dtype == v.dtype
    ]


def _rolled(leaves: Leaves, call: Call, k: int, axis: int) -> Leaves:
    return with_leaf(leaves, k, jnp.roll(leaves[k], 1, axis))


def _output(leaves: Leaves, call: Call, k: int, j: int) -> Leaves:
    return with_leaf(leaves, k, jax.tree.leaves(call.y)[j])


def _stale(leaves: Leaves, call: Call, k: int) -> Leaves:
    return with_leaf(leaves, k, call.other[k])


def _coarse(leaves: Leaves, call: Call) -> Leaves:
    """Rounded to bfloat16, in the dtype that they had."""
    return [
        v.astype(jnp.bfloat16).astype(v.dtype)
        if jnp.issubdtype(v.dtype, jnp.floating)
        else v
        for v in leaves
    ]


# What backward returns.


def output_plants(
    outputs: Leaves, names: list[str], rows: int, terms: Callable | None, example: dict
) -> Iterator[Plant]:
    """C2 by `terms`; C3, C4, C6, C13 and C14 for each leaf.

    Args:
        outputs: The float leaves that backward returns, shapes suffice.
        names: "dparams.scale", "dx".
        rows: N, the length of the first axis of x.
        terms: The rule's, or None.
        example: What it returns.
    """
    for name, summands in example.items():
        k = names.index(name)
        for summand in summands:
            yield OutputPlant(
                "term dropped",
                f"{name} lacks its summand {summand!r}",
                "C2",
                partial(_without, k=k, name=name, summand=summand, terms=terms),
            )
    for k, (v, name) in enumerate(zip(outputs, names, strict=True)):
        if not int(np.prod(v.shape)):
            continue
        for mistake, sentence, f in _on_leaf(v, rows):
            yield OutputPlant(
                sentence.format(""), sentence.format(name + " "), mistake,
                lambda leaves, *_, k=k, f=f: with_leaf(leaves, k, f(leaves[k])),
            )  # fmt: skip
        for j in _alike(outputs, k):
            if j > k:
                yield OutputPlant(
                    "swapped",
                    f"{name} and {names[j]} are exchanged",
                    "C3",
                    partial(_swapped, k=k, j=j),
                )


def _on_leaf(v: Any, rows: int) -> Iterator[tuple[str, str, Callable]]:
    """Class, sentence and change of one leaf."""
    yield "C14", "{}is zero", jnp.zeros_like
    yield "C3", "{}is negated", jnp.negative
    factors = {"2": 2.0, "1/2": 0.5, "1 + 1e-6": 1 + 1e-6}
    if rows > 1:
        factors |= {"N": float(rows), "1/N": 1 / rows}
    for name, factor in factors.items():
        yield "C4", "{}is multiplied by " + name, partial(jnp.multiply, factor)
    size = int(np.prod(v.shape))
    if size > 1:
        yield "C13", "{}has one entry of zero", partial(_cleared, start=size // 2)
    if v.shape and v.shape[0] > 1:
        yield "C13", "{}lacks its last row", lambda a: a.at[-1].set(0)
    for axis in range(len(v.shape)):
        if v.shape[axis] > 1:
            yield "C6", f"{{}}is reversed along axis {axis}", partial(
                jnp.flip, axis=axis
            )  # fmt: skip
    if len(v.shape) > 1 and v.shape[-1] == v.shape[-2] > 1:
        yield "C6", "{}is transposed", partial(jnp.swapaxes, axis1=-1, axis2=-2)


def _cleared(v: Any, start: int) -> Any:
    """With one entry zero."""
    return v.ravel().at[min(start, v.size - 1)].set(0).reshape(v.shape)


def _swapped(leaves: Leaves, *_: Any, k: int, j: int) -> Leaves:
    return with_leaf(with_leaf(leaves, k, leaves[j]), j, leaves[k])


def _without(
    leaves, residuals, dy, *, k: int, name: str, summand: str, terms
) -> Leaves:
    return with_leaf(leaves, k, leaves[k] - terms(residuals, dy)[name][summand])
