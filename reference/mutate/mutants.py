"""The mutants of a rule or a loss: every planted mistake that is one."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax

from purefw.rule import Loss, Rule
from reference.mutate.equivalence import differences, elsewhere
from reference.mutate.quick import trials_of
from reference.mutate.schema import Mutation, Schema, mutated
from reference.registry.entry import normal_like
from reference.verifier.oracle import exact_arithmetic, oracle_for
from reference.verifier.points import Point
from reference.verifier.probe import Probe, Trial
from reference.verifier.problem import Problem, flatten
from reference.verifier.shapes import cuts
from reference.verifier.subject import Subject, loss_subject, rule_subject
from reference.verifier.verify import output_of


@dataclass(frozen=True)
class Mutant:
    """One planted mistake.

    Attributes:
        mutation: What is done: `kind`, `sentence`, and for an edit `source` and `code`.
        original: The rule or loss.
        differs: The kind of point at which it was first seen to differ.
    """

    mutation: Mutation
    original: Rule | Loss
    differs: str

    @cached_property
    def rule(self) -> Rule | Loss:
        """The rule or loss with the mistake in it; its name is the original's."""
        return mutated(self.original, self.mutation)

    def __str__(self) -> str:
        """Where and what."""
        return str(self.mutation)


@dataclass
class Survey:
    """A rule or loss at its arguments, with all that can be done to its backward."""

    made: Rule | Loss
    schema: Schema
    probe: Probe
    trials: list[Trial]
    different: dict[int, Point]

    @property
    def mutants(self) -> list[Mutant]:
        """Those that are not equivalent."""
        return [self.mutant(k) for k in sorted(self.different)]

    def mutant(self, k: int) -> Mutant:
        """Number k of the schema."""
        return Mutant(self.schema.mutations[k], self.made, self.different[k].kind)


def schema_of(made: Rule | Loss, problem: Problem) -> Schema:
    """All that can be done to a rule's or a loss's backward at these shapes."""
    is_rule = isinstance(made, Rule)
    return Schema(problem, int(is_rule), made.terms if is_rule else None)


def survey(made: Rule | Loss, subject: Subject, seed: int = 0) -> Survey:
    """Plant everything; wants `exact_arithmetic`."""
    problem = flatten(subject, output_of(subject))
    schema = schema_of(made, problem)
    probe = Probe(problem, oracle_for(problem.functions), seed)
    trials = trials_of(probe)
    return Survey(made, schema, probe, trials, differences(schema, probe, trials))


def at_other_shapes(found: Survey) -> dict[int, Point]:
    """Mutants that differ at other lengths of the axes alone: 1 grown to 3, say."""
    differs: dict[int, Point] = {}
    for cut in cuts(found.probe.problem):
        other = cut.problem
        count = range(len(found.schema.mutations))
        same = [k for k in count if k not in found.different and k not in differs]
        point = Point(cut.name, other.live, other.rest)
        try:
            differs |= dict.fromkeys(elsewhere(found.schema, same, other), point)
        except Exception:  # A backward that holds its sizes raises at others.
            continue
    return differs


def everywhere(made: Rule | Loss, subject: Subject, seed: int) -> Survey:
    """The survey at the given shapes and at some others."""
    found = survey(made, subject, seed)
    found.different |= at_other_shapes(found)
    return found


def subject_of(made: Rule | Loss, params: Any, x: Any, key: Any, seed: int) -> Subject:
    """A rule at (params, x), or a loss at x = (prediction, target)."""
    if not isinstance(made, Rule):
        return loss_subject(made, *x)
    init_key, params_key, forward_key = jax.random.split(jax.random.key(seed), 3)
    if params is None:
        params = normal_like(made.init(init_key), params_key)
    return rule_subject(made, params, x, forward_key if key is None else key)


def mutants(
    made: Rule | Loss, params: Any, x: Any, *, key: Any = None, seed: int = 0
) -> list[Mutant]:
    """Every planted mistake in a rule's backward that changes what it computes.

    Args:
        made: A rule, or a loss.
        params: The rule's parameters; standard normal ones where None. None for a loss.
        x: Its input; of a loss, the pair (prediction, target).
        key: For a random rule.
        seed: Of parameters and points.

    Returns:
        Single-equation edits of backward, then mistakes planted around it. Those that
        are equal to the original wherever it was looked at are left out.

    Example:
        >>> import jax.numpy as jnp
        >>> from purefw.layers.tanh import tanh
        >>> found = mutants(tanh(), (), jnp.array([0.3, -1.2]))
        >>> print(found[0])
        tanh.py:46: `a - b` becomes `b - a`
        >>> y = jnp.array(0.5)
        >>> print(found[0].rule.backward(y, jnp.array(1.0))[1])
        -0.75
    """
    subject = subject_of(made, params, x, key, seed)
    with exact_arithmetic():
        return everywhere(made, subject, seed).mutants


def accepts(check: Callable[[Any], Any], made: Rule | Loss) -> bool:
    """Whether a check lets a rule pass.

    It rejects by raising, by returning False, or by a report that is neither RIGHT nor
    KINK; it accepts by returning None, True or another report.

    Raises:
        TypeError: It returned something else.
    """
    try:
        found = check(made)
    except Exception:  # A test fails by whatever it raises.
        return False
    if hasattr(found, "verdict"):
        return found.verdict in ("RIGHT", "KINK")
    if found is None or isinstance(found, bool):
        return found is not False
    raise TypeError(
        "power: check must return None, a bool or a report, or raise, "
        f"got {type(found).__name__}"
    )
