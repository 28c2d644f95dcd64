"""Data sets by name, and minibatches shuffled on the device."""

from pathlib import Path

from purefw.data.dataset import Dataset, Split, to_itself
from purefw.data.minibatches import minibatches
from purefw.data.mnist import mnist
from purefw.data.small import digits, toy
from purefw.data.text import text

__all__ = [
    "NAMES",
    "Dataset",
    "Split",
    "digits",
    "load",
    "minibatches",
    "mnist",
    "text",
    "to_itself",
    "toy",
]

NAMES = ("digits", "toy", "mnist", "text")


def load(
    name: str,
    *,
    directory: str | Path | None = None,
    file: str | Path | None = None,
    seed: int = 0,
) -> Dataset:
    """A data set by its name.

    Args:
        name: One of NAMES.
        directory: Where the files of "mnist" lie; the other sets have none.
        file: What "text" reads; the Zen of Python where None.
        seed: Of what is drawn: the toy set, and the split where the source has none.

    Raises:
        ValueError: an unknown name, no directory for mnist, a file for another set than
            text, or a bad file.

    Example:
        >>> load("toy").train.x.shape
        (80, 2)
    """
    if name not in NAMES:
        raise ValueError(f"load: name must be one of {', '.join(NAMES)}, got {name!r}")
    if file is not None and name != "text":
        raise ValueError(f"load: file must be None for {name}, got {file}")
    if name == "text":
        return text(file)
    if name == "mnist":
        if directory is None:
            raise ValueError("load: directory must be given for mnist, got None")
        return mnist(directory, seed=seed)
    return {"digits": digits, "toy": toy}[name](seed=seed)
