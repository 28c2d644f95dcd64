"""The tests that tests/repeats.txt marks slow exist."""

from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_every_repeat_is_a_test():
    for name in (ROOT / "tests/repeats.txt").read_text().splitlines():
        file, _, test = name.partition("::")
        assert f"def {test.partition('[')[0]}(" in (ROOT / file).read_text(), name
