"""Which cotangents to try: coded signs that find any single wrong Jacobian entry.

Output entries are counted i = 0, ..., m-1 over all float leaves of y; r_i = ±1 is drawn
once. With B = ceil(log2 m) the coded cotangents are

    (1)  dy^(0)_i = r_i
    (2)  dy^(b)_i = r_i (-1)^(bit b-1 of i)                b = 1, ..., B

For input entry j let e_i be the error of the Jacobian entry (i, j). If one e_i is not
zero, every response Σ_i dy_i e_i has the size |e_i|, and

    (3)  bit b-1 of i = [response^(b) and response^(0) differ in sign]

because r_i drops out of the product: B + 1 passes find and name it among m entries. If
two are not zero, two different codes differ in some bit, so that the largest response
is |e_i| + |e_k|: they cannot cancel everywhere. Dense errors show in the normal
cotangents that follow, at three scales to catch what clips or squares dy.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

SALT = 0x9D2C5680  # Private: probes must not repeat what a user drew from seed 0.


@dataclass(frozen=True)
class Cotangent:
    """One dy, flat over the float leaves of y, and how it was made."""

    name: str
    value: np.ndarray


def generator(seed: int, *salts: int) -> np.random.Generator:
    """A generator that no user's seed reproduces."""
    return np.random.default_rng([SALT, seed, *salts])


def coded(m: int, rng: np.random.Generator) -> list[Cotangent]:
    """(1) and (2)."""
    r = rng.choice([-1.0, 1.0], m)
    bits = int(m - 1).bit_length()
    index = np.arange(m)
    return [Cotangent("code 0", r)] + [
        Cotangent(f"code {b + 1}", r * (1.0 - 2.0 * ((index >> b) & 1)))  # (2)
        for b in range(bits)
    ]


def normal(
    m: int,
    rng: np.random.Generator,
    scale: float = 1.0,
    unlike: Sequence[np.ndarray] = (),
) -> Cotangent:
    """Independent normal entries; no entry is 0, none is 1.

    Args:
        m: How many.
        rng: Draws them.
        scale: Their standard deviation.
        unlike: Vectors of m entries that the cotangent must not resemble, as y or x:
            the derivative of x / |x| along x is zero. From 16 entries on it is drawn
            anew until no correlation exceeds 1/2.
    """
    for _ in range(8):
        value = scale * rng.standard_normal(m)
        if m < 16 or not any(abs(correlation(value, v)) > 0.5 for v in unlike):
            break
    return Cotangent(f"normal x {scale:g}", value)


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """The cosine of two vectors; 0 where one of them is."""
    a, b = (v.astype(complex if np.iscomplexobj(v) else float) for v in (a, b))
    lengths = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(abs(np.vdot(a, b))) / lengths if lengths else 0.0


def decode(responses: list[float], m: int) -> int | None:
    """(3): the one output entry through which an input entry is wrong, or None.

    Args:
        responses: Hand minus truth at one input entry, for the coded cotangents in
            order.
        m: Number of output entries.

    Returns:
        The flat output index, or None where the error is not of a single entry.

    Example:
        >>> codes = coded(10, generator(0))
        >>> decode([c.value[6] * 0.5 for c in codes], 10)
        6
    """
    sizes = np.abs(responses)
    if m < 2 or not np.isfinite(sizes).all() or sizes.min() < 0.999 * sizes.max():
        return None
    signs = np.signbit(responses)
    index = sum(1 << b for b, s in enumerate(signs[1:]) if s != signs[0])
    return index if sizes.max() > 0 and index < m else None
