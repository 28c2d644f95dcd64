"""The entrances of the verifier: whatever has a backward pass, judged in one call.

Every entrance makes a Subject (reference.subject), judges it and returns a Report.
Nothing is left changed: JAX's configuration is as before, also when a check raises.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from purefw.rule import Loss, Rule
from reference.judge import Findings, judge_math, judge_shapes
from reference.oracle import exact_arithmetic, oracle_for
from reference.points import Point
from reference.probe import Probe
from reference.problem import ContractError, Problem, flatten
from reference.registry.entry import normal_like
from reference.report import Leaf, Report
from reference.rounding import rounding_ratios
from reference.subject import Subject
from reference.verdict import Verdict

IMPRECISE_FROM = 16.0


def check_vjp(
    forward: Callable,
    backward: Callable,
    *args: Any,
    seed: int = 0,
    dtypes: tuple | None = None,
    linear: bool = True,
) -> Report:
    """Judge the two functions that jax.custom_vjp takes.

    Args:
        forward: `forward(*args) -> (y, residuals)`.
        backward: `backward(residuals, dy) -> tuple`, one cotangent an argument; None
            stands for zero.
        *args: Pytrees of arrays, at which to judge; leaves that are not floats get no
            cotangent.
        seed: Of the probes.
        dtypes: Working dtypes for the judgement of rounding; those of `args` where
            None.
        linear: False for a declared surrogate that is not linear in dy.

    Returns:
        A report with a leaf for each float leaf of the arguments.

    Example:
        >>> import jax.numpy as jnp
        >>> def forward(x):
        ...     return jnp.sin(x), x
        >>> def backward(x, dy):
        ...     return (jnp.cos(x) * dy,)
        >>> check_vjp(forward, backward, jnp.array([0.3, 1.2])).verdict
        <Verdict.RIGHT: 'RIGHT'>
    """
    names = tuple(f"args[{i}]" for i in range(len(args)))
    name = getattr(backward, "__name__", type(backward).__name__)
    subject = Subject(name, forward, backward, args, names, linear)
    return check_subject(subject, seed=seed, dtypes=dtypes)


def check_rule(
    rule: Rule,
    x: Any,
    *,
    params: Any = None,
    key: Any = None,
    seed: int = 0,
    dtypes: tuple | None = None,
) -> Report:
    """Judge `rule.backward` against the derivative of `rule.forward` at x.

    Args:
        rule: The rule.
        x: Its input, a pytree of arrays; leaves that are not floats get no cotangent.
        params: Its parameters; standard normal ones where None, never the initial ones.
        key: What a random rule's forward takes as third argument; one from the seed
            where None.
        seed: Of the parameters and the probes.
        dtypes: Working dtypes for the judgement of rounding; those of the arguments
            where None.

    Returns:
        A report with the leaves "dparams..." and "dx...".

    Example:
        >>> import jax.numpy as jnp
        >>> from purefw.layers.tanh import tanh
        >>> check_rule(tanh(), jnp.array([0.3, 1.2])).verdict
        <Verdict.RIGHT: 'RIGHT'>
    """
    root = jax.random.key(seed)
    init_key, params_key, forward_key = jax.random.split(root, 3)
    if params is None:
        params = normal_like(rule.init(init_key), params_key)
    if rule.random and key is None:
        key = forward_key
    forward = RuleForward(rule, KeyData.of(key) if rule.random else None)
    subject = Subject(rule.name, forward, rule.backward, (params, x), ("dparams", "dx"))
    return check_subject(subject, seed=seed, dtypes=dtypes)


def check_loss(
    loss: Loss,
    prediction: Any,
    target: Any,
    *,
    seed: int = 0,
    dtypes: tuple | None = None,
) -> Report:
    """Judge `loss.backward` against the derivative of `loss.forward`.

    Args:
        loss: The loss.
        prediction: Pytree of arrays.
        target: Pytree of arrays; it gets no cotangent.
        seed: Of the probes.
        dtypes: Working dtypes for the judgement of rounding.

    Returns:
        A report with the leaf "dprediction" or its parts.
    """
    subject = Subject(
        loss.name,
        loss.forward,
        LossBackward(loss),
        (prediction, target),
        ("dprediction", "dtarget"),
        frozen=(1,),
    )
    return check_subject(subject, seed=seed, dtypes=dtypes)


def check_subject(
    subject: Subject, *, seed: int = 0, dtypes: tuple | None = None
) -> Report:
    """Judge a subject; the other entrances end here."""
    start = time.perf_counter()
    x64 = bool(jax.config.jax_enable_x64)
    with exact_arithmetic():
        try:
            problem = flatten(subject, output_of(subject))
            oracle = oracle_for(problem.functions)
        except ContractError as error:
            return Report(subject.name, {}, broken=(str(error),), seed=seed)
        before = dict(oracle.passes)
        probe = Probe(problem, oracle, seed)
        given = Point("given", problem.live, problem.rest)
        findings, notes = judge_math(probe, given, subject.linear)
        judge_shapes(probe, findings, notes)
    judge_rounding(probe, given, findings, dtypes, x64)
    with exact_arithmetic():
        leaves = [
            leaf_of(probe, name, i, leaf)
            for i, (name, leaf) in enumerate(zip(problem.names, findings))
            if problem.is_judged[i]
        ]
    notes += [f"precision leak: {leak}" for leak in oracle.leaks]
    return Report(
        subject.name,
        {leaf.name: leaf for leaf in leaves},
        notes=tuple(dict.fromkeys(notes)),
        seconds=time.perf_counter() - start,
        hand_passes=oracle.passes["hand"] - before["hand"],
        reference_passes=oracle.passes["truth"] - before["truth"],
        seed=seed,
    )


def output_of(subject: Subject) -> Any:
    """Shapes of y at the subject's arguments."""
    return jax.eval_shape(subject.forward, *subject.args)[0]


