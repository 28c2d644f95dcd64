"""Parameters as one file that others read: safetensors, or NumPy's npz.

The names in the file are the paths to the leaves: `0.weight`, `0.bias`, ... A file is
written beside its place and put there by one rename.

safetensors needs the package of that name, of the extra `train`, and keeps every dtype;
npz knows NumPy's own dtypes alone, and so no bfloat16.
"""

import os
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from purefw.leaves import check_alike, named, specs, to_arrays, to_tree
from purefw.rule import Rule

SUFFIXES = (".safetensors", ".npz")
DTYPES = {  # By their names in safetensors, whose own reader knows no bfloat16.
    "BOOL": np.dtype(bool),
    "BF16": jnp.dtype("bfloat16"),
    **{
        f"{kind.upper()}{8 * n}": np.dtype(f"{kind}{n}")
        for kind in "iu"
        for n in (1, 2, 4, 8)
    },
    **{f"F{8 * n}": np.dtype(f"f{n}") for n in (2, 4, 8)},
}


def save_params(path: str | Path, params: Any) -> None:
    """Write parameters to a file.

    Args:
        path: Ends with one of SUFFIXES, which decides the format. A file that is there
            is replaced.
        params: Any tree of arrays.

    Raises:
        ValueError: another suffix, a dtype that the format does not know, or a file
            that cannot be written.

    Example:
        >>> import tempfile
        >>> from purefw.layers.linear import linear
        >>> rule = linear(2, 3)
        >>> path = Path(tempfile.mkdtemp()) / "linear.npz"
        >>> save_params(path, rule.init(jax.random.key(0)))
        >>> load_params(path, rule).weight.shape
        (2, 3)
    """
    path, arrays = check_suffix(path), to_arrays(params)
    if path.suffix == ".npz":
        foreign = [n for n, v in arrays.items() if v.dtype.kind not in "biufc"]
        if foreign:
            raise ValueError(
                f"export: {foreign[0]} must be of a dtype of NumPy's own for npz, got "
                f"{arrays[foreign[0]].dtype}: take safetensors"
            )
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        if path.suffix == ".npz":
            with beside.open("wb") as file:
                np.savez(file, **arrays)
        else:
            beside.write_bytes(_safetensors().numpy.save(arrays))
        beside.replace(path)
    except OSError as error:
        raise ValueError(
            f"export: {path} must be a file to write to, got {error.strerror}"
        ) from None
    finally:
        beside.unlink(missing_ok=True)


def load_params(path: str | Path, network: Rule) -> Any:
    """The parameters of a network from a file that `save_params` wrote.

    Args:
        path: Ends with one of SUFFIXES.
        network: Whose they are: a file of another architecture is refused with the
            first leaf that differs.

    Raises:
        ValueError: another suffix or architecture, or a file that cannot be read or is
            damaged.
    """
    path = check_suffix(path)
    read = _read_npz if path.suffix == ".npz" else _read_safetensors
    arrays = read(path)
    like = jax.eval_shape(lambda: network.init(jax.random.key(0)))
    check_alike(f"export: {path}", specs(arrays), specs(named(like)))
    return to_tree(arrays, like)


def check_suffix(path: str | Path) -> Path:
    """The path; ValueError unless it ends with one of SUFFIXES."""
    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise ValueError(
            f"export: file must end with {' or '.join(SUFFIXES)}, got {path.name}"
        )
    return path


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return dict(arrays)
    except Exception as error:  # A damaged zip file can raise any.
        raise _unreadable(path, error) from None


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    library = _safetensors()
    try:
        leaves = library.deserialize(path.read_bytes())
    except (OSError, library.SafetensorError) as error:
        raise _unreadable(path, error) from None
    return {
        name: np.frombuffer(leaf["data"], DTYPES[leaf["dtype"]]).reshape(leaf["shape"])
        for name, leaf in leaves
    }


def _unreadable(path: Path, error: Exception) -> ValueError:
    reason = getattr(error, "strerror", None) or str(error)
    return ValueError(f"export: {path} must be a whole file of arrays, got {reason}")


def _safetensors() -> Any:
    try:
        import safetensors.numpy
    except ImportError:
        raise ValueError(
            "export: safetensors must be installed (pip install 'purefw[train]'), "
            "got no module safetensors"
        ) from None
    return safetensors
