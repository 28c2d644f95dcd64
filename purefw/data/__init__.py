"""Data sets by name, and minibatches shuffled on the device."""

from pathlib import Path

from purefw.data.dataset import Dataset, Split
from purefw.data.minibatches import minibatches
from purefw.data.mnist import mnist
from purefw.data.small import digits, toy

__all__ = ["NAMES", "Dataset", "Split", "digits", "load", "minibatches", "mnist", "toy"]

NAMES = ("digits", "toy", "mnist")


def load(name: str, *, directory: str | Path | None = None, seed: int = 0) -> Dataset:
    """A data set by its name.

    Args:
        name: One of NAMES.
        directory: Where the files of "mnist" lie; the other sets have none.
        seed: Of what is drawn: the toy set, and the split where the source has none.

    Raises:
        ValueError: an unknown name, no directory for mnist, or a bad file in it.

    Example:
        >>> load("toy").train.x.shape
        (80, 2)
    """
    if name not in NAMES:
        raise ValueError(f"load: name must be one of {', '.join(NAMES)}, got {name!r}")
    if name == "mnist":
        if directory is None:
            raise ValueError("load: directory must be given for mnist, got None")
        return mnist(directory, seed=seed)
    return {"digits": digits, "toy": toy}[name](seed=seed)
