"""Slips of the pen: what may be done to one equation of a jaxpr.

An operator is a name, the sentence that a person reads, and a function from the
equation and its operands to results of the same shapes. It applies to an equation where
that function gives those shapes; most raise, or give others, where the slip could not
have been written: a matrix that is not square cannot be transposed by mistake.
operators.py says which of them each primitive may suffer.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from reference.verifier.replay import SCATTERS, bind, scatter


@dataclass(frozen=True)
class Operator:
    """One kind of slip.

    Attributes:
        kind: Its name, unique for a primitive.
        sentence: What becomes of what, in words or in code.
        instead: `(eqn, values) -> outputs` in the place of the equation's own.
        before: `(eqn, values) -> values`, on the operands of a loop or a branch.
        after: `(eqn, outputs) -> outputs`, on the results of any equation.
    """

    kind: str
    sentence: str
    instead: Callable[[Any, list], list] | None = None
    before: Callable[[Any, list], list] | None = None
    after: Callable[[Any, list], list] | None = None


# Entry by entry.


def on_operands(kind: str, sentence: str, f: Callable) -> Operator:
    """A function of the operands, each of the output's shape."""

    def instead(eqn, values):
        shape = eqn.outvars[0].aval.shape
        operands = [
            jnp.broadcast_to(jnp.asarray(v, w.aval.dtype), shape)
            for v, w in zip(values, eqn.invars, strict=True)
        ]
        return [f(*operands)]

    return Operator(kind, sentence, instead)


def left(a, b):
    """The first operand."""
    return a


def right(a, b):
    """The second."""
    return b


def same(a):
    """The only one."""
    return a


def exchanged(before: str, after: str, f: Callable) -> Operator:
    """One operator of Python for another."""
    return on_operands(f"{before} to {after}", f"`{before}` becomes `{after}`", f)


def without_right(sign: str) -> Operator:
    """The second operand is lost."""
    return on_operands("drop right", f"`a {sign} b` becomes `a`", left)


def without_left(sign: str, f: Callable = right, result: str = "b") -> Operator:
    """The first operand is lost."""
    return on_operands("drop left", f"`a {sign} b` becomes `{result}`", f)


def dropped(name: str) -> Operator:
    """A function of one operand is not applied."""
    return on_operands("drop", f"`{name}(a)` becomes `a`", same)


def renamed(name: str, other: str, f: Callable) -> Operator:
    """A function in the place of another."""
    return on_operands(f"to {other}", f"`{name}(a)` becomes `{other}(a)`", f)


def power(step: int) -> Operator:
    """`a ** n` with another n."""

    def instead(eqn, values):
        return [lax.integer_pow(values[0], eqn.params["y"] + step)]

    return Operator(
        f"power {step:+d}", f"`a ** n` becomes `a ** (n {step:+d})`", instead
    )


def chosen(which: Callable[[list], list], kind: str, sentence: str) -> Operator:
    """`where` of two branches with others."""

    def instead(eqn, values):
        condition, *branches = values
        if len(branches) != 2:
            raise ValueError("chosen: where must have two branches")
        return [lax.select_n(condition, *which(branches))]

    return Operator(kind, sentence, instead)


# Reductions.


def reduced(kind: str, sentence: str, f: Callable) -> Operator:
    """`f(a, axes)` for a reduction over axes; the axes that remain are in order."""
    return Operator(
        kind, sentence, lambda eqn, values: [f(values[0], eqn.params["axes"])]
    )


def entry(a, axes: tuple[int, ...], place: int):
    """One entry along each axis in the place of all."""
    for axis in sorted(axes, reverse=True):
        a = lax.index_in_dim(a, place % a.shape[axis], axis, keepdims=False)
    return a


def count(axes: tuple[int, ...], shape: tuple[int, ...]) -> int:
    """How many entries are reduced to one."""
    return int(np.prod([shape[axis] for axis in axes]))


def all_but_last(a, axes: tuple[int, ...]):
    """The sum without the last entry along its last axis."""
    axis = max(axes)
    if a.shape[axis] < 2:
        raise ValueError("all_but_last: axis must have two entries")
    return jnp.sum(lax.slice_in_dim(a, 0, a.shape[axis] - 1, axis=axis), axis=axes)


def number(a, axes: tuple[int, ...]):
    """How many there are, in the place of the sum of those that count."""
    return jnp.sum(jnp.ones_like(a), axis=axes)


def running(kind: str, sentence: str, change: Callable | None) -> Operator:
    """A cumulative operation, the other way round or not at all."""

    def instead(eqn, values):
        if change is None:
            return values
        return bind(eqn, values, change(dict(eqn.params)))

    return Operator(kind, sentence, instead)


def other_way(params: dict) -> dict:
    """Parameters of a cumulative operation in reverse."""
    return {**params, "reverse": not params["reverse"]}


# Matrices, places and indices.


