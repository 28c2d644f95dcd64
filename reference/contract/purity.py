"""Forward and backward are functions of their arguments: judged by running them.

Called as they are, uncompiled, in the orders in which a hidden state would show:

    randomness      forward twice
    repeatability   backward twice on one set of residuals
    stale           forward at x₁ and at x₂, then backward of each, in both orders
    mutation        arguments, residuals and dy keep their bytes, and are read-only
    copies          backward on copies of the residuals, for code of NumPy
    layout          a dy with strides of 0, and one in Fortran's order, likewise
    purity          numpy.random's global generator does not advance, nor is Python's
                    seeded

The first that fails is named and ends the search: each would break the next.
"""

from dataclasses import replace
from typing import Any

import jax
import numpy as np

from reference.contract.case import Case, distance, watched_randomness, wide
from reference.contract.finding import Finding, draws, raised
from reference.contract.leaves import float_cotangents, full_cotangent, is_float
from reference.verifier.oracle import PASSES

REPAIR = {
    "randomness": "forward is random: it gives another y when called again with the "
    "same arguments: pass a key as an argument",
    "repeatability": "backward gives another result when called again with the same "
    "residuals and dy: it must depend on nothing else",
    "stale": "backward uses the latest call of forward instead of its own residuals: "
    "pass what it needs in residuals, not in an attribute or a global",
    "mutation": "{} writes into {}: work on a copy",
    "copies": "backward gives another result for copies of its residuals: it must "
    "depend on their values alone",
    "layout": "backward gives another result for the same dy laid out otherwise in "
    "memory: it must not read its buffer or strides",
}


class _Stop(Exception):
    """Ends the search with its only argument, a finding."""


def purity_findings(case: Case) -> list[Finding]:
    """At most one finding of the table above, and notes."""
    with watched_randomness() as watch, np.errstate(all="ignore"):
        try:
            watched = replace(case, subject=watch.over(case.subject))
            findings = _state_findings(watched) or _memory_findings(watched)
        except _Stop as stop:
            findings = [stop.args[0]]
    if watch.advanced and not any(f.fatal for f in findings):
        findings.append(draws(watch.advanced))
    return findings


def _state_findings(case: Case) -> list[Finding]:
    one, two = case.subject.args, case.other_args
    y, residuals = _forward(case, one)
    if not _same(_floats(_forward(case, one)[0]), _floats(y)):
        return [Finding("randomness", None, REPAIR["randomness"])]
    first = _backward(case, one, y, residuals)
    again = _backward(case, one, y, residuals)
    if not _same(again, first):
        return [_differs(case, "repeatability", again, first)]
    for early, late in ((one, two), (two, one)):
        fresh = _backward(case, early, *_forward(case, early))
        y, residuals = _forward(case, early)
        _forward(case, late)
        kept = _backward(case, early, y, residuals)
        if not _same(kept, fresh):
            return [_differs(case, "stale", kept, fresh)]
    return []


def _memory_findings(case: Case) -> list[Finding]:
    """What only code of NumPy can tell apart: buffers of equal values."""
    if case.subject.traceable:
        return []
    args, flat = case.subject.args, np.broadcast_to
    y, residuals = _forward(case, args)
    first = _backward(case, args, y, residuals)
    copies = jax.tree.map(lambda v: v.copy() if hasattr(v, "copy") else v, residuals)
    if not _same(_backward(case, args, y, copies), first):
        return [_differs(case, "copies", _backward(case, args, y, copies), first)]
    constant = [flat(v.ravel()[:1].reshape((1,) * v.ndim), v.shape) for v in case.dy]
    for dys in constant, [np.asfortranarray(v) for v in case.dy]:
        plain = _backward(case, args, y, residuals, [np.array(v) for v in dys])
        other = _backward(case, args, y, residuals, dys)
        if not _same(other, plain):
            return [_differs(case, "layout", other, plain, usual=first)]
    return []


def _differs(case, check: str, got: dict, wanted: dict, usual: Any = None) -> Finding:
    """Fatal beyond rounding; a note where only the last bits differ.

    `usual` is the result for the given dy: under a constant one, softmax's cancels.
    """
    worst = [
        k
        for k in wanted
        if distance(got[k], wanted[k])
        > max(case.allowed(v[k], 0.0) for v in (wanted, usual or wanted))
    ]
    if worst:
        return Finding(check, None, REPAIR[check])
    what = "backward gives other last bits when called again: its sums change order"
    return Finding(check, None, what, fatal=False)


def _forward(case: Case, args: tuple) -> tuple[Any, Any]:
    return _guarded("forward", case.subject.forward, ("its arguments",), *args)


def _backward(case: Case, args: tuple, y: Any, residuals: Any, dys=None) -> dict:
    dys = [np.array(v) for v in case.dy] if dys is None else dys
    dy = full_cotangent(y, dys)
    PASSES["hand"] += 1
    cotangents = _guarded(
        "backward", case.subject.backward, ("residuals", "dy"), residuals, dy
    )
    named = float_cotangents(case.subject, args, cotangents)
    return {k: np.array(v) for k, v in named.items()}


def _guarded(who: str, f, what: tuple[str, ...], *inputs) -> Any:
    """Call f on read-only arrays, on writable ones if it refuses; compare the bytes."""
    arrays = [
        (what[min(i, len(what) - 1)], v)
        for i, tree in enumerate(inputs)
        for v in jax.tree.leaves(tree)
        if isinstance(v, np.ndarray)
    ]
    before = [v.tobytes() for _, v in arrays]
    flags = [v.flags.writeable for _, v in arrays]
    for _, v in arrays:
        v.flags.writeable = False
    try:
        try:
            result = f(*inputs)
        except ValueError as error:
            if "read-only" not in str(error):
                raise
            _set_writable(arrays, flags)
            result = f(*inputs)
    except Exception as error:
        raise _Stop(raised(who, error)) from None
    finally:
        _set_writable(arrays, flags)
    for (name, v), bytes_before in zip(arrays, before):
        if v.tobytes() != bytes_before:
            what = REPAIR["mutation"].format(who, name)
            raise _Stop(Finding("mutation", None, what))
    return result


def _set_writable(arrays: list, flags: list) -> None:
    """Set the flags again, owners first: a view may not precede its owner."""
    for (_, v), flag in sorted(
        zip(arrays, flags), key=lambda a: a[0][1].base is not None
    ):
        v.flags.writeable = flag


def _floats(y: Any) -> dict:
    leaves = (v for v in jax.tree.leaves(y) if is_float(v))
    return {str(i): np.asarray(v) for i, v in enumerate(leaves)}


def _same(a: dict, b: dict) -> bool:
    return all(np.array_equal(wide(a[k]), wide(b[k]), equal_nan=True) for k in b)
