"""The power of a check: which planted mistakes it would have caught.

    score = mutants rejected / mutants that are not equivalent

A survivor is a mistake that the check lets pass. Mostly its inputs are to blame: at
bias 0, scale 1 or batch 1, or under a cotangent of ones, whole terms vanish. So for
each survivor inputs are looked for at which it does differ from the original, the
smallest change first: another cotangent alone, one leaf of the arguments drawn anew,
all of them, then the situations that the verifier visits (ties, zeros, repeated
indices, ...), last other shapes: a batch of 3 in the place of 1.

Source of the measure: DeMillo, Lipton and Sayward, "Hints on test data selection", IEEE
Computer 11(4), 1978.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from purefw.rule import Loss, Rule
from reference.mutate.equivalence import differing, places
from reference.mutate.mutants import Mutant, Survey, accepts, everywhere, subject_of
from reference.verifier.cotangents import generator, normal
from reference.verifier.oracle import exact_arithmetic
from reference.verifier.probe import lift


@dataclass(frozen=True)
class Survivor:
    """A mutant that the check accepts.

    Attributes:
        mutant: What is wrong.
        proposal: Inputs that would show it.
    """

    mutant: Mutant
    proposal: str


@dataclass(frozen=True)
class Power:
    """The result of `power`.

    Attributes:
        name: Of the rule.
        mutants: How many mistakes were planted.
        survivors: Those that the check accepts.
    """

    name: str
    mutants: int
    survivors: tuple[Survivor, ...]

    @property
    def killed(self) -> int:
        """How many the check rejects."""
        return self.mutants - len(self.survivors)

    @property
    def score(self) -> float:
        """The share of the mutants that the check rejects; NaN without mutants."""
        return self.killed / self.mutants if self.mutants else float("nan")

    def __str__(self) -> str:
        """The score, then each survivor, its line and what would show it."""
        lines = [f"{self.name}: {self.killed} of {self.mutants} mistakes caught"]
        for survivor in self.survivors:
            mutation = survivor.mutant.mutation
            lines.append(f"  survives: {mutation}")
            if mutation.code:
                lines.append(f"      line: {mutation.code}")
            lines.append(f"   try: {survivor.proposal}")
        return "\n".join(lines)

    def to_json(self) -> str:
        """A JSON object: name, mutants, killed, score, survivors."""
        survivors = [
            {
                "kind": s.mutant.mutation.kind,
                "sentence": s.mutant.mutation.sentence,
                "source": s.mutant.mutation.source,
                "code": s.mutant.mutation.code,
                "proposal": s.proposal,
            }
            for s in self.survivors
        ]
        score = self.score if self.mutants else None
        return json.dumps(
            {
                "name": self.name,
                "mutants": self.mutants,
                "killed": self.killed,
                "score": score,
                "survivors": survivors,
            }
        )


def power(
    made: Rule | Loss,
    check: Callable[[Any], Any],
    x: Any,
    *,
    params: Any = None,
    key: Any = None,
    seed: int = 0,
) -> Power:
    """Try a check on every mutant of a rule.

    Args:
        made: A rule or a loss that the check accepts.
        check: A test: `check(rule)` returns None, True or a report that is RIGHT where
            the rule passes; it rejects by raising, by False, or by another report.
        x: The inputs that the check uses, or some of the same shapes: the mutants are
            made at these shapes, and the proposals say what to change in them. Of a
            loss, the pair (prediction, target).
        params: The rule's parameters that the check uses; standard normal where None.
        key: For a random rule.
        seed: Of parameters and points.

    Returns:
        The score, and the survivors with their lines and with inputs that would show
        them.

    Raises:
        ValueError: The check rejects the rule itself.
        TypeError: The check returns something else.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from purefw.layers.tanh import tanh
        >>> def weak(rule):
        ...     y, residuals = rule.forward((), jnp.zeros(3))
        ...     assert rule.backward(residuals, jnp.ones(3))[1].sum() == 3
        >>> print(power(tanh(), weak, jnp.zeros(3)))
        tanh: 22 of 42 mistakes caught
          survives: tanh.py:46: `a - b` becomes `a + b`
              line: return (), (1 - y) * (1 + y) * dy  # (2)
           try: x random, where it is 0 everywhere: ...
    """
    if not accepts(check, made):
        raise ValueError(
            f"power: check must accept the {made.name} that it is given, got a refusal"
        )
    subject = subject_of(made, params, x, key, seed)
    with exact_arithmetic():
        found = everywhere(made, subject, seed)
    alive = [k for k in sorted(found.different) if accepts(check, found.mutant(k).rule)]
    with exact_arithmetic():
        proposals = dict(proposed(found, alive))
    return Power(
        made.name,
        len(found.different),
        tuple(Survivor(found.mutant(k), proposals[k]) for k in alive),
    )


def proposed(found: Survey, alive: list[int]) -> Iterator[tuple[int, str]]:
    """For each mutant, inputs at which it differs, the smallest change first."""
    rest = list(alive)
    for sentence, live, integers, dys, noise in candidates(found):
        for k in differing(found.schema, rest, live, integers, dys, noise):
            size = distance(found, k, live, integers, dys)
            yield k, f"{sentence}: {size:.1g} of a leaf apart"
            rest.remove(k)
    for k in rest:
        yield k, f"arguments with {found.different[k].kind}"


def distance(found: Survey, k: int, live, rest, dys) -> float:
    """How far a mutant is from the original, in units of a leaf's largest entry."""
    outputs = found.schema.outputs([-1, k], live, rest, dys)
    with np.errstate(all="ignore"):
        apart = [np.abs(v[1] - v[0]).max() / np.abs(v[0]).max() for v in outputs]
    return float(np.nanmax(np.nan_to_num(apart, nan=0.0, posinf=np.inf)))


def candidates(found: Survey) -> Iterator[tuple]:
    """Inputs to propose: a sentence, live leaves, the others, dy, and the noise."""
    problem, rng = found.probe.problem, generator(found.probe.seed, 16)
    live = lift(problem.live)
    dys = problem.shape.split(normal(found.probe.size, rng).value)
    yield "these arguments under a random cotangent", live, problem.rest, dys, None
    for i, (name, v) in enumerate(zip(problem.names, live, strict=True)):
        other = [*live[:i], redrawn(v, rng), *live[i + 1 :]]
        sentence = f"{argument(name)} random, where it {looks(v)}"
        yield sentence, other, problem.rest, dys, None
    other = [redrawn(v, rng) for v in live]
    yield "all arguments random at once", other, problem.rest, dys, None
    for point, dys, noise in places(found.probe, found.trials):
        yield f"arguments with {point.kind}", lift(point.live), point.rest, dys, noise


def redrawn(v: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Numbers like these, none of them the same: of their size, or of size 1."""
    size = float(np.abs(v).mean()) if v.size and v.any() else 1.0
    return v + 0.25 * size * rng.standard_normal(v.shape)


def looks(v: np.ndarray) -> str:
    """What is special about a leaf."""
    if v.size and (v == v.ravel()[0]).all():
        return (
            f"is {v.ravel()[0]:g} everywhere" if v.size > 1 else f"is {v.ravel()[0]:g}"
        )
    return "is as given"


def argument(name: str) -> str:
    """ "params.scale" for "dparams.scale", "x" for "dx"."""
    return name.removeprefix("d")
