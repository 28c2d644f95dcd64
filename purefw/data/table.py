"""Any table of numbers: a CSV file, or NumPy's npz, with one column as the target.

The target decides what is learned. Names, or whole numbers that are 0, 1, ... without a
gap, are classes. Other numbers are learned as numbers.
"""

import csv
from pathlib import Path

import numpy as np

from purefw.data.dataset import Dataset, held_out_fifth, standardised

SUFFIXES = (".csv", ".npz")


def table(path: str | Path, target: str, *, seed: int = 0) -> Dataset:
    """The rows of a file, every column standardised, a fifth of the rows held out.

    Args:
        path: A .csv whose first line names the columns (numbers 0, 1, ... where it
            holds numbers), or a .npz of arrays with one row an example.
        target: The name of the column, or array, to learn. All others are features;
            arrays of more than one axis are laid flat, a row an example.
        seed: Of the split.

    Returns:
        Features of mean 0 and standard deviation 1 over the rows to learn from. Numbers
        to learn are standardised likewise, of shape (n, 1) or (n, values): a squared
        error of 1 is then that of guessing their mean.

    Raises:
        ValueError: the file cannot be read, has no such column, no other one or no five
            rows, or holds what is no finite number, whose column and row are named.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "iris.csv"
        >>> lines = [f"{i},{i % 3},{'ab'[i % 2]}" for i in range(10)]
        >>> _ = file.write_text("\\n".join(["width,length,species", *lines]))
        >>> data = table(file, "species")
        >>> data.train.x.shape, data.validation.x.shape, data.classes
        ((8, 2), (2, 2), 2)
    """
    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise ValueError(
            f"table: file must end with {' or '.join(SUFFIXES)}, got {path.name}"
        )
    columns = _read_csv(path) if path.suffix == ".csv" else _read_npz(path)
    if target not in columns:
        raise ValueError(
            f"table: target must be one of {', '.join(columns)}, got {target!r}"
        )
    labels = columns.pop(target)
    rows = len(labels)
    if rows < 5 or not columns:
        raise ValueError(
            f"table: {path} must hold five rows and a column beside {target}, "
            f"got {rows} rows and {len(columns)} other columns"
        )
    for name, column in columns.items():
        if len(column) != rows:
            raise ValueError(
                f"table: {name} must have {rows} rows, as {target} has, "
                f"got {len(column)}"
            )
    x = np.column_stack(
        [_numbers(name, v).reshape(rows, -1) for name, v in columns.items()]
    )
    labels, classes = classes_or_numbers(target, labels)
    data = held_out_fifth(path.stem, x, labels, classes=classes, seed=seed)
    return standardised(data)


def classes_or_numbers(name: str, labels: np.ndarray) -> tuple[np.ndarray, int | None]:
    """Labels from 0 and how many classes there are, or floats and None.

    Example:
        >>> classes_or_numbers("species", np.array(["b", "a", "b"]))
        (array([1, 0, 1]), 2)
        >>> classes_or_numbers("price", np.array([1, 2, 4]))[1] is None
        True
    """
    if labels.ndim == 1 and labels.dtype.kind in "USb":
        try:
            labels = labels.astype(float)
        except ValueError:
            names, ids = np.unique(labels, return_inverse=True)
            return ids, len(names)
    numbers = _numbers(name, labels)
    if labels.ndim == 1:
        values = np.unique(numbers)
        if np.array_equal(values, np.arange(len(values))) and len(values) > 1:
            return numbers.astype(int), len(values)
    return numbers.reshape(len(numbers), -1), None


def _numbers(name: str, column: np.ndarray) -> np.ndarray:
    """The column as floats; an error that names the first entry that is none."""
    try:
        numbers = column.astype(float)
    except ValueError:
        numbers = np.array([_number(v) for v in column])
    bad = np.argwhere(~np.isfinite(numbers))
    if bad.size:
        row = tuple(bad[0])
        raise ValueError(
            f"table: {name} must be finite numbers, got {str(column[row])!r} in row "
            f"{row[0]}"
        )
    return numbers


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return np.nan


def _read_csv(path: Path) -> dict[str, np.ndarray]:
    """The columns by name, as text."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = [line for line in csv.reader(file) if line]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ValueError(
            f"table: {path} must be a readable CSV file in UTF-8, got {reason}"
        ) from None
    if not lines:
        raise ValueError(f"table: {path} must hold a line, got an empty file")
    named = any(np.isnan(_number(text)) for text in lines[0])
    names = [text.strip() for text in lines[0]] if named else range(len(lines[0]))
    body = lines[1:] if named else lines
    for i, line in enumerate(body):
        if len(line) != len(lines[0]):
            raise ValueError(
                f"table: {path} must hold {len(lines[0])} columns in every row, got "
                f"{len(line)} in row {i}"
            )
    columns = np.array(body, dtype=str).reshape(len(body), len(lines[0])).T
    return {str(name): np.char.strip(v) for name, v in zip(names, columns)}


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as entries:
            arrays = dict(entries)
    except Exception as error:  # A damaged zip file can raise any.
        reason = getattr(error, "strerror", None) or str(error)
        raise ValueError(
            f"table: {path} must be a whole npz file of plain arrays, got {reason}"
        ) from None
    return {name: v for name, v in arrays.items() if v.ndim > 0}
