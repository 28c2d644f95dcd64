"""What a submission may not do gets nothing, with the reason; the grader goes on."""

import time
from pathlib import Path

import pytest

import reference
from reference.teaching.sandbox import Limits
from reference.teaching.wire import packed, unpacked
from tests.reference.teaching.solved import graded, solution

SHORT = Limits(seconds=1.0, memory=2**28)
BODY = "\n    dx = dy @ weight.T\n"
MISCHIEF = {  # What it does in backward, and what is said of it.
    "while True: pass": "does not end within 1 s",
    "import time; time.sleep(60)": "does not end within 1 s",
    "import os; os.fork()": "calls os.fork",
    "import subprocess; subprocess.run(['true'])": "calls subprocess.Popen",
    "import _posixsubprocess as p; p.fork_exec()": "starts a process",
    "import multiprocessing as m; m.Process(target=print).start()": "",
    "[print('x' * 1000) for _ in range(10**6)]": "prints more than 1024 KiB",
    "print('x' * 10**9)": "needs more than 256 MiB",
    "x = bytearray(2**32)": "needs more than 256 MiB",
    f"open({reference.__file__!r})": "reads the grader's files",
    f"open({str(Path(__file__))!r})": "reads the grader's files",
    "import os; os.listdir('/')": "looks through folders",
    "open('/etc/passwd')": "opens a file: passwd",
    "open('/proc/self/mem', 'rb')": "opens a file: mem",
    "open('answers', 'w')": "opens a file: answers",
    "import reference": "imports reference",
    "from purefw.layers.linear import linear": "imports purefw",
    "import torch": "imports torch",
    "np.add = None": "replaces numpy.add",
    "np.linalg.norm = None": "replaces numpy.linalg.norm",
    "import builtins; builtins.sum = None": "replaces builtins.sum",
    "import ctypes; ctypes.CDLL(None)": "calls ctypes.dlopen",
    "import socket; socket.socket()": "calls socket",
    "import os; os.kill(os.getppid(), 9)": "calls os.kill",
    "import os; os._exit(0)": "ends the process",
    "import os, sys; os.write(int(sys.argv[1]), b'x' * 9)": "returns more than 64",
}


@pytest.mark.parametrize("what", MISCHIEF)
def test_mischief_gets_nothing(what):
    source = "import numpy as np\n" + solution("linear")
    assert BODY in source
    start = time.monotonic()
    found = graded("linear", source.replace(BODY, f"\n    {what}{BODY}"), limits=SHORT)
    assert found.points == 0 and MISCHIEF[what] in found.refused, found.refused
    assert found.refused and "not judged: the submission" in str(found)
    assert time.monotonic() - start < 30


@pytest.mark.parametrize("what", ["while True: pass", "import reference"])
def test_mischief_while_it_is_loaded_gets_nothing(what):
    found = graded("linear", f"{what}\n{solution('linear')}", limits=SHORT)
    assert found.points == 0 and found.refused


def test_a_file_that_does_not_run_says_where():
    found = graded("linear", "x = 1\nx = 1 / 0\n")
    assert found.refused == "does not run: line 2: ZeroDivisionError: division by zero"
    assert "SyntaxError" in graded("linear", "def f(:").refused


def test_a_call_that_jax_refuses_is_no_mischief():
    source = solution("tanh").replace("return (1 - y**2)", "return jnp.ones(2) @ y[:1]")
    found = graded("tanh", source)
    assert not found.refused and found.mark("forward").is_full
    assert found.mark("dx").said.startswith("line 13: TypeError: ")


@pytest.mark.parametrize(
    "old,new,said",
    [
        ("return dx, dweight, dbias", "return dx", "must return (dx, dweight, dbias)"),
        ("dbias = dy.sum(axis=0)", "dbias = None", "dbias must be an array of numbers"),
        ("dbias = dy.sum(axis=0)", "dbias = dy.sum()", "dbias must have shape"),
        ("dbias = dy.sum(axis=0)", "dy[0] = 0", "line 12: ValueError: assignment"),
        ("dbias = dy.sum(axis=0)", "raise KeyError(1)", "line 12: KeyError: 1"),
    ],
)
def test_what_is_no_gradient_is_said_and_does_not_stop_the_rest(old, new, said):
    source = solution("linear")
    assert old in source
    found = graded("linear", source.replace(old, new))
    assert said in found.marks[-1].said, found
    assert found.mark("forward").is_full and not found.refused


@pytest.mark.slow
def test_a_derivative_of_jax_is_refused():
    source = solution("tanh").replace(
        "return (1 - y**2)", "return jax.grad(jnp.sum)(y)"
    )
    found = graded("tanh", "import jax\n" + source)
    assert "to be derived by hand" in found.mark("dx").said


def test_answers_that_change_from_call_to_call_are_wrong():
    source = "import numpy as np\nR = np.random.default_rng()\n" + solution("linear")
    noisy = "1e6 * R.standard_normal(dy.shape[1:])"
    found = graded("linear", source.replace("dy.sum(axis=0)", noisy))
    assert found.mark("dbias").points == 0


@pytest.mark.parametrize("claim", [["float64", [10**9]], ["object", [1]], ["f", [-1]]])
def test_a_message_that_claims_too_much_is_refused(claim):
    body = packed({})[4:].replace(b"[]", b'[["%s", %s]]' % (
        claim[0].encode(), str(claim[1]).encode()))  # fmt: skip
    size = len(body) - 4
    with pytest.raises(ValueError, match="wire: "):
        unpacked(size.to_bytes(4, "big") + body[4:])
