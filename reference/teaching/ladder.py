"""The hint ladder: how far a learner has climbed, kept beside the sheet."""

import json
from pathlib import Path

from reference.teaching.marks import HINTS


def climb(file: Path, ask: bool) -> int:
    """The rung of a sheet; one more where it is asked for.

    It stands in `FILE.hints.json`, a count, which the grade records as well.

    Args:
        file: The sheet.
        ask: Whether one more is wanted.

    Returns:
        From 0, no hint, to the number of HINTS.
    """
    kept = file.with_name(f"{file.name}.hints.json")
    rung = reached(kept)
    if ask and rung < len(HINTS):
        rung += 1
        kept.write_text(json.dumps({"hints": rung}))
    return rung


def reached(kept: Path) -> int:
    """What the file says; 0 where there is none or it is no count."""
    try:
        rung = json.loads(kept.read_text())["hints"]
    except (OSError, ValueError, KeyError, TypeError):
        return 0
    return min(max(rung, 0), len(HINTS)) if isinstance(rung, int) else 0
