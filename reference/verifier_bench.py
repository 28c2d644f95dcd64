"""How fast the verifier is: `python -m reference.verifier_bench`.

Four figures, each in a process of its own where memory is measured:

    first    seconds to judge a registered rule, compilation included, in the median
    again    the same at the same shapes once more
    passes   backward and reference passes for a backward with a million outputs
    memory   peak resident size for a backward with ten million parameters
"""

import resource
import subprocess
import sys
import time
import zlib

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from reference.check import check_rule, check_vjp
from reference.registry import RULES

MILLION = 1_000_000
TEN_MILLION = (2_500, 4_000)


def rule_times() -> tuple[list[float], list[float]]:
    """Seconds for the first and the second check of each rule's typical input."""
    first, again = [], []
    for name, entry in track(RULES.items(), description="rules"):
        key = jax.random.key(zlib.crc32(name.encode()))
        x = next(iter(entry.inputs.values()))(key)
        params = entry.draw_params(jax.random.fold_in(key, 1))
        for times in (first, again):
            start = time.perf_counter()
            check_rule(entry.rule, x, params=params)
            times.append(time.perf_counter() - start)
    return first, again


def sine_forward(x):
    """Entry by entry, so that there are as many outputs as inputs."""
    return jnp.sin(x), x


def sine_backward(x, dy):
    """The derivative of sine_forward."""
    return (jnp.cos(x) * dy,)


def linear_forward(x, weight):
    """A vector times a matrix."""
    return x @ weight, (x, weight)


def linear_backward(residuals, dy):
    """The derivative of linear_forward."""
    x, weight = residuals
    return dy @ weight.T, x.T @ dy


def million_outputs() -> tuple[int, int, float]:
    """Backward passes, reference passes and seconds."""
    x = np.random.default_rng([1, 2]).standard_normal(MILLION).astype(np.float32)
    report = check_vjp(sine_forward, sine_backward, x)
    return report.hand_passes, report.reference_passes, report.seconds


def ten_million_parameters() -> tuple[float, float]:
    """Peak memory in GB and seconds."""
    rng = np.random.default_rng([1, 3])
    weight = rng.standard_normal(TEN_MILLION).astype(np.float32)
    x = rng.standard_normal((2, TEN_MILLION[0])).astype(np.float32)
    report = check_vjp(linear_forward, linear_backward, x, weight)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return peak, report.seconds


def main() -> None:
    """Print the figures as a table."""
    if sys.argv[1:] == ["memory"]:
        print(*ten_million_parameters())
        return
    first, again = rule_times()
    hand, truth, seconds = million_outputs()
    module = [sys.executable, "-m", "reference.verifier_bench", "memory"]
    output = subprocess.run(module, capture_output=True, text=True, check=True).stdout
    peak, large = map(float, output.split()[-2:])
    table = Table("what", "figure", "limit")
    table.add_row("a rule, first, median", f"{np.median(first):.2f} s", "2 s")
    table.add_row("a rule, again, median", f"{np.median(again):.3f} s", "0.2 s")
    table.add_row("a million outputs: backward passes", f"{hand}", "60")
    table.add_row("a million outputs: reference passes", f"{truth}", "300")
    table.add_row("a million outputs", f"{seconds:.1f} s", "")
    table.add_row("ten million parameters: memory", f"{peak:.2f} GB", "4 GB")
    table.add_row("ten million parameters", f"{large:.1f} s", "")
    Console().print(table)


if __name__ == "__main__":
    main()
