"""What this machine can do at most: a matrix product, and a copy.

A copy is counted as bytes read plus bytes written. Both are the best of some runs, so
that noise can only lower them.
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from reference.bench.measure import seconds

SIDE = 2048
ENTRIES = 1 << 25
RUNS = 7
CALLS = 5


@dataclass(frozen=True)
class Ceilings:
    """Operations and bytes a second.

    Attributes:
        gigaflops: Of a product of two square matrices of SIDE rows in float32.
        gigabytes: Of a copy of ENTRIES floats, read and written.
    """

    gigaflops: float
    gigabytes: float


def ceilings(device: Any) -> Ceilings:
    """Measured now."""
    with jax.default_device(device):
        a = jax.random.normal(jax.random.key(0), (SIDE, SIDE))
        v = jnp.ones(ENTRIES)
        product, copy = jax.jit(jnp.matmul), jax.jit(jnp.negative)
        jax.block_until_ready((product(a, a), copy(v)))
        product_s = min(seconds(product, (a, a), CALLS) for _ in range(RUNS))
        copy_s = min(seconds(copy, (v,), CALLS) for _ in range(RUNS))
    return Ceilings(2 * SIDE**3 / product_s / 1e9, 8 * ENTRIES / copy_s / 1e9)
