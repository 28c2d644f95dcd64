"""Backward is linear in dy: what follows from that, tested without knowing the truth.

With H(dy) the cotangents at fixed arguments, for every leaf

    (1)  H(dy) depends on dy, unless it is zero
    (2)  H(0) = 0
    (3)  H(−dy) = −H(dy)
    (4)  H(2^k dy) = 2^k H(dy)                       k = ±33, ±10 or ±3
    (5)  H(a dy + b dy') = a H(dy) + b H(dy')
    (6)  Σ_j H(dy with all output leaves but j zero) = H(dy)

A power of two is exact, so (2) to (4) hold to the last bit of most right backwards; all
are allowed the noise of `Case.allowed`, for one that rounds on the way: of a summand
that is identically zero and kept, like Σ(x - μ), the rounding is left at dy = 0. k is
the largest that neither overflows nor underflows in the narrowest type in use: 33 in
float64, 10 in float32 and bfloat16, 3 in float16. Where a leaf breaks several, the
first is named, because an H that breaks (1) breaks all.
"""

from functools import cached_property

import numpy as np

from reference.contract.case import Case, cast, distance, largest, wide
from reference.contract.finding import Finding

HINTS = {
    "dependence": "dy is not used: {leaf} is the same for two different dy",
    "zero": "{leaf} is not zero for dy = 0: a summand lacks the factor dy",
    "oddness": "|dy|, relu(dy) or dy² inside backward: {leaf} does not change sign "
    "with dy",
    "homogeneity": "clipping or saturation of dy inside backward: {leaf} does not grow "
    "in proportion to dy",
    "linearity": "a norm, a maximum or a choice by size of dy inside backward: {leaf} "
    "for a sum of two dy is not the sum of the two",
    "symbolic zero": "the cotangent of one output being zero changes what the others "
    "contribute to {leaf}",
}

A, B = 0.7, -1.3


def linearity_findings(case: Case) -> list[Finding]:
    """A finding for each leaf that is not linear in dy, by the first law it breaks."""
    args, dy, other = case.subject.args, case.dy, case.other_dy
    base, second = case.run(args, dy), case.run(args, other)
    opposite = case.run(args, _combine(dy, other, -1.0, 0.0))
    broken = {
        k: "dependence" for k in base if _ignores(base[k], second[k], opposite[k])
    }
    noisy = _Noise(case, base, second)

    def its_own(k: str, got: dict, at: list) -> float:
        return case.allowed(got[k], case.noise(got, args, at, move=False)[k])

    def judge(law: str, a: float, b: float, got: dict | None = None) -> None:
        at = _combine(dy, other, a, b)
        got = got or case.run(args, at)
        size = max(abs(a), abs(b))
        for k in base.keys() - broken.keys():
            with np.errstate(all="ignore"):
                wanted = np.asarray(a * wide(base[k]) + b * wide(second[k]))
            gap = distance(wide(got[k]), wanted)
            if noisy.exceeded(k, gap, size) and gap > its_own(k, got, at):
                broken[k] = law

    judge("zero", 0.0, 0.0)  # (2)
    judge("oddness", -1.0, 0.0, opposite)  # (3)
    power = exponent(case.epsilon, [*dy, *base.values()])
    for scale in (2.0**power, 2.0**-power):
        judge("homogeneity", scale, 0.0)  # (4)
    judge("linearity", A, B)  # (5)
    total = _sum_over_outputs(case)
    for k in total.keys() - broken.keys():
        if noisy.exceeded(k, distance(total[k], wide(base[k]))):
            broken[k] = "symbolic zero"
    return [
        Finding(law, k, HINTS[law].format(leaf=k)) for k, law in sorted(broken.items())
    ]


class _Noise:
    """What is allowed, its costly part measured when first needed."""

    def __init__(self, case: Case, base: dict, second: dict):
        self.case, self.base, self.second = case, base, second

    @cached_property
    def moved(self) -> dict:
        """n of `Case.allowed`, the worse of both cotangents."""
        case, args = self.case, self.case.subject.args
        n = case.noise(self.base, args, case.dy, move=False)
        m = case.noise(self.second, args, case.other_dy, move=False)
        return {k: max(n[k], m[k]) for k in n}

    def exceeded(self, k: str, gap: float, size: float = 1.0) -> bool:
        """Whether no rounding explains a gap, at cotangents `size` times as large."""
        leaves = self.base[k], self.second[k]
        if gap <= size * max(self.case.allowed(v, 0.0) for v in leaves):
            return False
        return gap > size * max(self.case.allowed(v, self.moved[k]) for v in leaves)


def _ignores(first: np.ndarray, *others: np.ndarray) -> bool:
    """Whether equation (1) is broken."""
    same = all(np.array_equal(first, v, equal_nan=True) for v in others)  # (1)
    return same and largest(first) > 0


def _combine(dy: list, other: list, a: float, b: float) -> list:
    return [cast(a * wide(u) + b * wide(v), u) for u, v in zip(dy, other)]


def _sum_over_outputs(case: Case) -> dict[str, np.ndarray]:
    """The left side of equation (6); nothing where y has one leaf."""
    total: dict[str, np.ndarray] = {}
    n = min(len(case.dy), 8)  # A pass each, so leaves share them from 9 on.
    for j in range(n if n > 1 else 0):
        only = [v if i % n == j else np.zeros_like(v) for i, v in enumerate(case.dy)]
        for k, v in case.run(case.subject.args, only).items():
            total[k] = np.asarray(wide(v) + total.get(k, 0.0))  # (6)
    return total


def exponent(epsilon: float, leaves: list) -> int:
    """k of equation (4) for the narrowest type in use."""
    if epsilon == 2.0**-10 or any(v.dtype == np.float16 for v in leaves):
        return 3
    return 33 if epsilon < 2.0**-40 else 10
