"""Judge registered rules and losses for their pages: writes docs/verdicts.json.

python -m docs.pages.verdicts            # all: some minutes
python -m docs.pages.verdicts relu ctc   # these
"""

import json
import sys
from pathlib import Path

from reference.commands.verify import verdicts
from reference.registry import LOSSES, RULES

FILE = Path(__file__).parents[1] / "verdicts.json"


def main(asked: list[str]) -> None:
    """Write [leaf, verdict, error in noise units] of each leaf at the typical input.

    After each entry, so that a run cut short has not been idle.
    """
    every = [*RULES, *LOSSES]
    found = json.loads(FILE.read_text("utf-8")) if asked else {}
    names = asked or every
    for name, leaves in zip(names, verdicts(names, every_input=False)):
        found[name] = [[v.name, v.verdict, float(f"{v.error:.2g}")] for v in leaves]
        lines = [
            f"{json.dumps(n)}: {json.dumps(found[n])}" for n in every if n in found
        ]
        FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
