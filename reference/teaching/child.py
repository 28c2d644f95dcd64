"""The learner's process: runs the submission, answers calls, knows no answer.

Started by reference.teaching.sandbox as `python -I child.py` in an empty folder; it
sets its own limits on time, memory and output before it runs the submission. It gets
the source through a pipe, never a truth or a seed. What the submission may not do ends
the process with the reason:

    imports     NumPy, jax.numpy and the standard library alone
    files       those of Python and its packages, to be read; none of the grader's
    processes   none; no network, no signals, no native code
    derivatives none of JAX's
    NumPy       as it was: replaced functions are looked for after every call

An audit hook cannot be taken out of a Python process again, but it is no wall against
native code: what keeps the marks honest is that the answers are elsewhere.
"""

import importlib
import os
import resource
import sys
import types
from collections.abc import Callable
from typing import Any

FORBIDDEN = (
    "subprocess.", "os.fork", "os.exec", "os.posix_spawn", "os.system", "os.spawn",
    "os.kill", "os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link",
    "os.symlink", "os.truncate", "os.chmod", "os.chown", "os.putenv", "pty.",
    "socket.", "shutil.", "signal.", "ctypes.", "sqlite3.", "ftplib.", "urllib.",
    "http.", "webbrowser.", "resource.setrlimit", "syslog.", "sys.addaudithook",
    "sys.setprofile", "sys.settrace", "gc.get", "cpython.run_",
)  # fmt: skip
LISTING = ("os.listdir", "os.scandir", "os.chdir", "glob.")
DERIVATIVES = (
    "grad", "value_and_grad", "vjp", "jvp", "linearize", "linear_transpose", "jacfwd",
    "jacrev", "jacobian", "hessian", "custom_vjp", "custom_jvp", "checkpoint",
)  # fmt: skip
PACKAGES = {"numpy", "jax", "jaxlib", "scipy", "ml_dtypes", "opt_einsum"}


def main() -> None:
    """Serve calls until the pipe closes."""
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    wire = importlib.import_module("wire")
    channel = os.fdopen(os.dup(0), "rb"), os.fdopen(int(sys.argv[1]), "wb")
    devnull = os.open(os.devnull, os.O_RDONLY)
    os.dup2(devnull, 0)
    sys.path.pop(0)
    header, _ = receive(wire, channel[0])
    uses_jax = header["jax"]
    if uses_jax:
        warm_up()
    limit(header["limits"], uses_jax)

    def answer(said: dict, arrays: list | tuple = ()) -> None:
        channel[1].write(wire.packed(said, arrays))
        channel[1].flush()

    def refuse(reason: str) -> None:
        answer({"refused": reason})
        os._exit(3)

    answer({"started": True})
    seen = snapshot()
    sys.modules.pop("subprocess", None)
    # The one way to fork that raises no audit event.
    module = importlib.import_module("_posixsubprocess")
    vars(module)["fork_exec"] = lambda *_: refuse("starts a process")
    sys.addaudithook(guard(refuse, header))
    space: dict[str, Any] = {"__name__": "submission", "__builtins__": __builtins__}
    answer(run_source(header["source"], header["file"], space))
    check(seen, refuse)
    while True:
        request, arrays = receive(wire, channel[0])
        if request is None:
            return
        said, found = call(space, request, arrays, uses_jax)
        check(seen, refuse)
        answer(said, found)


def receive(wire: Any, pipe: Any) -> tuple[Any, list]:
    """The next message, or (None, [])."""
    size = pipe.read(4)
    if len(size) < 4:
        return None, []
    return wire.unpacked(pipe.read(int.from_bytes(size, "big")))


def limit(limits: dict, uses_jax: bool) -> None:
    """Time, memory and output from here on; no threads and processes beside JAX's."""
    with open("/proc/self/statm") as pages:
        used = int(pages.read().split()[0]) * resource.getpagesize()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(usage.ru_utime + usage.ru_stime + limits["seconds"]) + 1
    wanted = {
        resource.RLIMIT_AS: used + limits["memory"],
        resource.RLIMIT_CPU: seconds,
        resource.RLIMIT_FSIZE: limits["output"],
        resource.RLIMIT_CORE: 0,
    }
    if not uses_jax:
        wanted[resource.RLIMIT_NPROC] = 0
    for which, value in wanted.items():
        resource.setrlimit(which, (value, value))


def warm_up() -> None:
    """Load what JAX loads at its first operation; refuse its derivatives."""
    jax = importlib.import_module("jax")
    numpy = importlib.import_module("jax.numpy")
    for f in (numpy.exp, numpy.sum, numpy.cumsum):
        f(numpy.ones((2, 2))).block_until_ready()
    (numpy.ones((2, 3)) @ numpy.ones((3, 2))).at[0].add(1.0).block_until_ready()

    def refused(*_: Any, **__: Any) -> Any:
        raise RuntimeError("the derivative is to be derived by hand")

    for name in DERIVATIVES:
        setattr(jax, name, refused)


