"""What an epoch costs everyone: seconds, accuracy, operations a second.

Everyone trains one epoch in every round, in turn, after one that is not counted; who
has spent PATIENCE seconds sits out the rest. Operations are those of the products
alone, for each row 2 n H forward, as many for the first weight gradient, and 6 H K for
the second layer's three.
"""

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from purefw.data import Dataset
from reference.bench import epoch
from reference.bench.ceilings import Ceilings, ceilings
from reference.bench.result import describe, now, versions

BATCHES = (4, 32, 128, 1024)
ROUNDS = 3
PATIENCE = 20.0


@dataclass(frozen=True)
class EpochRow:
    """One who trained.

    Attributes:
        who: See epoch.MAKERS.
        batch: Rows a step.
        seconds: Of an epoch, the median over rounds; None where it could not run.
        accuracy: On the test rows, after the epoch.
        gigaflops: Operations of the products a second.
        reason: Why it could not run.
    """

    who: str
    batch: int
    seconds: float | None
    accuracy: float | None = None
    gigaflops: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class TrainRun:
    """A run on one machine; see reference.bench.result.Run.

    Attributes:
        data: Name, rows and pixels.
    """

    date: str
    device: str
    versions: str
    data: str
    ceilings: Ceilings
    rows: tuple[EpochRow, ...]


def measure(
    data: Dataset, batches: tuple[int, ...], who: list[str], device: Any
) -> TrainRun:
    """Everyone at every batch size."""
    n, pixels = data.train.x.shape
    top = ceilings(device)
    rows = [row for batch in batches for row in at_batch(data, batch, who)]
    name = f"{data.name}, {n} rows of {pixels}"
    return TrainRun(now(), describe(device), versions(), name, top, tuple(rows))


def at_batch(data: Dataset, batch: int, who: list[str]) -> list[EpochRow]:
    """One epoch of each, in rounds."""
    setting = epoch.setting(data, batch)
    ready, failed = {}, []
    for name in who:
        try:
            run, score = epoch.MAKERS[name](setting)
            ready[name] = (run, score, run(), [])
        except Exception as error:  # A library that is missing, or has no compiler.
            reason = f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"
            failed.append(EpochRow(name, batch, None, reason=reason[:100]))
    for _ in range(ROUNDS):
        for run, _, _, seconds in ready.values():
            if sum(seconds) < PATIENCE:
                start = time.perf_counter()
                run()
                seconds.append(time.perf_counter() - start)
    rows = []
    for name, (_, score, fitted, seconds) in ready.items():
        middle = float(np.median(seconds))
        rate = operations(setting) / middle / 1e9
        rows.append(EpochRow(name, batch, middle, score(fitted), rate))
    return rows + failed


def operations(setting: epoch.Setting) -> float:
    """Of the products of an epoch."""
    (pixels, hidden), (_, classes) = (w.shape for w, _ in setting.pairs)
    trained = setting.order.size
    return float(trained * (4 * pixels * hidden + 6 * hidden * classes))


def save(run: TrainRun, path: Path) -> None:
    """As JSON."""
    path.write_text(json.dumps(asdict(run), indent=1) + "\n")


def load(path: Path) -> TrainRun:
    """What `save` wrote."""
    found = json.loads(path.read_text())
    rows = tuple(EpochRow(**row) for row in found.pop("rows"))
    return TrainRun(**found | {"ceilings": Ceilings(**found["ceilings"])}, rows=rows)
