"""From the passes of `locate` to its steps, faults and error budget."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from reference.known import known_of
from reference.locate.budget import error_budget
from reference.locate.dissection import LOSS, Dissection
from reference.locate.equations import equations_of
from reference.locate.faults import StepCase, faults_of
from reference.locate.trace import Comparison, Fault, Role, State, Step, Trace
from reference.locate.true_cotangents import Boundary
from reference.locate.walk import Call, compiled
from reference.trees import (
    NEAR,
    difference,
    floats_of,
    is_apart,
    named,
    ratio,
    relative,
    size,
)
from reference.verdict import Verdict
from reference.verifier.judge import Findings
from reference.verifier.subject import KeyData, LossBackward, Subject

LARGEST = 2**15  # Entries of a Jacobian that is kept: 256 KiB.


def dissected(d: Dissection, jacobians: bool) -> Trace:
    """Every step, every combinator, the budget."""
    leaves = [call for call in d.truth.calls.values() if call.is_leaf]
    steps = [leaf_step(d, call, jacobians) for call in leaves] + [loss_step(d)]
    for call in d.truth.calls.values():
        if not call.is_leaf:
            combinator_faults(d, d.forced.calls[call.path])
    order = [LOSS, *reversed(d.truth.calls)]
    faults = tuple(f for path in order for f in d.faults.get(path, ()))
    if not faults:  # What differs is a convention at a kink, or rounding.
        steps = [replace(step, state=State.RIGHT) for step in steps]
    gradient, budget = error_budget(d)
    notes = () if d.free else ("the network's own pass raises: see the faults",)
    return Trace(
        d.network.name,
        d.loss.name,
        d.truth.loss,
        tuple(replace(step, number=i + 1) for i, step in enumerate(steps)),
        faults,
        budget,
        gradient,
        notes,
    )


@dataclass(frozen=True)
class Keyed:
    """A leaf's forward with its key bound.

    Equal for equal functions: layers of one kind and shape are compiled once.
    """

    forward: Callable
    key: KeyData | None

    def __call__(self, params: Any, x: Any) -> tuple[Any, Any]:
        """y and residuals."""
        return self.forward(params, x, *([self.key.key()] if self.key else []))


def leaf_step(d: Dissection, true: Call, jacobians: bool) -> Step:
    """A call of a rule without parts."""
    path, own = true.path, d.forced.calls[true.path]
    case = leaf_case(d, true)
    faults, found = faults_of(case)
    faults += handed_faults(d, own)
    if own.error and not faults:
        faults.append(case.fault(Role.DX, "backward", own.error))
    d.faults[path] = faults
    free = d.free.calls.get(path) if d.free else None
    truth = d.truth.cotangents[path]
    cotangents = compared(
        {"dparams": (own.dparams, truth.params), "dx": (own.dx, truth.x)},
        {} if free is None else {"dparams": free.dparams, "dx": free.dx},
        found,
    )
    infected = State.INFECTED if is_infected(free, true, truth) else State.RIGHT
    return Step(
        0,
        d.name(path),
        own.rule.name,
        State.WRONG if faults else infected,
        tuple(faults),
        equations_of(own.rule),
        named("params", true.params),
        named("x", true.x),
        named("y", true.y),
        named("dy", truth.y),
        0.0 if free is None else relative(free.dy, truth.y),
        cotangents,
        jacobian(true) if jacobians else None,
    )


def leaf_case(d: Dissection, true: Call) -> StepCase:
    """A call as what its faults are found from."""
    path, rule = true.path, d.forced.calls[true.path].rule
    key = None if true.key is None else KeyData.of(true.key)
    meant = d.meant.get(path, known_of(rule))
    return StepCase(
        d.name(path),
        Subject(
            rule.name,
            Keyed(rule.forward, key),
            rule.backward,
            (true.params, true.x),
            ("dparams", "dx"),
        ),
        [np.asarray(v) for v in floats_of(d.truth.cotangents[path].y)],
        None if meant is None else Keyed(meant.forward, key),
        path in d.meant,
        d.seed,
    )


def is_infected(free: Call | None, true: Call, truth: Boundary) -> bool:
    """Whether wrong numbers reach a call, or leave it, in the network's own pass."""
    if free is None:
        return False
    pairs = (
        (free.x, true.x),
        (free.y, true.y),
        (free.dy, truth.y),
        ((free.dparams, free.dx), (truth.params, truth.x)),
    )
    return any(relative(a, b) > NEAR for a, b in pairs)


