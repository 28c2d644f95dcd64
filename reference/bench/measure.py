"""What a case costs: time by interleaved rounds, the rest from the compiled programs.

    (1)  q_r    = time of the program by hand / time by autodiff     in round r
    (2)  ratio  = median_r q_r
    (3)  spread = (q_(u) - q_(l)) / ratio     l, u = 1/2 ∓ 0.98/√R of the sorted q

(3) is the width of an interval that holds the true median in 19 runs of 20, however the
rounds are distributed: how many of them lie below it is a matter of R fair coins. In
every round each program runs often enough to fill TARGET seconds, the two taking turns
at who goes first, so that what disturbs one disturbs the other. Rounds go on until the
spread is at most STEADY; a ratio whose spread exceeds it after MORE times as many is no
measurement, and the row says so. Temporary memory, operations and bytes are the
compiler's own numbers: they
repeat exactly.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from reference.bench.case import Case, cast, floats

ROUNDS = 11
MORE = 18
TARGET = 0.02
STEADY = 0.1
NOTHING = 1e-9  # A leaf this small beside the others is zero, but for rounding.


@dataclass(frozen=True)
class Program:
    """One side of a case.

    Attributes:
        milliseconds: Of one call, the median.
        temporary: Bytes besides arguments and results.
        flops: Operations.
        bytes: Read and written, were every fused loop to go to memory.
        compile_seconds: Tracing and compiling, without a cache.
    """

    milliseconds: float
    temporary: int
    flops: float
    bytes: float
    compile_seconds: float


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        name: Of the case.
        kind: "rule", "loss" or "network".
        shapes: Of what it reads.
        hand: The program by hand.
        auto: The program by autodiff.
        ratio: Equation (2).
        spread: Equation (3).
        rounding: The largest over all results of our error by autodiff's, or by half a
            rounding where that is more.
    """

    name: str
    kind: str
    shapes: str
    hand: Program
    auto: Program
    ratio: float
    spread: float
    rounding: float

    @property
    def steady(self) -> bool:
        """Whether the rounds agree on the ratio."""
        return self.spread <= STEADY


def measure(name: str, case: Case, dtype: Any, device: Any, rounds: int) -> Row:
    """Compile both programs, time them and compare their digits."""
    with jax.default_device(device):
        args = jax.device_put(cast(case.draw(jax.random.key(0)), dtype), device)
        (hand, hand_cost), (auto, auto_cost) = (
            compiled(f, args) for f in (case.hand, case.auto)
        )
        times = timed(hand, auto, args, rounds)
        rounding = rounding_ratio(case, hand, auto, args, dtype)
    ratios = times[:, 0] / times[:, 1]
    (hand_ms, auto_ms), ratio = 1e3 * np.median(times, axis=0), float(np.median(ratios))
    return Row(
        name,
        case.kind,
        shapes(args[1] if case.kind != "loss" else args[0]),
        Program(float(hand_ms), **hand_cost),
        Program(float(auto_ms), **auto_cost),
        ratio,
        spread(ratios),
        rounding,
    )


def compiled(f: Callable, args: tuple) -> tuple[Callable, dict]:
    """The executable, and what there is to know of it without running it."""
    start = time.perf_counter()
    program = jax.jit(f).lower(*args).compile()
    seconds = time.perf_counter() - start
    cost = program.cost_analysis()
    return program, {
        "temporary": int(program.memory_analysis().temp_size_in_bytes),
        "flops": float(cost.get("flops", 0)),
        "bytes": float(cost.get("bytes accessed", 0)),
        "compile_seconds": seconds,
    }


def timed(hand: Callable, auto: Callable, args: tuple, rounds: int) -> np.ndarray:
    """Seconds a call, one row a round: by hand and by autodiff."""
    calls = [calls_to_fill(f, args) for f in (hand, auto)]
    times = np.empty((0, 2))
    for _ in range(MORE):
        more = [one_round(hand, auto, args, calls, r % 2 == 1) for r in range(rounds)]
        times = np.concatenate([times, more])
        if spread(times[:, 0] / times[:, 1]) <= STEADY:
            break
    return times


def one_round(hand, auto, args, calls, swapped: bool) -> tuple[float, float]:
    """Both programs once, the one by autodiff first where `swapped`."""
    first, second = (partial(seconds, f, args, n) for f, n in zip((hand, auto), calls))
    if swapped:
        theirs = second()
        return first(), theirs
    return first(), second()


def calls_to_fill(f: Callable, args: tuple) -> int:
    """How many calls take TARGET seconds; it also warms up."""
    jax.block_until_ready(f(*args))
    return max(1, round(TARGET / seconds(f, args, 2)))


def seconds(f: Callable, args: tuple, calls: int) -> float:
    """Seconds a call, on average over some.

    A CPU is given one call at a time; an accelerator has them queued, as steps of a
    training are, or the time of a launch would be all that is seen.
    """
    (device, *_) = jax.tree.leaves(args)[0].devices()
    start = time.perf_counter()
    for _ in range(calls):
        results = f(*args)
        if device.platform == "cpu":
            jax.block_until_ready(results)
    jax.block_until_ready(results)
    return (time.perf_counter() - start) / calls


def spread(ratios: np.ndarray) -> float:
    """Equation (3)."""
    low, high = interval(ratios)
    return float((high - low) / np.median(ratios))


def interval(ratios: np.ndarray) -> np.ndarray:
    """q_(l) and q_(u) of (3)."""
    half = min(0.98 / len(ratios) ** 0.5, 0.5)
    return np.quantile(ratios, [0.5 - half, 0.5 + half])


def rounding_ratio(case: Case, hand, auto, args: tuple, dtype: Any) -> float:
    """The largest over the results of our largest error over the allowed one.

    Allowed is autodiff's largest error, or half a rounding of the largest entry. The
    truth is autodiff's in float64 at the same numbers.
    """
    with jax.enable_x64(True):
        truth = as_numpy(jax.jit(case.auto)(*cast(args, jnp.float64)))
    unit = float(jnp.finfo(dtype).eps) / 2
    sizes = [np.abs(v).max(initial=0) for v in truth]
    worst = 0.0
    for ours, theirs, true, size in zip(
        as_numpy(hand(*args)), as_numpy(auto(*args)), truth, sizes, strict=True
    ):
        if size > NOTHING * max(sizes):
            allowed = max(np.abs(theirs - true).max(), unit * size)
            error = np.nan_to_num(np.abs(ours - true).max() / allowed, nan=np.inf)
            worst = max(worst, float(error))
    return worst


def as_numpy(tree: Any) -> list[np.ndarray]:
    """The float leaves in float64."""
    return [np.asarray(v, np.float64) for v in floats(tree)]


def shapes(tree: Any) -> str:
    """The shapes of a tree's leaves: "4096×1024"."""
    return ", ".join("×".join(map(str, v.shape)) or "1" for v in jax.tree.leaves(tree))
