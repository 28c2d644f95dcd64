"""The gradient checks of three courses, rebuilt from what is published of them.

All three compare a submission's backward with central differences of its own forward,

    (1)  D_i = Σ_e c_e (y_e(a + h u_i) - y_e(a - h u_i)) / 2h

on one usual configuration. They differ in the cotangent c, and in what they ask of

    (2)  d_i - D_i

CMU needle (homework 1, at operator level): c = 1, h = 1e-4, the norms of (2) summed
over the arguments at most 1e-6 of one plus those of (1). Stanford cs231n: random c, h =
1e-5, each entry's |(2)| at most 1e-6 of |d_i| + |D_i|. Cornell minitorch: c = 1, h =
1e-6, one random index of each argument, to 1e-2 absolutely or relatively.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from reference.teaching.exercise import Configuration, Part


class Submitted:
    """A part of a submission in this process, at a configuration."""

    def __init__(self, source: str, part: Part, case: Configuration):
        """Run the source."""
        space: dict[str, Any] = {"__name__": "submission"}
        exec(compile(source, "submission", "exec"), space)
        self.forward = space[part.function("forward")]
        self.backward = space[part.function("backward")]
        self.args = [np.array(a) for a in case.args]
        self.options = dict(case.options)
        self.asked = [part.arguments.index(name) for name in part.gradients]

    def gradients(self, cotangent: Callable) -> tuple[Any, list[np.ndarray]]:
        """c, and what backward returns for it."""
        y, residuals = self.forward(*self.args, **self.options)
        c = cotangent(np.shape(y))
        found = self.backward(residuals, c, **self.options)
        found = found if isinstance(found, tuple) else (found,)
        return c, [np.asarray(v, float) for v in found]

    def difference(self, which: int, index: tuple, c: Any, h: float) -> float:
        """Equation (1)."""
        sides = []
        for step in (h, -h):
            args = [a.copy() for a in self.args]
            args[which][index] += step
            sides.append(np.sum(c * self.forward(*args, **self.options)[0]))
        return float(sides[0] - sides[1]) / (2 * h)

    def differences(self, which: int, c: Any, h: float) -> np.ndarray:
        """Equation (1) at every entry of an argument."""
        shape = self.args[which].shape
        found = [self.difference(which, i, c, h) for i in np.ndindex(shape)]
        return np.reshape(found, shape)


def needle(s: Submitted) -> bool:
    """Cotangent of ones, pooled."""
    c, found = s.gradients(np.ones)
    true = [s.differences(i, c, 1e-4) for i in s.asked]
    error = sum(float(np.linalg.norm(d - t)) for d, t in zip(found, true))
    size = sum(float(np.linalg.norm(t)) for t in true)
    return error <= 1e-6 * (1 + size)


def cs231n(s: Submitted) -> bool:
    """Every entry, relatively."""
    c, found = s.gradients(np.random.default_rng(231).standard_normal)
    for d, i in zip(found, s.asked):
        true = s.differences(i, c, 1e-5)
        size = np.maximum(1e-8, np.abs(d) + np.abs(true))
        if d.shape != true.shape or np.max(np.abs(d - true) / size) > 1e-6:
            return False
    return True


def minitorch(s: Submitted) -> bool:
    """One random index of each argument."""
    rng = np.random.default_rng(1)
    c, found = s.gradients(np.ones)
    for d, i in zip(found, s.asked):
        index = tuple(int(rng.integers(n)) for n in s.args[i].shape)
        true = s.difference(i, index, c, 1e-6)
        if abs(d[index] - true) > 1e-2 + 1e-2 * abs(true):
            return False
    return True


CHECKS = {"needle": needle, "cs231n": cs231n, "minitorch": minitorch}


def passes(
    check: Callable, source: str, parts: list[tuple[Part, Configuration]]
) -> bool:
    """Whether a submission passes in all its parts."""
    try:
        return all(check(Submitted(source, part, case)) for part, case in parts)
    except (IndexError, TypeError, ValueError):
        return False  # A shape that does not fit stops a course's check, too.