def loss_step(d: Dissection) -> Step:
    """The loss, whose own cotangent is 1."""
    prediction = d.truth.prediction
    known = d.meant_loss or known_of(d.loss)
    case = StepCase(
        "loss",
        Subject(
            d.loss.name,
            d.loss.forward,
            LossBackward(d.loss),
            (prediction, d.target),
            ("dprediction", "dtarget"),
            frozen=(1,),
        ),
        [np.ones(())],
        None if known is None else known.forward,
        d.meant_loss is not None,
        d.seed,
    )
    faults, found = faults_of(case)
    d.faults[LOSS] = faults
    truth = d.truth.cotangents[d.truth.root].y
    value, residuals = d.loss.forward(prediction, d.target)
    try:
        own = d.loss.backward(residuals, jnp.ones_like(value))
    except Exception:  # Named as a broken contract by faults_of.
        own = None
    d.loss_error = difference(own, truth)
    return Step(
        0,
        "loss",
        d.loss.name,
        State.WRONG if faults else State.RIGHT,
        tuple(faults),
        equations_of(d.loss),
        {},
        named("prediction", prediction) | named("target", d.target),
        named("loss", value),
        {"dloss": np.ones(())},
        0.0,
        compared(
            {"dprediction": (own, truth)},
            {"dprediction": d.dprediction} if d.free else {},
            found,
        ),
    )


def handed_faults(d: Dissection, call: Call) -> list[Fault]:
    """Residuals that are another call's, or are not what forward kept."""
    name, rule = d.name(call.path), call.rule.name
    if call.handed_from is None:
        return []
    truth = d.truth.cotangents[call.path]
    off = relative((call.dparams, call.dx), (truth.params, truth.x))
    if call.handed_from != call.path:
        sentence = f"are those of the call {d.name(call.handed_from)}"
    else:
        kept, handed = (named("residuals", r) for r in (call.residuals, call.handed))
        changed = [
            k
            for k, v in kept.items()
            if not np.array_equal(v, handed.get(k), equal_nan=True)
        ]
        if not changed:
            return []
        sentence = f"change between forward and backward: {', '.join(changed)}"
    if off <= NEAR:  # The same numbers, by chance or by design.
        return []
    return [Fault(name, rule, Role.RESIDUAL, "residuals", sentence, off)]


def combinator_faults(d: Dissection, call: Call) -> None:
    """What a combinator gets wrong while all its parts are right."""
    name, rule, found = d.name(call.path), call.rule.name, []
    if call.error:
        d.faults[call.path] = [Fault(name, rule, Role.DX, "backward", call.error)]
        return
    parts = [c for p, c in d.forced.calls.items() if p[:-1] == call.path]
    scale = max([size(call.dy), *(size((c.dparams, c.dx)) for c in parts)])
    for part in parts:
        if part.dy is None:
            what = f"never calls the backward of {d.name(part.path)}"
            found.append(Fault(name, rule, Role.DX, "dy of a part", what))
        elif is_apart(part.dy, d.truth.cotangents[part.path].y, scale):
            what = f"is not the true one at {d.name(part.path)} {part.rule.name}"
            off = relative(part.dy, d.truth.cotangents[part.path].y)
            found.append(Fault(name, rule, Role.DX, "dy of a part", what, off))
    truth = d.truth.cotangents[call.path]
    what = "is not what its parts' cotangents make"
    for role, own, true in (
        (Role.DPARAMS, call.dparams, truth.params),
        (Role.DX, call.dx, truth.x),
    ):
        if is_apart(own, true, scale):
            leaf = "dx" if role is Role.DX else "dparams"
            found.append(Fault(name, rule, role, leaf, what, relative(own, true)))
    if d.meant and is_apart(call.y, d.truth.calls[call.path].y, scale=0.0):
        found.append(Fault(name, rule, Role.FORWARD, "y", "is not the reference's"))
    d.faults[call.path] = found


def compared(pairs: dict, free: dict, found: dict[str, Findings]) -> dict:
    """A comparison for each float leaf."""
    result = {}
    for side, (own, truth) in pairs.items():
        hand, true = named(side, difference(own, truth)), named(side, truth)
        flowed = named(side, difference(free[side], truth)) if side in free else {}
        for name, v in true.items():
            leaf = found.get(name)
            result[name] = Comparison(
                None if own is None else v + hand[name],
                v,
                Verdict.CONTRACT if leaf is None else leaf.verdict,
                float("inf") if leaf is None else leaf.units,
                ratio(hand[name], v),
                ratio(flowed[name], v) if flowed else 0.0,
            )
    return result


def jacobian(call: Call) -> np.ndarray | None:
    """∂y/∂x of a small step from one array to one."""
    x, y = floats_of(call.x), floats_of(call.y)
    one = len(x) == len(y) == len(jax.tree.leaves((call.x, call.y))) - 1 == 1
    if not one or x[0].size * y[0].size > LARGEST:
        return None
    keys = [call.key] if call.rule.random else []

    def f(v: Any) -> Any:
        args = call.params, jax.tree.unflatten(jax.tree.structure(call.x), [v])
        return jax.tree.leaves(compiled(call.rule).forward(*args, *keys)[0])[0]

    return np.asarray(jax.jacrev(f)(x[0])).reshape(y[0].size, x[0].size)
