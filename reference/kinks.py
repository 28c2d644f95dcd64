"""Placeholder until the kinks land."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Subgradient:
    valid: bool
    interval: tuple = (0.0, 0.0)
    hand: float = 0.0
    autodiff: float = 0.0


def subgradient_verdict(gradient, x, hand, autodiff, *, rng, tolerance):
    import numpy as np

    lo = np.minimum(gradient(x + 1e-7), gradient(x - 1e-7))
    hi = np.maximum(gradient(x + 1e-7), gradient(x - 1e-7))
    t = 1e-5 * abs(autodiff).max()
    k = int(abs(hand - autodiff).argmax())
    return Subgradient(
        bool(((hand >= lo - t) & (hand <= hi + t)).all() and hi[k] - lo[k] > t),
        (lo[k], hi[k]),
        hand[k],
        autodiff[k],
    )
