"""How much of a wrong gradient comes from which step; see reference.locate."""

import numpy as np

from reference.locate.dissection import LOSS, Dissection
from reference.locate.trace import Role
from reference.locate.true_cotangents import Boundary
from reference.locate.walk import Path
from reference.trees import NEAR, difference, named, ratio

REST = 1e-6  # A share below it is none.


def error_budget(d: Dissection) -> tuple[dict, dict]:
    """How far each leaf of the gradient is off, and the share of each step in that."""
    if d.free is None:
        return {}, {}
    own, true = d.free.calls[d.truth.root].dparams, d.truth.cotangents[d.truth.root]
    truths = named("dparams", true.params)
    errors = named("dparams", difference(own, true.params))
    gradient = {k: ratio(v, truths[k]) for k, v in errors.items()}
    wrong = [k for k, off in gradient.items() if off > NEAR]
    guilty = [p for p in (LOSS, *reversed(d.truth.calls)) if d.faults.get(p)]
    if not guilty:
        return gradient, {}
    made = {
        d.name(path): named("dparams", d.truth.pushed(errors_at(d, path)))
        for path in guilty
    }
    forward = [
        d.name(path)
        for path in guilty
        if any(fault.role is Role.FORWARD for fault in d.faults[path])
    ]
    budget = {}
    for leaf in wrong:
        error = errors[leaf]
        shares = {
            k: float(np.sum(v[leaf] * error) / np.sum(error**2))
            for k, v in made.items()
        }
        rest = 1 - sum(shares.values())
        if len(forward) == 1:
            shares[forward[0]] += rest
        elif abs(rest) > REST:
            shares["interplay"] = rest
        budget[leaf] = {k: v for k, v in shares.items() if abs(v) > REST}
    return gradient, budget


def errors_at(d: Dissection, path: Path) -> dict[Path, Boundary]:
    """By how much a step's own cotangents are off while all others are true."""
    if path == LOSS:
        root = d.truth.cotangents[d.truth.root]
        return {d.truth.root: zero(root)._replace(y=d.loss_error)}
    call, true = d.forced.calls[path], d.truth.cotangents[path]
    errors = {
        path: zero(true)._replace(
            params=difference(call.dparams, true.params), x=difference(call.dx, true.x)
        )
    }
    for part in d.forced.calls.values():
        if part.path[:-1] == path:
            true = d.truth.cotangents[part.path]
            errors[part.path] = zero(true)._replace(y=difference(part.dy, true.y))
    return errors


def zero(truth: Boundary) -> Boundary:
    """Zeros in the place of cotangents."""
    return Boundary(*(difference(tree, tree) for tree in truth))
