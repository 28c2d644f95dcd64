"""One step of a network, at its true arguments and under its true cotangent.

The step's backward H is held against the truth V under the true dy, coded and normal
cotangents (reference.verifier.probe); what differs is excused as everywhere
(reference.verifier.judge). Where a forward is known that the step was meant to have,
its y and residuals r' say which half is at fault:

    y differs, H(r') right       the forward
    y the same, H(r') right      the residuals
    H(r') wrong                  the backward, leaf by leaf

Without one the forward is what it is, and the backward is what is wrong.
"""

from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np
from jax.tree_util import keystr

from reference.compare import LIMIT, rms
from reference.contract import structure_findings
from reference.locate.trace import Fault, Role
from reference.trees import NEAR, is_float, relative
from reference.verdict import Verdict
from reference.verifier.cotangents import Cotangent, generator, normal
from reference.verifier.judge import Findings, record, settle, typical_scale
from reference.verifier.oracle import oracle_for
from reference.verifier.points import Point, jitter, kind_of
from reference.verifier.probe import Probe, Trial, given_trials
from reference.verifier.problem import ContractError, flatten
from reference.verifier.replay import UNIT
from reference.verifier.subject import Subject

PLAIN = 1e6  # Noise units beyond which an error at generic values needs no excuse.


@dataclass(frozen=True)
class Forward:
    """The first half of a subject's forward, to be the truth about another."""

    forward: Any

    def __call__(self, *args: Any) -> Any:
        """y."""
        return self.forward(*args)[0]


@dataclass(frozen=True)
class StepCase:
    """A step to be judged.

    Attributes:
        path: Where it is.
        subject: Its forward, backward and true arguments.
        dy: The true cotangent of y, its float leaves.
        known: The forward that it was meant to have, or None.
        is_definition: Whether that is so by the user's own word.
        seed: Of the probes.
    """

    path: str
    subject: Subject
    dy: list
    known: Any = None
    is_definition: bool = False
    seed: int = 0

    def fault(self, role: Role, leaf: str, sentence: str, **numbers: float) -> Fault:
        """A fault of this step."""
        return Fault(self.path, self.subject.name, role, leaf, sentence, **numbers)


def faults_of(case: StepCase) -> tuple[list[Fault], dict[str, Findings]]:
    """The step's own faults, and what was found of each leaf."""
    subject = case.subject
    if not has_floats(subject):
        return [], {}
    if case.known is not None and case.is_definition:
        subject = replace(subject, primal=Forward(case.known))
    try:
        found = judged(subject, case.dy, case.seed)
    except ContractError as error:
        return [case.fault(Role.DX, "backward", str(error))], {}
    wrong = wrong_leaves(found)
    if case.known is None or not (wrong or case.is_definition):
        return [leaf_fault(case, name, found[name]) for name in wrong], found
    return halves(case, wrong, found), found


def halves(case: StepCase, wrong: list[str], found: dict) -> list[Fault]:
    """Which half is at fault, by the table of the module."""
    y_fault = forward_fault(case)
    crossed = wrong
    if wrong and same_residuals(case):
        meant = replace(case.subject, forward=case.known, primal=None)
        crossed = wrong_leaves(judged(meant, case.dy, case.seed))
    if y_fault and not case.is_definition:
        if not crossed:
            return [y_fault]
        return [leaf_fault(case, name, found[name]) for name in wrong]
    faults = [y_fault] if y_fault else []
    faults += [leaf_fault(case, n, found[n]) for n in crossed if n in found]
    if set(wrong) - set(crossed) and not y_fault:
        faults += residual_faults(case)
    return faults


def leaf_fault(case: StepCase, name: str, leaf: Findings) -> Fault:
    """The fault of a wrong cotangent."""
    role = next(r for start, r in ROLES.items() if name.startswith(start))
    relative = float("nan")
    if leaf.trial is not None:
        i = list(case_names(case.subject)).index(name)
        relative = leaf.trial.comparisons[i].relative
    return case.fault(
        role, name, leaf.sentence, relative=relative, units=max(leaf.units, 0.0)
    )


ROLES = {"dparams": Role.DPARAMS, "dx": Role.DX, "dprediction": Role.DLOSS}


def case_names(subject: Subject) -> list[str]:
    """The names of the live leaves."""
    return flatten(subject, ()).names


