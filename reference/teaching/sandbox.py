"""The grader's side of the learner's process: calls go in, arrays come out.

Whatever the submission does, the grader goes on: a process that is late, dead or
refused raises Refused with the reason, and its whole process group is killed.
"""

import importlib.util
import os
import select
import signal
import site
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from reference.teaching.wire import packed, unpacked

CHILD = Path(__file__).with_name("child.py")
LARGEST = 2**26  # Bytes of one answer.
PATIENCE = 3.0  # Waiting may take so many times the processor's share.
START = 60.0  # Seconds that Python, NumPy and JAX may take to load.


class Refused(Exception):
    """The submission gets nothing, and why: "never ends", "imports purefw"."""


class Raised(Exception):
    """A call raised, or returned what is no answer; `unwritten` if it is a blank."""

    def __init__(self, said: str, unwritten: bool = False):
        """Keep what is shown to the learner."""
        super().__init__(said)
        self.unwritten = unwritten


@dataclass(frozen=True)
class Limits:
    """What a submission may use.

    Attributes:
        seconds: Of processor over all calls; three times as long in waiting.
        memory: Bytes beside what Python and its packages take.
        output: Bytes printed.
    """

    seconds: float = 20.0
    memory: int = 2**30
    output: int = 2**20

    def as_json(self) -> dict[str, Any]:
        """For the child."""
        return {"seconds": self.seconds, "memory": self.memory, "output": self.output}


class Sandbox:
    """A submission in its process; a context manager."""

    def __init__(self, source: str, file: str, limits: Limits):
        """Keep what is needed; `__enter__` starts the process.

        Args:
            source: The submission's text.
            file: Its name, for messages.
            limits: What it may use.
        """
        self.source, self.file, self.limits = source, file, limits
        self.waited = 0.0

    def __enter__(self) -> "Sandbox":
        """Start the process and run the file.

        Raises:
            Refused: it does what it may not.
            Raised: the file itself raises.
        """
        self._folder = tempfile.TemporaryDirectory()
        self._printed = tempfile.TemporaryFile()
        reading, writing = os.pipe()
        self._answers = reading
        self._process = subprocess.Popen(
            [sys.executable, "-I", str(CHILD), str(writing)],
            stdin=subprocess.PIPE,
            stdout=self._printed,
            stderr=self._printed,
            pass_fds=(writing,),
            cwd=self._folder.name,
            env=environment(self._folder.name),
            start_new_session=True,
        )
        os.close(writing)
        try:
            self._send(
                {
                    "source": self.source,
                    "file": self.file,
                    "jax": uses_jax(self.source),
                    "secret": secret(),
                    "readable": readable(),
                    "limits": self.limits.as_json(),
                }
            )
            self._answer(START)
            self._answer(PATIENCE * self.limits.seconds)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: Any) -> None:
        """Kill it."""
        self.close()

    def another(self) -> "Sandbox":
        """The same submission in a process of its own, not started yet."""
        return Sandbox(self.source, self.file, self.limits)

    def close(self) -> None:
        """Kill the process and all that it may have started."""
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._process.wait()
        if self._process.stdin is not None:
            try:
                self._process.stdin.close()
            except BrokenPipeError:
                pass
        os.close(self._answers)
        self._printed.close()
        self._folder.cleanup()

    def call(
        self,
        name: str,
        args: Sequence[Any],
        wanted: list,
        options: Mapping[str, Any],
    ) -> list[np.ndarray | str]:
        """What a function returns.

        Args:
            name: Of the function.
            args: Arrays, and tuples of arrays.
            wanted: Names of what it returns; a list of names stands for a tuple.
            options: Keyword arguments that JSON can hold.

        Returns:
            For each name an array, or a sentence about why there is none.

        Raises:
            Raised, Refused.
        """
        arrays, groups = [], []
        for arg in args:
            is_group = isinstance(arg, (tuple, list))
            groups.append(len(arg) if is_group else None)
            arrays += list(arg) if is_group else [arg]
        request = {
            "call": name,
            "groups": groups,
            "wanted": wanted,
            "options": dict(options),
            "file": self.file,
        }
        self._send(request, [np.asarray(a) for a in arrays])
        left = PATIENCE * self.limits.seconds - self.waited
        start = time.monotonic()
        header, found = self._answer(left)
        self.waited += time.monotonic() - start
        return _with_sentences(header, found, wanted)

    def _send(self, header: dict, arrays: Sequence[np.ndarray] = ()) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(packed(header, arrays))
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # The answer says why.

    def _answer(self, seconds: float) -> tuple[dict, list[np.ndarray]]:
        deadline = time.monotonic() + seconds
        size = int.from_bytes(self._read(4, deadline), "big")
        if size > LARGEST:
            raise Refused(f"returns more than {LARGEST >> 20} MiB")
        try:
            header, arrays = unpacked(self._read(size, deadline))
        except (ValueError, TypeError, KeyError, OverflowError) as error:
            raise Refused("writes into the grader's pipe") from error
        if self._has_printed_too_much():
            raise Refused(f"prints more than {self.limits.output >> 10} KiB")
        if "refused" in header:
            raise Refused(str(header["refused"])[:200])
        if "raised" in header:
            said = str(header["raised"])[:300]
            if "MemoryError" in said:
                raise Refused(f"needs more than {self.limits.memory >> 20} MiB")
            raise Raised(said, bool(header.get("unwritten")))
        return header, arrays

    def _read(self, count: int, deadline: float) -> bytes:
        parts = b""
        while len(parts) < count:
            left = deadline - time.monotonic()
            ready = select.select([self._answers], [], [], max(left, 0))[0]
            if not ready:
                raise Refused(f"does not end within {self.limits.seconds:g} s")
            part = os.read(self._answers, min(count - len(parts), 2**16))
            if not part:
                raise Refused(self._death())
            parts += part
        return parts

    def _death(self) -> str:
        """Why the process is gone."""
        try:
            code = self._process.wait(5)
        except subprocess.TimeoutExpired:
            code = 0
        if self._has_printed_too_much():
            return f"prints more than {self.limits.output >> 10} KiB"
        if code in (-signal.SIGXCPU, -signal.SIGKILL):
            return f"does not end within {self.limits.seconds:g} s"
        return f"ends the process (exit code {code})"

    def _has_printed_too_much(self) -> bool:
        return os.fstat(self._printed.fileno()).st_size >= self.limits.output


