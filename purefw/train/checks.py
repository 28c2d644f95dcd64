"""What `train` refuses before its first step, each in one sentence."""

import zlib
from collections.abc import Sequence

import jax
import numpy as np
from jaxtyping import Array, Key

from purefw.data import Dataset, Split
from purefw.rule import Rule
from purefw.train.moment import Snapshot, Source

NONFINITE = ("raise", "stop", "skip")


def check_arguments(
    data: Dataset,
    epochs: int,
    batch_size: int,
    accumulate: int,
    nonfinite: str,
    rests: Sequence[int],
) -> None:
    """Raise ValueError unless each is in its range."""
    rows = len(data.train.x)
    if epochs < 1:
        raise ValueError(f"train: epochs must be at least 1, got {epochs}")
    if not 1 <= batch_size <= rows:
        raise ValueError(
            f"train: batch_size must be in [1, {rows}], the rows of {data.name} to "
            f"learn from, got {batch_size}"
        )
    if accumulate < 1 or batch_size % accumulate:
        raise ValueError(
            f"train: accumulate must divide batch_size {batch_size}, got {accumulate}"
        )
    if nonfinite not in NONFINITE:
        raise ValueError(
            f"train: nonfinite must be one of {', '.join(NONFINITE)}, got {nonfinite!r}"
        )
    if min(rests, default=1) < 1:
        raise ValueError(f"train: rests must be at least 1, got {min(rests)}")


def checksum(split: Split) -> int:
    """Of the bytes of a split, so that a snapshot knows its data again."""
    return zlib.crc32(np.asarray(split.labels), zlib.crc32(np.asarray(split.x)))


def check_resumed(resume: Snapshot, key: Key[Array, ""], source: Source) -> None:
    """Raise ValueError unless the rows to come are those that the snapshot awaits."""
    old, new = (jax.random.key_data(k).tolist() for k in (resume.key, key))
    if new != old:
        raise ValueError(f"train: key must be that of the snapshot, {old}, got {new}")
    for name, old, new in zip(Source._fields, resume.source, source):
        if new != old:
            raise ValueError(
                f"train: {name} of the data must be that of the snapshot, {old}, "
                f"got {new}"
            )


def check_fit(network: Rule, data: Dataset) -> None:
    """Raise ValueError unless the network maps the data's rows to what is judged."""
    key = jax.eval_shape(lambda: jax.random.key(0))
    scores = jax.eval_shape(
        lambda key, x: network.apply(network.init(key), x), key, data.train.x
    )
    labels = data.train.labels.shape
    if data.classes is None:
        wanted, expected = f"an array like the labels of {data.name}", labels
    else:
        wanted = f"one score a class of {data.name}"
        expected = (*labels, data.classes)
    if scores.shape != expected:
        raise ValueError(
            f"train: network must give {wanted}, shape {expected}, got {scores.shape}"
        )
