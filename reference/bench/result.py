"""One run of the benchmark: what it holds, and how it is kept.

The JSON file is the run; tables, CSV and plots are made from it. `geometric_mean` of
the memory counts every program as at least FLOOR bytes: below that nobody looks.
"""

import csv
import datetime
import json
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from reference.bench.ceilings import Ceilings
from reference.bench.measure import Program, Row

FLOOR = 2**20


@dataclass(frozen=True)
class Run:
    """A run on one machine.

    Attributes:
        date: When, in UTC.
        device: Which; of a CPU its kind and how many cores there are.
        versions: Of Python, jax and jaxlib.
        dtype: Of all floats.
        ceilings: Before the first row.
        after: After the last row. A machine that was quiet has the same.
        rows: One a case.
    """

    date: str
    device: str
    versions: str
    dtype: str
    ceilings: Ceilings
    after: Ceilings
    rows: tuple[Row, ...]

    @property
    def disturbance(self) -> float:
        """By how much the ceilings changed during the run, as a share."""
        pairs = zip(asdict(self.ceilings).values(), asdict(self.after).values())
        return max(abs(a - b) / max(a, b) for a, b in pairs)


def describe(device: Any) -> str:
    """The device's name; for a CPU the number of cores this process may use."""
    if device.platform != "cpu":
        return device.device_kind
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    return f"{platform.machine()} CPU, {cores or os.cpu_count()} cores"


def versions() -> str:
    """Of what computes."""
    return f"Python {platform.python_version()}, jax {jax.__version__}"


def now() -> str:
    """The date and time in UTC."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")


def memory_ratio(row: Row) -> float:
    """Temporary memory by hand over autodiff's, neither counted below FLOOR."""
    return max(row.hand.temporary, FLOOR) / max(row.auto.temporary, FLOOR)


def geometric_mean(values: Iterable[float]) -> float:
    """exp of the mean logarithm; NaN of nothing."""
    logs = np.log(list(values))
    return float(np.exp(logs.mean())) if logs.size else float("nan")


def save(run: Run, path: Path) -> None:
    """As JSON."""
    path.write_text(json.dumps(asdict(run), indent=1) + "\n")


def load(path: Path) -> Run:
    """What `save` wrote.

    Raises:
        ValueError: the file is missing or something else.
    """
    try:
        found = json.loads(path.read_text())
        rows = tuple(
            Row(**{**r, "hand": Program(**r["hand"]), "auto": Program(**r["auto"])})
            for r in found.pop("rows")
        )
        ends = {k: Ceilings(**found.pop(k)) for k in ("ceilings", "after")}
        return Run(**found, **ends, rows=rows)
    except (OSError, TypeError, KeyError, AttributeError, ValueError) as error:
        raise ValueError(
            f"bench: compare must be a JSON file of an earlier run, got {path}: {error}"
        ) from None


COLUMNS = (
    "name kind shapes ratio spread steady memory_ratio rounding hand_ms auto_ms "
    "hand_temporary auto_temporary hand_flops auto_flops hand_bytes auto_bytes "
    "hand_compile_seconds auto_compile_seconds"
).split()


def flat(row: Row) -> Sequence[Any]:
    """The row's numbers in the order of COLUMNS."""
    sides = [(row.hand, row.auto)]
    costs = [
        getattr(side, field)
        for field in ("milliseconds", "temporary", "flops", "bytes", "compile_seconds")
        for pair in sides
        for side in pair
    ]
    judged = row.ratio, row.spread, row.steady, memory_ratio(row), row.rounding
    return (row.name, row.kind, row.shapes, *judged, *costs)


def save_csv(run: Run, path: Path) -> None:
    """One line a row, for a spreadsheet."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(flat(row) for row in run.rows)
