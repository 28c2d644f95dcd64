"""Whether two arrays are about equal: enough to propose a cause, not to prove it."""

import numpy as np

from reference.verifier.problem import Values

NEAR = 1e-8  # Relative to the larger.


def near(a: Values, b: Values) -> bool:
    """Whether two arrays are about equal; shapes do not broadcast."""
    if a.shape != b.shape or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return False
    size = max(float(np.abs(a).max(initial=0)), float(np.abs(b).max(initial=0)))
    return bool(np.abs(a - b).max(initial=0) <= NEAR * size)