def judge_rounding(probe, given, findings: list[Findings], dtypes, x64: bool) -> None:
    """IMPRECISE for the leaves that are right in float64 and lose digits below."""
    for dtype in dtypes or working_dtypes(probe.problem):
        ratios = rounding_ratios(probe, given, dtype, x64)
        for leaf, ratio in zip(findings, ratios):
            leaf.rounding[str(np.dtype(dtype))] = ratio
            if ratio > IMPRECISE_FROM and leaf.verdict is Verdict.RIGHT:
                leaf.verdict = Verdict.IMPRECISE
                leaf.sentence = "right in exact arithmetic, but loses digits"


def working_dtypes(problem: Problem) -> list:
    """The float dtypes of the arguments; float32 where they are float64."""
    dtypes = {v.dtype for v in problem.live if not np.iscomplexobj(v)}
    return sorted(
        {np.dtype(np.float32) if d == np.float64 else d for d in dtypes}, key=str
    )


def leaf_of(probe: Probe, name: str, i: int, leaf: Findings) -> Leaf:
    """A leaf of the report from what was found."""
    common = dict(
        name=name,
        verdict=leaf.verdict,
        sentence=leaf.sentence,
        units=leaf.units,
        visible=leaf.visible,
        exercised=leaf.exercised,
        rounding=leaf.rounding,
    )
    if leaf.trial is None:
        return Leaf(**common)
    c = leaf.trial.comparisons[i]
    common |= dict(units=c.units, relative=c.relative, index=c.index)
    common |= dict(hand=c.hand, autodiff=c.truth, point=leaf.trial.point.kind)
    return Leaf(**common)


@dataclass(frozen=True)
class RuleForward:
    """A rule's forward with its key bound; equal for equal rules, so compiled once."""

    rule: Rule
    key: Any = None

    def __call__(self, params: Any, x: Any) -> tuple[Any, Any]:
        """`rule.forward`."""
        if self.key is None:
            return self.rule.forward(params, x)
        return self.rule.forward(params, x, self.key.key())


@dataclass(frozen=True)
class KeyData:
    """A PRNG key as hashable numbers."""

    data: tuple[int, ...]
    impl: str

    @classmethod
    def of(cls, key: Any) -> "KeyData":
        """From a typed key."""
        data = tuple(int(k) for k in np.asarray(jax.random.key_data(key)).ravel())
        return cls(data, str(jax.random.key_impl(key)))

    def key(self) -> Any:
        """The key again."""
        data = np.array(self.data, np.uint32)
        return jax.random.wrap_key_data(data, impl=self.impl)


@dataclass(frozen=True)
class LossBackward:
    """A loss's backward in the shape of a custom_vjp's; the target's is None."""

    loss: Loss

    def __call__(self, residuals: Any, dloss: Any) -> tuple[Any, None]:
        """`loss.backward`, and None for the target."""
        return self.loss.backward(residuals, dloss), None
