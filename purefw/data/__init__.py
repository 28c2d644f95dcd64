"""Data sets by name or from a file, and minibatches shuffled on the device."""

from pathlib import Path

from purefw.data.dataset import Dataset, Split, to_itself
from purefw.data.fetched import OPENML, california, images
from purefw.data.minibatches import minibatches
from purefw.data.mnist import mnist
from purefw.data.small import diabetes, digits, toy
from purefw.data.table import SUFFIXES, table
from purefw.data.text import text

__all__ = [
    "NAMES",
    "Dataset",
    "Split",
    "california",
    "diabetes",
    "digits",
    "load",
    "minibatches",
    "mnist",
    "table",
    "text",
    "to_itself",
    "toy",
]

NAMES = (
    "digits",
    "toy",
    "mnist",
    "fashion-mnist",
    "text",
    "diabetes",
    "california",
)


def load(
    name: str,
    *,
    directory: str | Path | None = None,
    file: str | Path | None = None,
    target: str | None = None,
    seed: int = 0,
) -> Dataset:
    """A data set by its name, or from a table in a file.

    Args:
        name: One of NAMES, or the path of a .csv or .npz file.
        directory: Where the files of "mnist" or "fashion-mnist" lie; where None,
            scikit-learn downloads them. The other sets have none.
        file: What "text" reads; the Zen of Python where None.
        target: The column of a table to learn.
        seed: Of what is drawn: the toy set, and the split where the source has none.

    Raises:
        ValueError: an unknown name, an option that the data do not have or a table
            without a target, data that cannot be downloaded, or a bad file.

    Example:
        >>> load("toy").train.x.shape
        (80, 2)
    """
    is_table = Path(name).suffix in SUFFIXES
    if name not in NAMES and not is_table:
        raise ValueError(
            f"load: name must be one of {', '.join(NAMES)}, or a file .csv or .npz, "
            f"got {name!r}"
        )
    for option, value, has in (
        ("directory", directory, name in OPENML),
        ("file", file, name == "text"),
        ("target", target, is_table),
    ):
        if value is not None and not has:
            raise ValueError(f"load: {option} must be None for {name}, got {value}")
    if is_table:
        if target is None:
            raise ValueError(f"load: target must be given for {name}, got None")
        return table(name, target, seed=seed)
    if name == "text":
        return text(file)
    if name in OPENML:
        return mnist(directory, seed=seed, name=name) if directory else images(name)
    make = {
        "digits": digits,
        "toy": toy,
        "diabetes": diabetes,
        "california": california,
    }
    return make[name](seed=seed)
