"""One operand of the hand's program replaced: a repair by substitution at one place.

Replacing a residual everywhere (reference.diagnosis.residuals) spoils the leaves and
terms that use it rightly. Here the backward's jaxpr is run with the operand of a single
equation, or of all turns of one line of a loop, replaced by b:

    another residual, an argument or y; the square, the exponential, the inverse ... of
    what stands there; if that is a residual, it times or over another value, or itself
    transposed, reversed, shifted to another step
"""

from collections.abc import Callable, Iterator
from itertools import islice

import numpy as np

from reference.diagnosis.hypothesis import Hypothesis
from reference.diagnosis.known_arrays import FUNCTIONS, values
from reference.diagnosis.near import near
from reference.diagnosis.operand_program import (
    CHUNK,
    Uses,
    lines_of,
    same_uses,
    uses_of,
)
from reference.diagnosis.residuals import MORE, combined, moved, with_aliases
from reference.diagnosis.scene import Scene, Stage

CALLS = 6000  # Replacements that are tried.


def operands(stage: Stage, i: int) -> Iterator[Hypothesis]:
    """Replacements that make leaf `i` right and spoil no other."""
    uses = uses_of(stage)
    if uses is None:
        return
    home = stage.home
    for which, text, make, fixed in tried(home, uses):
        if not near(fixed[i], home.truth[i]) or not spoils_none(home, fixed, i):
            continue

        def sides(s: Scene, which=which, make=make) -> tuple:
            there = uses_of(s.stage)
            return there.replaced(s, same_uses(uses, which, there), make(s))[
                i
            ], s.truth[i]

        use = uses.all[which[0]]
        was = f"its operand {use.place[1] + 1}"
        if use.residual is not None:
            was = stage.residual_names[use.residual]
        text = with_aliases(home, text)
        place = f" in `{use.code}` ({use.source})" if use.source else ""
        yield Hypothesis(
            f"residual: {was} should be {text} {use.source}".rstrip(),
            "C9",
            f"`{use.primitive}`{place} takes {was} where {text} belongs",
            sides,
            source=use.source,
        )


def tried(home: Scene, uses: Uses) -> Iterator[tuple]:
    """Every option with the cotangents that it gives."""
    fitting = islice(made(home, uses), CALLS)
    while chunk := list(islice(fitting, CHUNK)):
        fixed = uses.each(home, [(which, new) for which, _, _, new in chunk])
        for n, (which, text, make, _) in enumerate(chunk):
            yield which, text, make, [v[n] for v in fixed]


def made(home: Scene, uses: Uses) -> Iterator[tuple]:
    """Every option with its b, where that has the operand's shape."""
    for which, text, make in options(home, uses):
        try:
            with np.errstate(all="ignore"):
                new = make(home)
        except (TypeError, ValueError):
            continue
        if new.shape == uses.all[which[0]].shape:
            yield which, text, make, new


def spoils_none(home: Scene, fixed: list, i: int) -> bool:
    """Whether every leaf that was right still is."""
    rest = (j for j in range(len(fixed)) if j != i and not home.is_wrong(j))
    return all(near(fixed[j], home.truth[j]) for j in rest)


def options(home: Scene, uses: Uses) -> Iterator[tuple[tuple, str, Callable]]:
    """(operands, name of b, b), single operands first, then whole lines."""
    groups = [(k,) for k in range(len(uses.all))] + lines_of(uses)
    names = home.stage.residual_names
    for which in groups:
        use = uses.all[which[0]]
        for name, v in values(home).items():
            same = use.residual is not None and name == names[use.residual]
            if v.shape == use.shape and v.dtype.kind == "f" and not same:
                yield which, name, lambda s, n=name: values(s)[n]
    for u, value in enumerate(uses.values(home)):
        if value is None:
            continue
        for text, f in {**FUNCTIONS, **MORE}.items():
            if text != "{}":
                name = text.replace("{}", "v") + " of that operand v"

                def make(s: Scene, u=u, f=f) -> np.ndarray:
                    there = uses_of(s.stage)
                    return f(there.values(s)[same_uses(uses, (u,), there)[0]])

                yield (u,), name, make
    for which in groups:
        k = uses.all[which[0]].residual
        if k is not None:
            v = home.run.residuals[k]
            for _, name, _, make in [*moved(home, k, v), *combined(home, k, v)]:
                yield which, name, make
