"""The result of a check: one verdict a leaf, one overall, the worst.

The truth value of a report is an error, because "is it right?" and "was it judged?" are
two questions; ask `report.verdict`. How it looks: reference.render. Its JSON form is
described in docs/verification.md; the keys are the attributes of Report and Leaf.
"""

import json
import math
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from reference import render
from reference.diagnosis.cause import Diagnosis
from reference.verdict import Verdict
from reference.verifier.kinks import Kink
from reference.verifier.numeric import Taylor
from reference.verifier.subject import Subject

SCHEMA = 2


@dataclass(frozen=True)
class Leaf:
    """The judgement of one leaf of the cotangent.

    Attributes:
        name: "dx", "dparams.weight", "args[0]['w']".
        verdict: What is said of it.
        sentence: Why, for a person.
        units: Worst error in noise units (see reference.compare); 64 passes.
        relative: That error relative to the entry.
        visible: The smallest relative error that the check could have seen, in the
            median entry.
        visible_worst: The same in the worst entry that stands out of its noise.
        exercised: Share of the leaf's entries that some cotangent reached.
        rounding: From a working dtype to the error there, relative to autodiff's own.
        point: The situation in which the worst error was met: "given" or another.
        index: The entry with the worst error.
        hand: The hand-written value there; along a direction of the whole leaf where
            there is no index.
        autodiff: Reverse mode's value there.
        forward_mode: Forward mode's, where it was asked.
        difference: The numerical value and its error bar, where it was asked.
        taylor: Taylor's remainder of the hand's claim there, and what it says of it.
        kink: What kind of point it is, along that entry, where that matters.
    """

    name: str
    verdict: Verdict
    sentence: str = ""
    units: float = 0.0
    relative: float = 0.0
    visible: float = math.inf
    visible_worst: float = math.inf
    exercised: float = 1.0
    rounding: dict[str, float] = field(default_factory=dict)
    point: str = "given"
    index: tuple[int, ...] = ()
    hand: float | None = None
    autodiff: float | None = None
    forward_mode: float | None = None
    difference: tuple[float, float] | None = None
    taylor: Taylor | None = None
    kink: Kink | None = None

    @property
    def error(self) -> float:
        """The worst error in noise units."""
        return self.units


@dataclass(frozen=True)
class Report:
    """The judgement of one backward pass.

    Attributes:
        subject: Whose backward pass.
        leaves: From a leaf's name to its judgement.
        broken: Sentences about what breaks the contract; one is enough for CONTRACT.
        notes: What a reader should know and what decides nothing.
        seconds: Wall-clock time of the check.
        hand_passes: How often the hand-written backward ran.
        reference_passes: How often the reference ran.
        forward_passes: How often the forward ran alone, for differences and the like.
        reproduce: Python that shows the worst error again, where there is one.
        seed: Of the probes.
        given: What was judged, for who asks further; not part of the JSON.
        diagnosis: Why, where it was asked (reference.diagnosis).
    """

    subject: str
    leaves: dict[str, Leaf]
    broken: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    hand_passes: int = 0
    reference_passes: int = 0
    forward_passes: int = 0
    reproduce: str = ""
    seed: int = 0
    given: Subject | None = field(default=None, repr=False, compare=False)
    diagnosis: Diagnosis | None = None

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of a leaf; CONTRACT where the contract is broken."""
        if self.broken or not self.leaves:
            return Verdict.CONTRACT
        return max((v.verdict for v in self.leaves.values()), key=lambda v: v.severity)

    def __bool__(self) -> bool:
        """Always an error: a truth value would be ambiguous."""
        raise TypeError(
            "Report: its truth value is ambiguous; ask report.verdict, "
            "or call assert_correct(report)"
        )

    def __str__(self) -> str:
        """A headline, a line a leaf, the broken contract, the notes, the cost."""
        return render.as_text(self)

    def __rich__(self):
        """The same as a rich table."""
        return render.as_rich(self)

    def _repr_html_(self) -> str:
        """The same as an HTML table, with Taylor's remainder drawn, for notebooks."""
        return render.as_html(self)

    def to_json(self) -> str:
        """A JSON object: `schema`, `verdict`, and the attributes of Report and Leaf.

        Numbers that are not finite are written as the strings "inf", "-inf" and "nan".
        docs/verification.md describes every key.
        """
        body = {"schema": SCHEMA, "verdict": self.verdict}
        body |= asdict(replace(self, given=None))
        del body["given"]
        return json.dumps(plain(body), allow_nan=False)


def plain(value: Any) -> Any:
    """A JSON value: numbers that JSON cannot hold become strings."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, complex):
        return [plain(value.real), plain(value.imag)]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def assert_correct(report: Report) -> None:
    """Raise AssertionError, with the report as message, unless RIGHT or KINK.

    Example:
        >>> import jax.numpy as jnp
        >>> from purefw.layers.tanh import tanh
        >>> from reference import check_rule
        >>> assert_correct(check_rule(tanh(), jnp.array([0.3, -1.2])))
    """
    if report.verdict not in (Verdict.RIGHT, Verdict.KINK):
        raise AssertionError(str(report))
