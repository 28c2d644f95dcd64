"""One registered rule or loss, all its mutants, and what each check says of them.

Ours is the verifier at the registered typical input: its comparison for all mutants at
once (quick.py), and the full check for whatever that does not kill, where the mutant
differs and at the typical input. A mutant that the full check calls KINK there
and nowhere wrong is another subgradient: no mistake, counted apart. One that it calls
RIGHT and that differs from the original by no more than its own rounding is equivalent:
a - max a for a. What remains has survived.
"""

import hashlib
import re
import time
import zlib
from collections import Counter
from dataclasses import dataclass, field, replace

import jax
import jax.numpy as jnp

from purefw.rule import Loss, Rule
from reference.compare import compare
from reference.mutate.classes import mistake_of
from reference.mutate.equivalence import elsewhere
from reference.mutate.mutants import Survey, schema_of, survey
from reference.mutate.quick import own_noise, quickly_killed
from reference.mutate.rivals import Bench, verdicts
from reference.mutate.schema import mutated
from reference.registry import LOSSES, RULES
from reference.verdict import Verdict
from reference.verifier.oracle import exact_arithmetic, oracle_for
from reference.verifier.probe import lift
from reference.verifier.problem import flatten
from reference.verifier.subject import Subject, loss_subject, rule_subject
from reference.verifier.verify import accused_at_given, check_subject, output_of

OURS = "purefw"


@dataclass
class Row:
    """What is known of one registered entry; JSON holds its fields.

    Attributes:
        name: In the registry.
        constructor: The rule's own name.
        mutants: How many mistakes.
        equivalent: How many edits and plants change nothing.
        conventions: How many are another valid subgradient.
        killed: Of the mutants, by check; None where the check rejects the original.
        classes: The same for each class of mistakes, "mutants" among the counts.
        survivors: What our verifier lets pass, with the line.
        full: How many were given to the full check.
        false_alarm: Our verdict on the original where it is not RIGHT or KINK, or "".
        seconds: Processor time taken.
        fingerprint: Of what was measured, by `fingerprint`.
    """

    name: str
    constructor: str
    mutants: int = 0
    equivalent: int = 0
    conventions: int = 0
    killed: dict[str, int | None] = field(default_factory=dict)
    classes: dict[str, dict[str, int]] = field(default_factory=dict)
    survivors: list[str] = field(default_factory=list)
    full: int = 0
    false_alarm: str = ""
    seconds: float = 0.0
    fingerprint: str = ""


def examine(name: str) -> Row:
    """All mutants of an entry before every check."""
    start = time.process_time()
    made, situations = entry_of(name)
    given, *others = [drawn(name, situation) for situation in situations]
    with exact_arithmetic():
        found = survey(made, given)
        where = at_points(found, given) | hard(found, others)
        coarse = {k for k in where if mistake(found, k) == "C12"}
        quick = quickly_killed(
            found.schema, found.probe, found.trials, sorted(where.keys() - coarse)
        )
    slow = {k: full(found, k, [where[k], given]) for k in where.keys() - quick}
    conventions = {k for k, v in slow.items() if v is Verdict.KINK}
    survivors = {k for k, v in slow.items() if v is Verdict.RIGHT}
    with exact_arithmetic():
        equal = {k for k in survivors if only_rounds(found, k)}
        mutants = sorted(where.keys() - conventions - equal)
        survivors = sorted(survivors - equal)
        problem = found.probe.problem
        bench = Bench(problem, found.schema, found.probe.oracle, mutants)
        kills = verdicts(bench)
    kills = {OURS: set(mutants) - set(survivors), **kills}
    original = check_subject(given).verdict
    return Row(
        name,
        made.name,
        len(mutants),
        len(found.schema.mutations) - len(where) + len(equal),
        len(conventions),
        {check: None if k is None else len(k) for check, k in kills.items()},
        by_class(found, mutants, kills),
        [described(found, k) for k in survivors],
        len(slow),
        "" if original in (Verdict.RIGHT, Verdict.KINK) else str(original),
        round(time.process_time() - start, 2),
        fingerprint(name),
    )