def guard(refuse: Callable, header: dict) -> Callable:
    """The audit hook."""
    standard = sys.stdlib_module_names
    secret, readable, file = header["secret"], header["readable"], header["file"]
    real = os.path.realpath
    busy = []

    def within(path: Any, roots: list[str]) -> bool:
        place = real(os.fsdecode(path))
        return any(place == r or place.startswith(r + os.sep) for r in roots)

    def look(event: str, args: tuple) -> None:
        if event == "open":
            path, mode = args[0], args[1]
            # A traceback looks for the submission by name, which is not there, and
            # for the lines of this file.
            if isinstance(path, int) or path in (file, __file__):
                return
            if within(path, secret):
                refuse("reads the grader's files")
            if not within(path, readable) or (mode and set(mode) & set("wax+")):
                refuse(f"opens a file: {os.path.basename(os.fsdecode(path))}")
        elif event == "import":
            root = args[0].partition(".")[0]
            if root in ("purefw", "reference"):
                refuse(f"imports {root}")
            if root not in standard and root not in PACKAGES and not hidden(root):
                refuse(
                    f"imports {root}: NumPy, jax.numpy and the standard library only"
                )
        elif event.startswith(LISTING):
            if args and args[0] is not None and not within(args[0], readable):
                refuse("looks through folders")
        elif event.startswith(FORBIDDEN):
            refuse(f"calls {event}")

    def hook(event: str, args: tuple) -> None:
        if busy:
            return
        busy.append(event)
        try:
            look(event, args)
        finally:
            busy.pop()

    return hook


def hidden(root: str) -> bool:
    """Whether a package itself asks for it: an optional part that is not installed."""
    frame = sys._getframe()
    while frame is not None:
        if frame.f_globals.get("__name__") == "submission":
            return False
        if frame.f_globals.get("__name__", "").partition(".")[0] in PACKAGES:
            return True
        frame = frame.f_back
    return True


def snapshot() -> dict[str, tuple[Any, dict]]:
    """Every public name of the modules that a submission computes with."""
    names = ["builtins", "math", "numpy", "numpy.linalg", "numpy.random"]
    names += ["jax", "jax.numpy", "jax.lax"] if "jax" in sys.modules else []
    modules = {name: importlib.import_module(name) for name in names}
    return {
        name: (module, {k: v for k, v in vars(module).items() if callable(v)})
        for name, module in modules.items()
    }


def check(seen: dict, refuse: Callable) -> None:
    """Refuse a submission that replaced a function."""
    for name, (module, before) in seen.items():
        now = vars(module)
        for key, value in before.items():
            if now.get(key) is not value:
                refuse(f"replaces {name}.{key}")


def run_source(source: str, file: str, space: dict) -> dict:
    """Run the file once."""
    try:
        exec(compile(source, file, "exec"), space)
    except BaseException as error:
        return {"raised": described(error, file)}
    return {"ready": True}


def call(space: dict, request: dict, arrays: list, uses_jax: bool) -> tuple[dict, list]:
    """One call of one function, and what came of it."""
    f = space.get(request["call"])
    if not callable(f):
        return {"raised": f"the file must define {request['call']}"}, []
    for a in arrays:
        a.flags.writeable = False
    as_given = [a if a.ndim else a[()] for a in arrays]
    if uses_jax:
        as_given = [sys.modules["jax.numpy"].asarray(a) for a in arrays]
    args = grouped(as_given, request["groups"])
    try:
        return flattened(f(*args, **request["options"]), request["wanted"])
    except NotImplementedError:
        return {
            "raised": f"{request['call']} is not written yet",
            "unwritten": True,
        }, []
    except BaseException as error:
        return {"raised": described(error, request["file"])}, []


def grouped(arrays: list, groups: list) -> list:
    """The arguments: an array for each None, a tuple for each number."""
    rest = iter(arrays)
    return [
        next(rest) if size is None else tuple(next(rest) for _ in range(size))
        for size in groups
    ]


def flattened(found: Any, wanted: list) -> tuple[dict, list]:
    """The arrays in what a function returned, or for each what is wrong with it.

    Args:
        found: What it returned.
        wanted: ["y", ["xhat", "s"]]: names, and lists of names for tuples.
    """
    said: list = []
    arrays: list = []

    def take(value: Any, name: Any) -> None:
        if not isinstance(name, list):
            return take_array(value, name)
        if len(name) == 1 and not isinstance(value, (tuple, list)):
            value = (value,)
        if not isinstance(value, (tuple, list)) or len(value) != len(name):
            got = len(value) if isinstance(value, (tuple, list)) else _kind(value)
            raise TypeError(f"must return {_shown(name)}, got {got}")
        for v, n in zip(value, name):
            take(v, n)

    def take_array(value: Any, name: str) -> None:
        numpy = sys.modules["numpy"]
        try:
            array = numpy.asarray(value)
        except Exception:
            array = numpy.asarray(None)
        if array.dtype.kind not in "fiub":
            said.append(f"{name} must be an array of numbers, got {_kind(value)}")
            return
        said.append(None)
        kind = {"f": "float64", "i": "int64", "u": "int64", "b": "bool"}
        arrays.append(array.astype(kind[array.dtype.kind]))

    try:
        take(found, wanted)
    except TypeError as error:
        return {"raised": str(error)}, []
    return {"said": said}, arrays


def _shown(names: list) -> str:
    inner = [_shown(n) if isinstance(n, list) else n for n in names]
    return "(" + ", ".join(inner) + ")"


def _kind(value: Any) -> str:
    return type(value).__name__


def described(error: BaseException, file: str) -> str:
    """The exception and the submission's line."""
    line, trace = None, error.__traceback__
    while isinstance(trace, types.TracebackType):
        if trace.tb_frame.f_code.co_filename == file:
            line = trace.tb_lineno
        trace = trace.tb_next
    first = (str(error).splitlines() or ["no message"])[0][:200]
    return f"{f'line {line}: ' if line else ''}{type(error).__name__}: {first}"


if __name__ == "__main__":
    main()
