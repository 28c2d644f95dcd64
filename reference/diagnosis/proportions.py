"""What a sum or an array makes of the truth; much of it has a better name.

sum       hand = the truth's sum or mean over some axes
factor    hand = truth ∘ q or truth / q       q an argument, a residual, y, or simple
                                              functions of them
"""

from collections.abc import Iterator
from itertools import chain, combinations

import numpy as np

from reference.diagnosis.hypothesis import Hypothesis
from reference.diagnosis.known_arrays import FUNCTIONS, fitting, values
from reference.diagnosis.near import near
from reference.diagnosis.scene import Scene, Stage


def summed(stage: Stage, i: int) -> Iterator[Hypothesis]:
    """The truth's sum or mean over some axes at every index of them."""
    truth = stage.home.truth[i]
    every = range(truth.ndim)
    for axes in chain.from_iterable(combinations(every, k) for k in (1, 2, 3, 4)):
        if all(truth.shape[k] == 1 for k in axes):
            continue
        for what, f in (("sum", np.sum), ("mean", np.mean)):

            def sides(s: Scene, axes=axes, f=f) -> tuple:
                t = s.truth[i]
                return s.hand[i], np.broadcast_to(f(t, axes, keepdims=True), t.shape)

            if near(*sides(stage.home)):
                text = ", ".join(map(str, axes))
                yield Hypothesis(
                    f"product: {what} over axis {text} of the truth",
                    "C5",
                    f"is the {what} of the truth over axis {text} at every index",
                    sides,
                )


def factors(stage: Stage, i: int) -> Iterator[Hypothesis]:
    """An array too few or too many in a product."""
    home = stage.home
    hand, truth = home.hand[i], home.truth[i]
    for text, f in FUNCTIONS.items():
        for missing in (True, False):
            for name, fitted in fitting(values(home), truth.shape):
                with np.errstate(all="ignore"):
                    q = f(fitted(values(home)[name]))
                    fits = near(hand * q, truth) if missing else near(hand, truth * q)
                if not fits or near(q, np.broadcast_to(q.flat[0], q.shape)):
                    continue
                label = text.replace("{}", name)

                def sides(s: Scene, n=name, g=fitted, f=f, missing=missing) -> tuple:
                    q = f(g(values(s)[n]))
                    if missing:
                        return s.hand[i] * q, s.truth[i]
                    return s.hand[i], s.truth[i] * q

                yield Hypothesis(
                    f"factor: {'missing' if missing else 'extra'} {label}",
                    "C2" if missing else "C4",
                    f"{'lacks the' if missing else 'has a'} factor {label}"
                    + ("" if missing else " too many"),
                    sides,
                )