def transposed(place: int) -> Operator:
    """A square operand of a product, transposed."""

    def instead(eqn, values):
        v = values[place]
        if v.ndim < 2 or v.shape[-1] != v.shape[-2] or v.shape[-1] < 2:
            raise ValueError("transposed: operand must be square")
        moved = list(values)
        moved[place] = jnp.swapaxes(v, -1, -2)
        return bind(eqn, moved, eqn.params)

    side = "left" if place == 0 else "right"
    return Operator(
        f"transpose {side}", f"the {side} factor of a product is transposed", instead
    )


def kept(kind: str, sentence: str) -> Operator:
    """The first operand as it is."""
    return Operator(kind, sentence, lambda eqn, values: [values[0]])


def changed_kernel(eqn, values: list) -> list:
    """A convolution with its kernel flipped along every spatial axis."""
    axes = eqn.params["dimension_numbers"].rhs_spec[2:]
    if all(values[1].shape[axis] < 2 for axis in axes):
        raise ValueError("changed_kernel: kernel must have two entries along an axis")
    return bind(eqn, [values[0], lax.rev(values[1], axes)], eqn.params)


def rescattered(name: str) -> Callable:
    """The same scatter with another way to combine."""

    def instead(eqn, values):
        return [scatter(SCATTERS[name], eqn.params, values)]

    return instead


def shifted_indices(eqn, values: list) -> list:
    """Indices one further on, from 0 again after the last."""
    index = values[1]
    return bind(eqn, [values[0], index + 1, *values[2:]], eqn.params)


def swapped_operands(eqn, values: list) -> list:
    """The first two parts exchanged."""
    first, second, *others = values
    if first.shape != second.shape:
        raise ValueError("swapped_operands: operands must have one shape")
    return bind(eqn, [second, first, *others], eqn.params)


def swapped_outputs(eqn, outputs: list) -> list:
    """The first two results exchanged."""
    first, second, *others = outputs
    if first.shape != second.shape or first.dtype != second.dtype:
        raise ValueError("swapped_outputs: results must have one shape")
    return [second, first, *others]


def swapped_padding(eqn, values: list) -> list:
    """Padding before for padding after."""
    config = eqn.params["padding_config"]
    other = tuple((high, low, inner) for low, high, inner in config)
    if other == config:
        raise ValueError("swapped_padding: the two sides must differ")
    return bind(eqn, values, {**eqn.params, "padding_config": other})


def shifted_slice(step: int) -> Callable:
    """A slice that begins and ends one entry further on or back."""

    def instead(eqn, values):
        params, shape = dict(eqn.params), values[0].shape
        starts, limits = params["start_indices"], params["limit_indices"]
        moved = [
            (a + step, b + step) if 0 <= a + step and b + step <= n else (a, b)
            for a, b, n in zip(starts, limits, shape, strict=True)
        ]
        params["start_indices"] = tuple(a for a, _ in moved)
        params["limit_indices"] = tuple(b for _, b in moved)
        if params["start_indices"] == tuple(starts):
            raise ValueError("shifted_slice: there must be room")
        return bind(eqn, values, params)

    return instead


# Loops and branches.


def scan_operators(eqn) -> list[Operator]:
    """The recursion reversed, a start lost, a step lost."""
    consts, carry = eqn.params["num_consts"], eqn.params["num_carry"]

    def turned(eqn, values):
        return [
            *values[: consts + carry],
            *(jnp.flip(v, 0) for v in values[consts + carry :]),
        ]

    found = []
    if eqn.params["length"] > 1:
        found += [
            Operator(
                "steps reversed",
                "the loop runs through its inputs the other way",
                before=turned,
            ),
            Operator(
                "step dropped", "what the last step gives is lost", after=short(carry)
            ),
        ]
    for k in range(consts, consts + carry):
        if jnp.issubdtype(eqn.invars[k].aval.dtype, jnp.inexact):
            found.append(
                Operator(
                    f"start {k - consts} zero",
                    f"the loop's state {k - consts} starts from zero",
                    before=partial(zeroed, place=k),
                )
            )
    return found


def zeroed(eqn, values: list, place: int) -> list:
    """One operand zero."""
    values = list(values)
    values[place] = jnp.zeros_like(values[place])
    return values


def short(carry: int) -> Callable:
    """Results of the last step that runs, zero; the state is left alone."""

    def after(eqn, outputs):
        last = 0 if eqn.params["reverse"] else -1
        stacked = [jnp.asarray(v).at[last].set(0) for v in outputs[carry:]]
        if not stacked:
            raise ValueError("short: the loop must have results a step")
        return [*outputs[:carry], *stacked]

    return after


def always(branch: int) -> Operator:
    """One branch whatever the condition."""

    def before(eqn, values):
        return [jnp.full_like(values[0], branch), *values[1:]]

    return Operator(
        f"branch {branch}", f"branch {branch} is taken always", before=before
    )


def times(factor: float) -> Operator:
    """All results times a constant."""

    def after(eqn, outputs):
        return [v * jnp.asarray(factor, v.dtype) for v in outputs]

    return Operator(
        f"x {factor:g}", f"the result is multiplied by {factor:g}", after=after
    )
