"""One sentence about a contract, and the words that every module of it uses."""

from dataclasses import dataclass

import jax

LINEARITY = (
    "dependence",
    "zero",
    "oddness",
    "homogeneity",
    "linearity",
    "symbolic zero",
)

CANNOT_TRACE = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerArrayConversionError,
    jax.errors.NonConcreteBooleanIndexError,
)


@dataclass(frozen=True)
class Finding:
    """A broken clause of the contract, or a note.

    Attributes:
        check: The clause: "shape", "oddness", "stale", "unused residual".
        leaf: The cotangent it concerns ("dparams.weight"), None for the whole rule.
        sentence: What is wrong and what to change.
        fatal: False for a note, which accuses nobody.
    """

    check: str
    leaf: str | None
    sentence: str
    fatal: bool = True

    @property
    def nonlinear(self) -> bool:
        """Whether the leaf is WRONG (not linear in dy) rather than the contract."""
        return self.fatal and self.check in LINEARITY


def raised(who: str, error: Exception) -> Finding:
    """The finding for a function that raises: type and first line, no traceback."""
    if isinstance(error, jax.errors.UnexpectedTracerError):
        return leak()
    lines = str(error).strip().splitlines() or ["no message"]
    return Finding("raises", None, f"{who} raises {type(error).__name__}: {lines[0]}")


def draws(generators: list[str]) -> Finding:
    """The finding for code that advances a global generator."""
    return Finding(
        "purity",
        None,
        f"forward or backward uses the global generator of {' and '.join(generators)}: "
        "pass a key, or what was drawn, as an argument",
    )


def leak() -> Finding:
    """The finding for a traced value that survives its trace."""
    return Finding(
        "leak",
        None,
        "forward or backward keeps a traced value between calls, in a global, an "
        "attribute or a cache: pass it in residuals",
    )
