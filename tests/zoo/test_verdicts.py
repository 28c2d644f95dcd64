"""The verifier on the zoo: finds the wrong, accuses none, tells the imprecise apart.

One case in thirty-two runs always, in its first dtype; the others run under `-m slow`.
"""

import zlib

import pytest

from reference.verdict import Verdict
from reference.verifier.subject import Subject
from reference.verifier.verify import check_subject
from tests.zoo import CASES, defaults

ALL = [(name, d) for name, case in CASES.items() for d in case.dtypes]
FEW = [
    (name, case.dtypes[0])
    for name, case in CASES.items()
    if zlib.crc32(name.encode()) % 32 == 0
]
REST = sorted(set(ALL) - set(FEW))


def assert_verdict(name: str, dtype: str) -> None:
    case = CASES[name]
    with defaults():
        args = case.args(dtype)
        names = tuple(f"args[{i}]" for i in range(len(args)))
        report = check_subject(
            Subject(name, case.forward, case.backward, args, names, primal=case.primal)
        )
    allowed = {case.expected} | ({"KINK"} if case.kink else set())
    assert report.verdict in allowed, f"{case.why}\n{report}"
    if report.verdict is Verdict.WRONG:
        wrong = [k for k, v in report.leaves.items() if v.verdict is Verdict.WRONG]
        assert any(w.startswith(leaf) for w in wrong for leaf in case.leaf), report


@pytest.mark.parametrize("name,dtype", FEW)
def test_verdict(name, dtype):
    assert_verdict(name, dtype)


@pytest.mark.slow
@pytest.mark.parametrize("name,dtype", REST)
def test_verdict_of_the_rest(name, dtype):
    assert_verdict(name, dtype)
