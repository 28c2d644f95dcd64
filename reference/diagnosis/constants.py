"""What a constant factor is: a law in the sizes, the forward's constants, the data.

One value says little: 0.2 is 1/5 of any axis of length 5. So a law is stated only if it
gives the measured factor at two sizes,

    (1)  c = k · a^p · b^q          k a small fraction, a and b of the list below
    (2)  c = a/(a - 1), (a - 1)/a, 1 - a, 1/(1 - a)

    lengths of the arguments' axes and of y's, sizes of the leaves,
    counts of what a boolean leaf or an integer leaf marks,
    float constants written in the forward: a temperature, a rate of dropout

Lengths that are equal at both sizes, as the features of x and of a scale are, give laws
between which nothing measured decides. The constant then bears all their names.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations

import jax
import numpy as np
from jax.tree_util import keystr

from reference.diagnosis.scene import Scene
from reference.verifier.problem import is_key

EXACT = 1e-9  # Of two values of one law.
FRACTIONS = [
    Fraction(a, b)
    for total in range(2, 9)
    for a in range(1, total)
    for b in (total - a,)
    if np.gcd(a, b) == 1
]
MULTIPLES = [Fraction(2), Fraction(1, 2), Fraction(3), Fraction(4)]
POWERS = (1.0, -1.0, 0.5, -0.5, 2.0, -2.0)

Law = tuple[str, float]


@dataclass(frozen=True)
class Constant:
    """A number with a name; the same for every scene, or what a law gives there.

    `same` are the laws that say the same of other arguments of equal lengths.
    """

    name: str
    fixed: float | None = None
    law: str = ""
    sign: float = 1.0
    same: tuple[str, ...] = ()

    @property
    def names(self) -> str:
        """The name, and in brackets the others."""
        return f"{self.name} (= {', '.join(self.same)})" if self.same else self.name

    def at(self, scene: Scene) -> float:
        """Its value at a scene."""
        if self.fixed is not None:
            return self.fixed
        return self.sign * scene.once("laws", lambda: dict(laws(scene)))[self.law]


def name_factor(
    values: list[float], scenes: list[Scene], *, unnamed: bool = False
) -> Constant | None:
    """The simplest constant that has the value at each scene; None for none.

    Args:
        values: The factor at each scene.
        scenes: At one size or at several.
        unnamed: Whether a number that is the same everywhere and nothing known will do.
    """
    if not values or not all(np.isfinite(values)) or any(v == 0 for v in values):
        return None
    if any((v < 0) != (values[0] < 0) for v in values):
        return None
    sign = "-" if values[0] < 0 else ""
    sizes = [abs(v) for v in values]
    known = plain_number(sizes)
    if known and (len(scenes) > 1 or sizes[0] in (1, 2, 0.5)):
        return Constant(sign + known, values[0])
    tables = [scene.once("laws", lambda s=scene: dict(laws(s))) for scene in scenes]
    for name in tables[0] if len(scenes) > 1 else ():
        found = [t.get(name, np.nan) for t in tables]
        if all(close(a, b) for a, b in zip(found, sizes)):
            same = tuple(sign + other for other in renamed(name, scenes))
            return Constant(sign + name, None, name, float(np.sign(values[0])), same)
    if unnamed and all(close(v, values[0]) for v in values):
        return Constant(f"{values[0]:.6g}", values[0])
    return None


def renamed(law: str, scenes: list[Scene]) -> Iterator[str]:
    """A law with its one length named by the other arguments that have it."""
    tables = [dict(lengths(named_leaves(scene))) for scene in scenes]
    atoms = [name for name in tables[0] if name in law]
    if len(atoms) != 1:
        return
    for other, n in tables[0].items():
        found = [t.get(other) == t.get(atoms[0]) for t in tables]
        if other != atoms[0] and n == tables[0][atoms[0]] and all(found):
            yield law.replace(atoms[0], other)


def plain_number(sizes: list[float]) -> str | None:
    """A small fraction that is the same everywhere."""
    if not all(close(v, sizes[0]) for v in sizes):
        return None
    for f in FRACTIONS:
        if close(float(f), sizes[0]):
            return str(f)
    return None


def close(a: float, b: float) -> bool:
    """Whether two numbers are one."""
    return bool(abs(a - b) <= EXACT * abs(b))


def laws(scene: Scene) -> Iterator[Law]:
    """(1) and (2), the simplest first."""
    found = atoms(scene)
    for name, a in found:
        for p in POWERS[:4]:
            yield power(name, p), a**p
    for name, a in found:
        if a > 1:
            yield f"{name}/({name}-1)", a / (a - 1)
            yield f"({name}-1)/{name}", (a - 1) / a
        elif a < 1:
            yield f"1 - {name}", 1 - a
            yield f"1/(1 - {name})", 1 / (1 - a)
    for f in MULTIPLES:
        for name, a in found:
            for p in POWERS:
                yield f"{f} {power(name, p)}", float(f) * a**p
    for f in (Fraction(1), *MULTIPLES):
        front = "" if f == 1 else f"{f} "
        for (one, a), (other, b) in combinations(found, 2):
            for p, q in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
                yield front + product(one, p, other, q), float(f) * a**p * b**q


def power(name: str, p: float) -> str:
    """`a`, `1/a`, `sqrt(a)`, ..."""
    body = {1: name, 0.5: f"sqrt({name})", 2: f"{name}^2"}[abs(p)]
    return body if p > 0 else f"1/{body}"


def product(one: str, p: int, other: str, q: int) -> str:
    """`a b`, `a/b`, `b/a`, `1/(a b)`."""
    if p > 0 and q > 0:
        return f"{one} {other}"
    if p < 0 and q < 0:
        return f"1/({one} {other})"
    return f"{one}/{other}" if p > 0 else f"{other}/{one}"


def atoms(scene: Scene) -> list[Law]:
    """Named numbers of a scene; of equal names the first."""
    leaves = [*named_leaves(scene), *((f"y{k}", v) for k, v in outputs(scene))]
    found = dict(lengths(leaves))
    for name, v in leaves:
        if v.ndim > 1:
            found[f"{name}.size"] = float(v.size)
    for name, v in leaves:
        if v.dtype == bool:
            found[f"count({name})"] = float(v.sum())
        elif np.issubdtype(v.dtype, np.integer):
            for special in scene.stage.oracle.special:
                found[f"count({name} != {special})"] = float((v != special).sum())
            found[f"count({name} >= 0)"] = float((v >= 0).sum())
    for value in scene.stage.oracle.forward_constants:
        found.setdefault(f"{abs(value):.6g}", abs(value))
    return [(k, v) for k, v in found.items() if v not in (0.0, 1.0)]


def lengths(leaves: list[tuple[str, np.ndarray]]) -> Iterator[Law]:
    """Of the axes of some leaves."""
    for name, v in leaves:
        for axis, n in enumerate(v.shape):
            yield f"{name}.shape[{axis}]", float(n)


def named_leaves(scene: Scene) -> list[tuple[str, np.ndarray]]:
    """The arguments' leaves by the names that users know: x, params.scale, args[0]."""
    subject = scene.stage.problem.subject
    shape = scene.stage.problem.shape
    args = shape.merge(scene.live, scene.rest)
    return [
        (plain_name(name) + keystr(path), np.asarray(v))
        for name, arg in zip(subject.names, args)
        for path, v in jax.tree.leaves_with_path(arg)
        if not is_key(v)
    ]


def plain_name(name: str) -> str:
    """ "x" of "dx"; "args[0]" stays."""
    return name[1:] if name.startswith("d") else name


def outputs(scene: Scene) -> list[tuple[str, np.ndarray]]:
    """The float leaves of y, with what follows the y of their names."""
    y = scene.run.y
    return [("" if len(y) == 1 else f"[{k}]", v) for k, v in enumerate(y)]
