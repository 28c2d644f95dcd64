"""Structure, shape and dtype, before any arithmetic.

What jax.custom_vjp of jax 0.10.2 lets through, found by experiment, and what is made of
it here:

    a list of the right length for the tuple      accepted
    None for a leaf or a subtree                  accepted: zero
    anything at all for an integer, bool or key   accepted: jax drops it; a note where
    leaf, even of another shape                   it is neither None, float0 nor of the
                                                  leaf's shape
    float32, an integer or float0 for float64     refused: "dtype"
    one array for a subtree                       refused: "structure"
    another shape that broadcasts                 refused, by jax too: "shape"
"""

from typing import Any

import jax
import numpy as np

from reference.contract.finding import CANNOT_TRACE, Finding, raised
from reference.contract.leaves import (
    full_cotangent,
    is_float,
    leaf_names,
    own,
    pair,
    type_of,
)
from reference.contract.program import remembered, signature
from reference.verifier.oracle import exact_arithmetic
from reference.verifier.subject import GradientBackward, Subject


def structure_findings(subject: Subject) -> list[Finding]:
    """Compare what forward and backward return with what they must.

    Where the subject can be traced nothing is computed; else both functions are called
    once, on copies of the arguments.

    Args:
        subject: The rule and its arguments, in the caller's precision.

    Returns:
        The findings; behaviour_findings is for subjects with no fatal one.
    """
    findings = argument_findings(subject)
    if findings:
        return findings
    with exact_arithmetic(jax.config.jax_enable_x64):
        if not subject.traceable:
            return _call_findings(subject)
        key = ("structure", signature(subject, subject.args))
        return remembered(key, lambda: _call_findings(subject))


def argument_findings(subject: Subject) -> list[Finding]:
    """The arguments must hold arrays, one of floats at least, and not be empty."""
    findings = []
    for argument, arg in zip(subject.names, subject.args):
        if argument.startswith("d"):  # "dparams" is the cotangent of "params".
            argument = argument[1:]
        if arg is None:
            findings.append(_bad_argument(argument, "None"))
            continue
        for path, leaf in jax.tree.leaves_with_path(arg):
            try:
                type_of(leaf)
            except TypeError:
                name = f"{argument}{jax.tree_util.keystr(path)}"
                kind = getattr(leaf, "dtype", type(leaf).__name__)
                findings.append(_bad_argument(name, kind))
    if findings:
        return findings
    judged = [a for i, a in enumerate(subject.args) if i not in subject.frozen]
    floats = [leaf for leaf in jax.tree.leaves(judged) if is_float(leaf)]
    if not floats:
        what = "no argument has a float leaf, so there is no gradient to check"
        return [Finding("arguments", None, f"{what}: pass floats, not integers")]
    if not any(np.size(leaf) for leaf in floats):
        what = "every float argument is empty, so there is no gradient to check"
        return [Finding("arguments", None, f"{what}: pass at least one entry")]
    return []


def _bad_argument(name: str, kind: Any) -> Finding:
    what = f"{name} must be an array of numbers, got {kind}"
    advice = "bind what is none with functools.partial"
    return Finding("arguments", None, f"{what}: {advice}")


def _call_findings(subject: Subject) -> list[Finding]:
    findings = []

    def run(*args):
        findings.extend(_findings_of_calls(subject, args))
        return ()

    if subject.traceable:
        try:
            jax.eval_shape(run, *subject.args)
            return findings
        except CANNOT_TRACE:
            findings.clear()
    with jax.enable_x64(True):  # For NumPy's code on float64; what is float32 stays.
        run(*own(subject.args, to_jax=subject.traceable))
    return findings


def _findings_of_calls(subject: Subject, args: tuple) -> list[Finding]:
    try:
        with np.errstate(all="ignore"):
            result = subject.forward(*args)
    except CANNOT_TRACE:
        raise
    except Exception as error:
        return [raised("forward", error)]
    findings = forward_findings(result)
    if findings:
        return findings
    y, residuals = result
    types = [type_of(v) for v in jax.tree.leaves(y) if is_float(v)]
    ones = [np.ones(t.shape, t.dtype) for t in types]
    try:
        with np.errstate(all="ignore"):
            cotangents = subject.backward(residuals, full_cotangent(y, ones))
    except CANNOT_TRACE:
        raise
    except Exception as error:
        return [raised("backward", error)]
    return backward_findings(subject, args, cotangents)


