"""NaN or infinity in the hand where the truth is finite: which operation makes it."""

from collections.abc import Iterator

import numpy as np

from reference.diagnosis.constants import named_leaves
from reference.diagnosis.hypothesis import Hypothesis
from reference.diagnosis.scene import Scene, Stage


def nonfinite(stage: Stage, i: int) -> Iterator[Hypothesis]:
    """The first operation that makes it, if the leaf is right everywhere else."""
    home = stage.home
    bad = ~np.isfinite(home.hand[i]) & np.isfinite(home.truth[i])
    if not bad.any():
        return
    operation, _ = stage.oracle.first_nonfinite(home.live, home.rest, home.dys)

    def sides(scene: Scene) -> tuple:
        hand, truth = scene.hand[i], scene.truth[i]
        return np.where(np.isfinite(hand), hand, truth), truth

    value = "NaN" if np.isnan(home.hand[i][bad]).any() else "infinite"
    limit = np.unique(home.truth[i][bad])
    want = f"{limit[0]:.4g}" if limit.size == 1 else "finite"
    yield Hypothesis(
        f"nan: {operation}",
        "C11",
        f"is {value}{at_zero(home, bad)}, where the truth is {want}: `{operation}` "
        "makes it; choose its operand before it runs, not its result after",
        sides,
    )


def at_zero(home: Scene, bad: np.ndarray) -> str:
    """The argument that is zero exactly there."""
    for name, v in named_leaves(home):
        if v.shape == bad.shape and np.array_equal(v == 0, bad):
            return f" where {name} = 0"
    return f" in {int(bad.sum())} entries"
