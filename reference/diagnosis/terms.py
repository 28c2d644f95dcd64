"""The summands that a rule names: which of them the hand counts wrongly.

(1)  hand - V = Σ_k (w_k - 1) t_k         w by least squares, each named
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from reference.diagnosis.constants import Constant, name_factor
from reference.diagnosis.hypothesis import Hypothesis
from reference.diagnosis.near import near
from reference.diagnosis.scene import Scene, Stage


def named_terms(stage: Stage, i: int) -> Iterator[Hypothesis]:
    """(3) on the summands that the rule itself names, several at once."""
    name = stage.names[i]
    terms = stage.home.run.terms.get(name)
    scenes = stage.scenes()
    fits = [fit(s, name, i) for s in scenes] if terms else [None]
    if any(f is None for f in fits):
        return
    columns = zip(*[f for f in fits if f is not None])
    counts = [counted([1 + a for a in column], scenes) for column in columns]
    wrong = [(t, c) for t, c in zip(terms, counts) if c.what != "right"]
    if not wrong:
        return

    def sides(scene: Scene) -> tuple:
        values = scene.run.terms[name].values()
        planted = [c.weight.at(scene) * v for c, v in zip(counts, values)]
        return scene.hand[i], sum(planted[1:], planted[0])

    yield Hypothesis(
        "term: " + " ".join(f"{term} {c.what}" for term, c in wrong),
        wrong[0][1].mistake,
        " and ".join(f"the {term} term {c.sentence}" for term, c in wrong),
        sides,
        "hand - truth = "
        + " ".join(f"{f:+.4g} {t}" for f, t in zip(fits[0], terms) if abs(f) > 1e-9),
    )


def fit(scene: Scene, name: str, i: int) -> np.ndarray | None:
    """Coefficients of the error on the terms; None where it is no combination."""
    terms = list(scene.run.terms.get(name, {}).values())
    matrix = np.stack([t.ravel() for t in terms], 1)
    error = scene.error(i).ravel()
    alpha, *_ = np.linalg.lstsq(matrix, error, rcond=1e-12)
    if not near(matrix @ alpha, error):
        return None
    return np.where(np.abs(alpha) < 1e-9, 0.0, alpha)


@dataclass(frozen=True)
class Count:
    """How often a summand counts, in words; `named` where the number has a reason."""

    what: str
    sentence: str
    mistake: str
    weight: Constant
    named: bool = True


def counted(weights: list[float], scenes: list[Scene]) -> Count:
    """What is done to a summand that counts w times at each scene."""
    if all(abs(w) < 1e-9 for w in weights):
        return Count("missing", "is missing", "C2", Constant("0", 0.0))
    constant = name_factor(weights, scenes)
    if constant is None:
        name, value = f"{weights[0]:.6g}", weights[0]
        text = f"is multiplied by {name}"
        return Count(f"scaled {name}", text, "C4", Constant(name, value), False)
    simple = {
        "1": ("right", "is right", ""),
        "2": ("doubled", "is counted twice", "C4"),
        "-1": ("negated", "has the wrong sign", "C3"),
    }
    name = constant.name
    scaled = (f"scaled {constant.names}", f"is multiplied by {constant.names}", "C4")
    return Count(*simple.get(name, scaled), constant)