def _with_sentences(header: dict, found: list, wanted: list) -> list:
    said, names = header.get("said"), len(list(flat(wanted)))
    if not isinstance(said, list) or len(said) != names:
        raise Refused("writes into the grader's pipe")
    if sum(s is None for s in said) != len(found):
        raise Refused("writes into the grader's pipe")
    arrays = iter(found)
    return [next(arrays) if s is None else str(s)[:200] for s in said]


def flat(names: Any) -> list[str]:
    """The names in a nested list, in order."""
    if isinstance(names, str):
        return [names]
    return [n for part in names for n in flat(part)]


def uses_jax(source: str) -> bool:
    """Whether it computes with jax.numpy: then it is given JAX's arrays."""
    lines = [line.split() for line in source.splitlines()]
    heads = {w[1].partition(".")[0] for w in lines if w[:1] in (["import"], ["from"])}
    return "jax" in heads


def environment(folder: str) -> dict[str, str]:
    """Nothing of the grader's own but what finds the libraries."""
    return {
        "PATH": os.defpath,
        "HOME": folder,
        "TMPDIR": folder,
        "LC_ALL": "C.UTF-8",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "JAX_PLATFORMS": "cpu",
        "JAX_ENABLE_X64": "1",
        "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
    }


def readable() -> list[str]:
    """Where Python and its packages are."""
    paths = sysconfig.get_paths()
    found = [paths["stdlib"], paths["platstdlib"], paths["purelib"], paths["platlib"]]
    found += site.getsitepackages()
    return sorted({os.path.realpath(p) for p in found})


def secret() -> list[str]:
    """Where the grader and the library are."""
    found = []
    for name in ("purefw", "reference"):
        spec = importlib.util.find_spec(name)
        if spec is not None:
            found += list(spec.submodule_search_locations or ())
    here = Path(__file__).parents[2]
    found += [str(here / "tests"), str(here / "docs")]
    return sorted({os.path.realpath(p) for p in found})
