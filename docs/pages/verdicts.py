"""Judge registered rules and losses for their pages: writes docs/verdicts.json.

python -m docs.pages.verdicts            # all: some minutes
python -m docs.pages.verdicts relu ctc   # these
python -m docs.pages.verdicts --missing  # those of which nothing is known
"""

import json
import sys
from pathlib import Path

from reference.commands.verify import judged, reports
from reference.registry import LOSSES, RULES

FILE = Path(__file__).parents[1] / "verdicts.json"


def verdicts(name: str) -> list[list]:
    """[leaf, verdict, error in noise units] of each leaf at the typical input."""
    leaves = judged(next(reports(name)))
    return [[v.name, str(v.verdict), float(f"{v.error:.2g}")] for v in leaves]


def main(asked: list[str]) -> None:
    """Judge, and write after each, so that a run cut short has not been idle."""
    found = json.loads(FILE.read_text("utf-8")) if FILE.exists() else {}
    every = [*RULES, *LOSSES]
    missing = [name for name in every if name not in found]
    for name in missing if asked == ["--missing"] else asked or every:
        found[name] = verdicts(name)
        lines = [
            f"{json.dumps(n)}: {json.dumps(found[n])}" for n in every if n in found
        ]
        FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
