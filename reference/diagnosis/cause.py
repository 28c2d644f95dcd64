"""What a diagnosis says: a cause with its proof, or the place of the error alone.

A cause is stated only where repairing it, or planting it in the truth, makes hand and
truth equal in noise units at probes that it was not found at. What has no such proof is
described by where it differs, never by why.
"""

import json
from dataclasses import asdict, dataclass, field
from typing import Any

CLASSES = {
    "C1": "cotangent lost",
    "C2": "missing term",
    "C3": "sign or swap",
    "C4": "scale",
    "C5": "reduction or shape",
    "C6": "axis or layout",
    "C7": "overwritten for added",
    "C8": "mask",
    "C9": "wrong residual",
    "C10": "mutation",
    "C11": "kink or branch",
    "C12": "precision",
    "C13": "rows skipped",
    "C14": "cotangent left out",
    "C15": "complex or symmetric",
}


@dataclass(frozen=True)
class Proof:
    """At how many probes hand and truth agreed once the cause was taken into account.

    Attributes:
        probes: Points and cotangents other than those that the cause was found at.
        sizes: Shapes among them, the given ones included.
        units: The worst disagreement, in noise units; 64 is the limit.
    """

    probes: int
    sizes: int
    units: float

    def __str__(self) -> str:
        """One clause."""
        sizes = "two sizes" if self.sizes > 1 else "one size"
        return (
            f"proved at {self.probes} fresh probes of {sizes}, "
            f"{self.units:.2g} noise units of 64"
        )


@dataclass(frozen=True)
class Cause:
    """Why some leaves are wrong.

    Attributes:
        label: "kind: what", for programs: "term: mean missing".
        mistake: The class of mistakes, "C2"; see CLASSES.
        leaves: The leaves that it explains.
        sentence: For a person.
        proof: What was run to be sure; None where the contract's own test is the proof.
        evidence: The numbers it was found by, in words.
        source: "file.py:line", where it has one.
    """

    label: str
    mistake: str
    leaves: tuple[str, ...]
    sentence: str
    proof: Proof | None = None
    evidence: str = ""
    source: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """What is known of the errors of one backward pass.

    Attributes:
        subject: Whose backward pass.
        causes: The proved ones; a leaf is in at most one.
        where: For every other wrong leaf, where it differs.
        zero_terms: Summands that look as if one could forget them and are identically
            zero: no mistake, whether kept or left out.
        seconds: Wall-clock time.
    """

    subject: str
    causes: tuple[Cause, ...] = ()
    where: dict[str, str] = field(default_factory=dict)
    zero_terms: tuple[str, ...] = ()
    seconds: float = 0.0

    def cause_of(self, leaf: str) -> Cause | None:
        """The cause of a leaf's error, where one was proved."""
        return next((c for c in self.causes if leaf in c.leaves), None)

    def lines(self) -> list[str]:
        """A sentence a line, each followed by its proof."""
        found = []
        for cause in self.causes:
            found.append(f"{', '.join(cause.leaves)}: {cause.sentence}")
            proof = [cause.evidence, str(cause.proof or "")]
            found += [f"  {p}" for p in proof if p]
        found += [f"{leaf}: {text}" for leaf, text in self.where.items()]
        return found + list(self.zero_terms)

    def __str__(self) -> str:
        """The sentences under the subject's name."""
        lines = self.lines() or ["nothing to explain"]
        return "\n".join([f"diagnosis of {self.subject}", *(f"  {v}" for v in lines)])

    def __rich__(self) -> Any:
        """The same with the leaves in bold."""
        from rich.text import Text

        text = Text(f"diagnosis of {self.subject}\n", "bold")
        return text + Text("\n".join(f"  {v}" for v in self.lines()), "default")

    def to_json(self) -> str:
        """A JSON object of the attributes."""
        return json.dumps(asdict(self))
