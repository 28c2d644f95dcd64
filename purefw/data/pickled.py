"""MNIST as the lesson's lab has it: a pickled dict of NumPy arrays.

    {"Train": {"Features": (n, 784) integers in 0..255, "Labels": (n,) integers}}

A pickle is a program. It is read by an unpickler that knows NumPy's arrays and the
plain containers and refuses any other name before it is called.
"""

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from purefw.data.idx import read_bytes

# What NumPy 1 and 2 write for arrays, scalars and dtypes; _codecs.encode makes the
# bytes of an array in a pickle of protocol 2 or older.
ALLOWED = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
    *(
        (f"numpy.{core}.{module}", name)
        for core in ("core", "_core")
        for module, name in (
            ("multiarray", "_reconstruct"),
            ("multiarray", "scalar"),
            ("numeric", "_frombuffer"),
        )
    ),
}


class ArrayUnpickler(pickle.Unpickler):
    """An unpickler of arrays in plain containers."""

    def find_class(self, module: str, name: str) -> Any:
        """The named object where it belongs to an array; an error otherwise."""
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f"the name {module}.{name}")
        return super().find_class(module, name)


def read_pickle(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """The features and labels of the lab's pickle, compressed by gzip or not.

    Raises:
        ValueError: the file is missing, truncated, no pickle, holds anything but arrays
            and plain containers, or has other keys.
    """
    content = io.BytesIO(read_bytes(path))
    try:
        tree = ArrayUnpickler(content, encoding="latin1").load()
    except Exception as error:  # A damaged pickle can raise any exception.
        raise ValueError(
            f"pickle: {path} must be a whole pickle of NumPy arrays and plain "
            f"containers alone, got {error}"
        ) from None
    try:
        features, labels = tree["Train"]["Features"], tree["Train"]["Labels"]
    except (KeyError, TypeError, IndexError):
        raise ValueError(
            f"pickle: {path} must hold ['Train']['Features'] and ['Train']['Labels'], "
            f"got {_outline(tree)}"
        ) from None
    for name, value in (("Features", features), ("Labels", labels)):
        if not isinstance(value, np.ndarray) or value.dtype.kind not in "iuf":
            got = getattr(value, "dtype", type(value).__name__)
            raise ValueError(
                f"pickle: {path} ['Train']['{name}'] must be an array of numbers, "
                f"got {got}"
            )
    return features, labels


def _outline(tree: Any) -> str:
    return f"the keys {list(tree)}" if isinstance(tree, dict) else type(tree).__name__
