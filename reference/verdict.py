"""What can be said of a backward pass."""

from enum import StrEnum


class Verdict(StrEnum):
    """One word for a leaf or for a whole check, mildest first.

    RIGHT         the derivative of the forward, as precise as autodiff's
    KINK          a valid subgradient where the forward has a kink, of another
                  convention than autodiff's
    UNTESTED      nothing could be seen: the true gradient is zero at every probe
    INCONCLUSIVE  the witnesses that could speak are too imprecise to decide
    IMPRECISE     right in exact arithmetic, but loses digits that autodiff keeps
    WRONG         not the derivative of the forward
    CONTRACT      not judged: structure, shape, dtype or purity is broken
    """

    RIGHT = "RIGHT"
    KINK = "KINK"
    UNTESTED = "UNTESTED"
    INCONCLUSIVE = "INCONCLUSIVE"
    IMPRECISE = "IMPRECISE"
    WRONG = "WRONG"
    CONTRACT = "CONTRACT"

    @property
    def severity(self) -> int:
        """The place in the order above; the worst leaf gives the whole verdict."""
        return list(Verdict).index(self)