def fingerprint(name: str) -> str:
    """Twelve hexadecimal digits of an entry's two programs and of all that is planted.

    They change with what the rule computes, with its typical input, with the operators
    of mutation and with how JAX prints a program, not with the place or the words of a
    line.
    """
    made, situations = entry_of(name)
    with exact_arithmetic(x64=False):  # In the dtypes of the command line, always.
        subject = drawn(name, situations[0])
    with exact_arithmetic():
        schema = schema_of(made, flatten(subject, output_of(subject)))
        forward = jax.make_jaxpr(subject.forward)(*subject.args)
    planted = [
        f"{mutation.kind} {mistake_of(mutation)}" for mutation in schema.mutations
    ]
    text = "\n".join([str(forward), str(schema.edits.closed), *planted])
    addresses = re.compile(r"0x[0-9a-f]+")
    return hashlib.sha256(addresses.sub("", text).encode()).hexdigest()[:12]


def entry_of(name: str) -> tuple[Rule | Loss, list[str]]:
    """The rule or loss of an entry, and the names of its inputs."""
    if name in LOSSES:
        return LOSSES[name].loss, list(LOSSES[name].inputs)
    return RULES[name].rule, list(RULES[name].inputs)


def drawn(name: str, situation: str) -> Subject:
    """An entry at one of its inputs."""
    key = jax.random.key(zlib.crc32(f"{name}/{situation}".encode()))
    if name in LOSSES:
        return loss_subject(LOSSES[name].loss, *LOSSES[name].inputs[situation](key))
    entry = RULES[name]
    params_key, x_key, key = jax.random.split(key, 3)
    x, params = entry.inputs[situation](x_key), entry.draw_params(params_key)
    return rule_subject(entry.rule, params, x, key)


def at_points(found: Survey, given: Subject) -> dict[int, Subject]:
    """The entry where each mutant was seen to differ, at the shapes of an input."""
    merge = found.probe.problem.shape.merge
    return {
        k: replace(given, args=merge(point.live, point.rest))
        for k, point in found.different.items()
    }


def hard(found: Survey, others: list[Subject]) -> dict[int, Subject]:
    """Mutants that are equal at the typical input's shapes and differ at another."""
    differs: dict[int, Subject] = {}
    for subject in others:
        count = range(len(found.schema.mutations))
        same = [k for k in count if k not in found.different and k not in differs]
        problem = flatten(subject, output_of(subject))
        differs |= dict.fromkeys(elsewhere(found.schema, same, problem), subject)
    return differs


def full(found: Survey, k: int, subjects: list[Subject]) -> Verdict:
    """The worst verdict of the full check on a mutant in the place of these."""
    worst = Verdict.RIGHT
    for subject in subjects:
        mutant = broken(found, k, subject)
        verdict = accused_at_given(mutant) or check_subject(mutant).verdict
        oracle_for.cache_clear()  # The programs of a mutant serve no other.
        worst = max(worst, verdict, key=lambda v: v.severity)
        if worst.severity > Verdict.KINK.severity:
            break
    return worst


def broken(found: Survey, k: int, subject: Subject) -> Subject:
    """A mutant at the arguments of the original."""
    made = mutated(found.made, found.schema.mutations[k])
    args = jax.tree.map(jnp.asarray, subject.args)
    if isinstance(made, Loss):
        return loss_subject(made, *args)
    key = subject.forward.key
    return rule_subject(made, *args, key=key and key.key())


def only_rounds(found: Survey, k: int) -> bool:
    """Whether a mutant and the original are apart by their own rounding alone."""
    probe, schema = found.probe, found.schema
    for trial in found.trials:
        live, dys = lift(trial.point.live), lift(probe.split(trial.cotangent))
        at = live, trial.point.rest, dys
        outputs = schema.outputs([-1, k], *at)
        spreads = own_noise(schema, [-1, k], outputs, *at)
        for v, spread in zip(outputs, spreads, strict=True):
            if not compare(v[1], v[0], spread.max(axis=0), pooled_only=True).passes:
                return False
    return True


def mistake(found: Survey, k: int) -> str:
    """The class of a mutant's mistake."""
    return mistake_of(found.schema.mutations[k])


def by_class(found: Survey, mutants: list[int], kills: dict) -> dict:
    """Counts for each class of mistakes."""
    classes: dict[str, Counter] = {}
    for k in mutants:
        counts = classes.setdefault(mistake(found, k), Counter())
        counts["mutants"] += 1
        counts.update(check for check, dead in kills.items() if dead and k in dead)
    return {c: dict(counts) for c, counts in sorted(classes.items())}


def described(found: Survey, k: int) -> str:
    """A survivor, where it differs, and its line of code."""
    mutation = found.schema.mutations[k]
    code = f" ({mutation.code})" if mutation.code else ""
    point = found.different.get(k)
    return f"{mutation}{code}; differs at {point.kind if point else 'a hard input'}"