def forward_findings(result: Any) -> list[Finding]:
    """Forward must return (y, residuals), and y must hold floats."""
    if not isinstance(result, (tuple, list)) or len(result) != 2:
        what = f"forward must return the pair (y, residuals), got {_describe(result)}"
        return [Finding("structure", None, what)]
    leaves = jax.tree.leaves(result[0])
    for leaf in leaves:
        try:
            type_of(leaf)
        except TypeError:
            what = f"forward's y must hold arrays only, got {_describe(leaf)}"
            return [Finding("structure", None, what)]
    floats = [leaf for leaf in leaves if is_float(leaf)]
    if not floats:
        what = "forward's y must hold an array of floats, got none"
        return [Finding("structure", None, what)]
    if not any(np.prod(type_of(leaf).shape, dtype=int) for leaf in floats):
        what = "forward's y is empty, so every gradient is zero: pass larger arguments"
        return [Finding("arguments", None, what)]
    return []


def backward_findings(subject: Subject, args: tuple, cotangents: Any) -> list[Finding]:
    """Backward must return one cotangent per argument, each like its argument."""
    names = subject.names
    if not isinstance(cotangents, (tuple, list)) or len(cotangents) != len(args):
        return [Finding("arity", None, _wrong_arity(subject, cotangents))]
    findings = []
    for i, (name, arg, cotangent) in enumerate(zip(names, args, cotangents)):
        if i in subject.frozen:
            continue
        try:
            paired = pair(arg, cotangent)
        except (ValueError, TypeError, KeyError):
            what = (
                f"{name} must have the tree of its argument, {_tree(arg)}, "
                f"got {_tree(cotangent)}"
            )
            findings.append(Finding("structure", name, what))
            continue
        leaves = leaf_names((name,), (arg,))
        for leaf_name, leaf, c in zip(leaves, jax.tree.leaves(arg), paired):
            if c is not None:
                findings += _leaf_findings(leaf_name, leaf, c)
    return findings


def _wrong_arity(subject: Subject, cotangents: Any) -> str:
    is_gradient = isinstance(subject.backward, GradientBackward)
    names = subject.names
    if is_gradient and subject.backward.argnums is not None:
        names = [n for i, n in enumerate(names) if i not in subject.frozen]
    wanted = f"({', '.join(names)}{',' if len(names) == 1 else ''})"
    got = _describe(cotangents)
    if is_gradient:
        return f"gradient must return {wanted}, or argnums say which, got {got}"
    return f"backward must return the tuple {wanted}, got {got}"


def _leaf_findings(name: str, leaf: Any, cotangent: Any) -> list[Finding]:
    wanted = type_of(leaf)
    try:
        got = type_of(cotangent)
    except TypeError:
        got = None
    if not is_float(leaf):
        if got is not None and got.shape == wanted.shape:
            return []
        what = f"{name} is the cotangent of {wanted.dtype}s and is dropped: return None"
        return [Finding("integer cotangent", name, what, fatal=False)]
    if got is None:
        what = f"{name} must be an array, got {_describe(cotangent)}"
        return [Finding("structure", name, what)]
    if got.shape != wanted.shape:
        what = f"{name} must have the shape {wanted.shape} of its argument"
        return [Finding("shape", name, f"{what}, got {got.shape}")]
    if got.dtype != wanted.dtype:
        what = f"{name} must have the dtype {wanted.dtype} of its argument"
        return [Finding("dtype", name, f"{what}, got {_dtype(got.dtype)}")]
    if got.weak_type and not wanted.weak_type:
        what = f"{name} is weakly typed: its dtype gives way in what it is used in"
        return [Finding("weak type", name, what, fatal=False)]
    return []


def _dtype(dtype) -> str:
    return "float0" if dtype == jax.dtypes.float0 else str(dtype)


def _tree(value: Any) -> str:
    return str(jax.tree.structure(value)).removeprefix("PyTreeDef(").removesuffix(")")


def _describe(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return f"a {type(value).__name__} of length {len(value)}"
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"an array of shape {tuple(value.shape)}"
    return "None" if value is None else f"a {type(value).__name__}"