def judged(subject: Subject, dy: list, seed: int) -> dict[str, Findings]:
    """The findings for every leaf, at the subject's arguments.

    Raises:
        ContractError: backward raises, or returns what has another structure.
    """
    broken = [f for f in structure_findings(subject) if f.fatal]
    if broken:
        raise ContractError("; ".join(f.sentence for f in broken))
    y = jax.eval_shape(subject.forward, *subject.args)[0]
    problem = flatten(subject, y)
    probe = Probe(problem, oracle_for(problem.functions), seed)
    given = Point("given", problem.live, problem.rest)
    home = list(given_trials(probe, given, linear=True))
    true = np.concatenate([np.ravel(v) for v in dy])
    if rms(true) > 0:
        home.append(probe.trial(given, Cotangent("true", true)))
    probe.scales = [typical_scale(home, i) for i in range(len(problem.names))]
    found = {}
    for i, name in enumerate(problem.names):
        if not problem.is_judged[i]:
            continue
        leaf = found[name] = Findings()
        record(leaf, [t.comparisons[i] for t in home])
        if all(t.comparisons[i].passes for t in home):
            continue
        plain = plainly_wrong(probe, i)
        if plain is None:
            settle(probe, leaf, i, home, [])
        else:
            leaf.verdict, leaf.trial = Verdict.WRONG, plain
            leaf.sentence = "is not the derivative of the forward"
    return found


def plainly_wrong(probe: Probe, i: int) -> Trial | None:
    """A trial at generic values nearby in which leaf i is off by far, if both are.

    Off a kink and beyond rounding there is no excuse to look for.
    """
    trials = []
    for k in range(2):
        rng = generator(probe.seed, 12, k)
        live = [np.asarray(jitter(v, kind_of(v), rng)) for v in probe.problem.live]
        point = Point("generic values", live, probe.problem.rest)
        trials.append(probe.trial(point, normal(probe.size, rng)))
    off = [t.comparisons[i] for t in trials]
    far = all(c.units > PLAIN and c.relative > NEAR for c in off)
    return trials[0] if far else None


def wrong_leaves(found: dict[str, Findings]) -> list[str]:
    """The names of the wrong ones."""
    return [name for name, leaf in found.items() if leaf.verdict is Verdict.WRONG]


def forward_fault(case: StepCase) -> Fault | None:
    """The fault of a y that is not the known forward's."""
    y, known = (f(*case.subject.args)[0] for f in (case.subject.forward, case.known))
    off = relative(y, known)
    if off <= LIMIT * max(wobble(case), 4 * UNIT):
        return None
    sentence = f"is not that of {case.subject.name}"
    return case.fault(Role.FORWARD, "y", sentence, relative=off)


def wobble(case: StepCase) -> float:
    """How far the known y moves where its arguments move by 2u, relative to it."""
    base = case.known(*case.subject.args)[0]
    rng = generator(case.seed, 13)

    def moved(v: Any) -> Any:
        if not is_float(v):
            return v
        return v * (1 + 2 * UNIT * rng.choice([-1.0, 1.0], np.shape(v)))

    trials = [jax.tree.map(moved, case.subject.args) for _ in range(4)]
    return max(relative(case.known(*args)[0], base) for args in trials)


def same_residuals(case: StepCase) -> bool:
    """Whether the known residuals can stand in for the step's own."""
    own, known = (
        jax.eval_shape(f, *case.subject.args)[1]
        for f in (case.subject.forward, case.known)
    )
    types = [jax.tree.map(lambda v: (v.shape, v.dtype), r) for r in (own, known)]
    return types[0] == types[1]


def residual_faults(case: StepCase) -> list[Fault]:
    """The residuals that are not the known ones."""
    own, known = (f(*case.subject.args)[1] for f in (case.subject.forward, case.known))
    found = []
    for (path, a), b in zip(jax.tree.leaves_with_path(own), jax.tree.leaves(known)):
        off = relative(a, b) if is_float(b) else float(np.any(a != b))
        if off > NEAR:
            name = f"residuals{keystr(path)}"
            sentence = "is not what backward needs; with the right one it is right"
            found.append(case.fault(Role.RESIDUAL, name, sentence, relative=off))
    return found


def has_floats(subject: Subject) -> bool:
    """Whether there is a cotangent to judge."""
    judged = [a for i, a in enumerate(subject.args) if i not in subject.frozen]
    return any(map(is_float, jax.tree.leaves(judged)))
