"""One planted mistake, and the small language in which the files declare them.

A label is "kind: what", as reference.diagnosis writes it; a planted mistake lists the
labels that name it, written before the diagnosis was. A label fits where the kinds are
equal and every word of the planted `what` stands in the stated one. `@word` stands for
the line of its file that ends in the comment `# @word`.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import jax.numpy as jnp
import numpy as np

LATER = "planted later, developed on"
UNSEEN = "planted last, reported"
MISTAKES: dict[str, "Mistake"] = {}
RIGHT: dict[str, "Mistake"] = {}


@dataclass(frozen=True)
class Mistake:
    """A forward, a backward with a mistake in it, and what the mistake is.

    `labels` is empty for a backward that is right. `terms` is that of a Rule.
    """

    name: str
    classes: tuple[str, ...]
    labels: tuple[str, ...]
    forward: Callable
    backward: Callable
    args: Callable[[], tuple]
    terms: Callable | None = None
    traceable: bool = True
    planted: str = ""

    @property
    def group(self) -> str:
        """Which line of the summary it counts in.

        The first set was split by a hash before the diagnosis was written; the others
        say when they were planted.
        """
        if self.planted:
            return self.planted
        held = zlib.crc32(self.name.encode()) % 2 == 1
        return "reported" if held else "developed on"

    def named_by(self, label: str) -> bool:
        """Whether a stated label is one of the planted ones."""
        kind, _, what = label.partition(":")
        return any(
            kind == planted and all(word in what for word in words.split())
            for planted, _, words in (p.partition(":") for p in self.labels)
        )


class Planted:
    """Mistakes around one forward."""

    def __init__(
        self, name, file, forward, args, terms=None, traceable=True, planted=""
    ):
        self.name, self.forward, self.args = name, forward, args
        self.terms, self.traceable, self.planted = terms, traceable, planted
        lines = Path(file).read_text().splitlines()
        self.marks = {
            word[1:]: f"{Path(file).name}:{n}"
            for n, line in enumerate(lines, 1)
            for word in line.partition("#")[2].split()
            if word.startswith("@")
        }

    def wrong(self, label, classes, labels, backward=None, forward=None):
        """Plant `backward`, or the function that this decorates."""
        named = tuple(self._with_lines(v) for v in labels)

        def plant(f):
            self._add(MISTAKES, label, tuple(classes.split()), named, f, forward)
            return f

        return plant if backward is None else plant(backward)

    def right(self, label, backward, forward=None):
        self._add(RIGHT, label, (), (), backward, forward)

    def _add(self, where, label, classes, labels, backward, forward):
        name = f"{self.name}/{label}"
        if name in where:
            raise ValueError(f"mistakes: {name} must be declared once")
        where[name] = Mistake(
            name,
            classes,
            labels,
            forward or self.forward,
            backward,
            self.args,
            self.terms,
            self.traceable,
            self.planted,
        )

    def _with_lines(self, label):
        words = [
            self.marks[w[1:]] if w.startswith("@") else w for w in label.split(" ")
        ]
        return " ".join(words)


def normal(*shape, seed, scale=1.0, shift=0.0):
    """Normal float32 numbers from a seed of their own."""
    rng = np.random.default_rng([71, seed])
    return jnp.asarray(shift + scale * rng.standard_normal(shape), jnp.float32)


def whole(*shape, seed, below):
    """Integers from 0 to below - 1."""
    rng = np.random.default_rng([72, seed])
    return jnp.asarray(rng.integers(0, below, shape), jnp.int32)
