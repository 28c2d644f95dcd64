"""MNIST or Fashion-MNIST from a directory: four IDX files, or the lab's pickle."""

from pathlib import Path

import numpy as np

from purefw.data.dataset import Dataset, held_out_fifth, on_device
from purefw.data.idx import read_idx
from purefw.data.pickled import read_pickle

PICKLES = ("mnist.pkl", "mnist.pkl.gz")


def mnist(directory: str | Path, *, seed: int = 0, name: str = "mnist") -> Dataset:
    """Images of 28 x 28 pixels in 10 classes, each pixel in [0, 1]: digits or clothes.

    Args:
        directory: Holds train-images-idx3-ubyte, train-labels-idx1-ubyte and the two of
            t10k, each with .gz or without; or else mnist.pkl, with .gz or without.
        seed: Of the split of the pickle, which has none of its own.
        name: Of the data set: Fashion-MNIST's files are named as MNIST's are.

    Returns:
        From IDX the 60,000 images to learn from and the 10,000 test images as
        validation; from the pickle its images with a fifth held out. Rows are flat.

    Raises:
        ValueError: a file is missing, damaged, or of another shape than its partner.
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise ValueError(f"mnist: directory must be a folder, got {directory}")
    pickles = [directory / name for name in PICKLES if (directory / name).is_file()]
    if pickles and not any(directory.glob("*-idx?-ubyte*")):
        features, labels = read_pickle(pickles[0])
        check_pair(str(pickles[0]), features, labels)
        x = features.reshape(len(features), -1) / 255
        return held_out_fifth(name, x, labels, classes=10, seed=seed)
    return Dataset(
        name, idx_split(directory, "train"), idx_split(directory, "t10k"), classes=10
    )


def idx_split(directory: Path, prefix: str):
    """One of the two pairs of IDX files."""
    images_path = find(directory, f"{prefix}-images-idx3-ubyte")
    labels_path = find(directory, f"{prefix}-labels-idx1-ubyte")
    images, labels = read_idx(images_path, axes=3), read_idx(labels_path, axes=1)
    check_pair(str(images_path), images, labels)
    return on_device(images.reshape(len(images), -1) / np.float32(255), labels)


def find(directory: Path, name: str) -> Path:
    """The path of a file, with .gz or without."""
    for path in (directory / name, directory / f"{name}.gz"):
        if path.is_file():
            return path
    raise ValueError(
        f"mnist: directory must hold {name} or {name}.gz, or instead "
        f"{' or '.join(PICKLES)}, got neither in {directory}"
    )


def check_pair(path: str, images: np.ndarray, labels: np.ndarray) -> None:
    """Raise ValueError unless there is an image and a label for every image."""
    if images.ndim < 2 or images.size == 0 or labels.shape != images.shape[:1]:
        raise ValueError(
            f"mnist: {path} must hold images, and as many as there are labels, "
            f"got shapes {images.shape} and {labels.shape}"
        )
