"""What a compiled program sends between devices: its collectives, counted.

The figures come from the text of the optimised program, so they repeat exactly.
"""

import re
from typing import NamedTuple

import jax

KINDS = "all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute"
CALL = re.compile(rf"= (?P<types>.*?) (?P<kind>{KINDS})(-start)?\(")
ARRAY = re.compile(r"\b(?P<dtype>pred|bf16|[fsuc]\d+)\[(?P<shape>[\d,]*)\]")


class Collective(NamedTuple):
    """One collective of a program.

    Attributes:
        kind: "all-reduce", "all-gather", "reduce-scatter", "all-to-all" or
            "collective-permute".
        arrays: dtype and shape of each array that a device has afterwards.
    """

    kind: str
    arrays: tuple[tuple[str, tuple[int, ...]], ...]

    @property
    def bytes(self) -> int:
        """Bytes of those arrays."""
        total = 0
        for dtype, shape in self.arrays:
            entries = 1
            for n in shape:
                entries *= n
            total += entries * width(dtype)
        return total


def width(dtype: str) -> int:
    """Bytes of an entry, from XLA's name of its dtype.

    Example:
        >>> width("bf16"), width("f32"), width("pred")
        (2, 4, 1)
    """
    return 1 if dtype == "pred" else int(re.sub(r"\D", "", dtype)) // 8


def collectives(compiled: jax.stages.Compiled) -> list[Collective]:
    """The collectives of a compiled program, in its order.

    Arrays of one entry, like the loss, are left out: they cost a message, not bytes.

    Example:
        >>> import jax.numpy as jnp
        >>> collectives(jax.jit(jnp.sin).lower(1.0).compile())
        []
    """
    found = []
    for line in compiled.as_text().splitlines():
        call = CALL.search(line)
        if call is None:
            continue
        arrays = tuple(
            (m["dtype"], tuple(int(n) for n in m["shape"].split(",") if n))
            for m in ARRAY.finditer(call["types"])
        )
        arrays = tuple(a for a in arrays if a[1] not in ((), (1,)))
        if arrays:
            found.append(Collective(call["kind"], arrays))
    return found
