"""MNIST is read from IDX files or the lab's pickle; a bad file is named."""

import datetime
import gzip
import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest

from purefw.data import mnist
from purefw.data.idx import read_idx
from purefw.data.pickled import read_pickle

RNG = np.random.default_rng(5)
IMAGES = RNG.integers(0, 256, (7, 3, 5), np.uint8)
LABELS = np.array([3, 9, 0, 1, 1, 2, 5], np.uint8)


def _idx(array):
    head = bytes([0, 0, 8, array.ndim])
    return head + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def _write(directory, *, compress=False, **changes):
    files = {
        "train-images-idx3-ubyte": _idx(IMAGES),
        "train-labels-idx1-ubyte": _idx(LABELS),
        "t10k-images-idx3-ubyte": _idx(IMAGES[:2]),
        "t10k-labels-idx1-ubyte": _idx(LABELS[:2]),
    }
    for name, content in files.items():
        content = changes.get(name.split("-idx")[0].replace("-", "_"), content)
        path = directory / (f"{name}.gz" if compress else name)
        path.write_bytes(gzip.compress(content) if compress else content)


def _pickled(directory, tree, **options):
    path = directory / "mnist.pkl"
    path.write_bytes(pickle.dumps(tree, **options))
    return path


@pytest.mark.parametrize("compress", [False, True])
def test_idx_files_are_read_compressed_or_not(compress, tmp_path):
    _write(tmp_path, compress=compress)
    data = mnist(tmp_path)
    np.testing.assert_allclose(data.train.x * 255, IMAGES.reshape(7, 15), rtol=1e-6)
    np.testing.assert_array_equal(data.train.labels, LABELS)
    assert data.validation.x.shape == (2, 15) and data.classes == 10


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_the_pickle_of_the_lab_is_read_in_every_protocol(protocol, tmp_path):
    tree = {"Train": {"Features": IMAGES.reshape(7, 15).astype(int), "Labels": LABELS}}
    path = _pickled(tmp_path, tree, protocol=protocol)
    features, labels = read_pickle(path)
    np.testing.assert_array_equal(features, IMAGES.reshape(7, 15))
    np.testing.assert_array_equal(labels, LABELS)
    data = mnist(tmp_path)
    assert data.train.x.shape == (6, 15) and data.validation.x.shape == (1, 15)
    path.with_suffix(".pkl.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    np.testing.assert_array_equal(mnist(tmp_path).train.x, data.train.x)


def test_a_missing_folder_and_a_missing_file_are_named(tmp_path):
    with pytest.raises(ValueError, match="directory must be a folder, got .*nowhere"):
        mnist(tmp_path / "nowhere")
    _write(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(ValueError, match="must hold t10k-labels-idx1-ubyte or"):
        mnist(tmp_path)
    with pytest.raises(ValueError, match="gone must be a readable file, got No such"):
        read_idx(tmp_path / "gone", axes=1)


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize(
    "content,message",
    [
        (_idx(IMAGES)[:-1], r"must hold 121 bytes .*\(7, 3, 5\), got 120"),
        (_idx(IMAGES) + b"x", r"must hold 121 bytes .*\(7, 3, 5\), got 122"),
        (_idx(IMAGES)[:9], r"must hold \d+ bytes .*, got 9"),
        (_idx(LABELS), "must begin with bytes 00 00 08 03, got 00 00 08 01"),
        (b"\x00\x00", "must begin with bytes 00 00 08 03, got 00 00$"),
        (b"", "must begin with bytes 00 00 08 03, got an empty file"),
    ],
)
def test_a_bad_idx_file_is_named_with_expected_and_found_bytes(
    content, message, compress, tmp_path
):
    _write(tmp_path, compress=compress, train_images=content)
    with pytest.raises(ValueError, match=f"train-images-idx3-ubyte.* {message}"):
        mnist(tmp_path)


def test_a_compressed_file_cut_off_is_named_with_expected_and_found_bytes(tmp_path):
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(_idx(IMAGES))[:60])
    with pytest.raises(ValueError, match=r"ubyte.gz must hold 121 bytes .*, got \d+$"):
        read_idx(path, axes=3)


def test_a_damaged_compressed_file_is_named(tmp_path):
    path = tmp_path / "labels.gz"
    content = bytearray(gzip.compress(_idx(LABELS)))
    content[-6] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(ValueError, match="labels.gz must be a sound gzip file, got"):
        read_idx(path, axes=1)


def test_labels_that_do_not_fit_their_images_are_refused(tmp_path):
    _write(tmp_path, train_labels=_idx(LABELS[:5]))
    with pytest.raises(ValueError, match=r"as many as .* \(7, 3, 5\) and \(5,\)"):
        mnist(tmp_path)


class _Malicious:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


def test_a_pickle_that_would_run_code_is_refused_and_does_not_run_it(tmp_path):
    marker = tmp_path / "executed"
    path = _pickled(tmp_path, {"Train": _Malicious(marker)})
    with pytest.raises(ValueError, match="arrays and plain containers alone, got the"):
        read_pickle(path)
    assert not marker.exists()


@pytest.mark.parametrize("value", [datetime.date(2020, 1, 1), {1, 2}, np.int64(3)])
def test_a_pickle_of_something_else_is_refused(value, tmp_path):
    path = _pickled(tmp_path, {"Train": {"Features": value, "Labels": LABELS}})
    with pytest.raises(ValueError, match="mnist.pkl"):
        read_pickle(path)


def test_an_array_of_objects_is_refused(tmp_path):
    features = np.array([{}, "a"], dtype=object)
    path = _pickled(tmp_path, {"Train": {"Features": features, "Labels": LABELS}})
    with pytest.raises(ValueError, match=r"\['Features'\] must be an array of numbers"):
        read_pickle(path)


@pytest.mark.parametrize("tree,got", [({"Test": 1}, r"\['Test'\]"), ([1], "list")])
def test_a_pickle_of_another_layout_is_refused(tree, got, tmp_path):
    path = _pickled(tmp_path, tree)
    with pytest.raises(ValueError, match=rf"must hold \['Train'\].* got .*{got}"):
        read_pickle(path)


def test_a_pickle_cut_off_is_refused(tmp_path):
    path = _pickled(tmp_path, {"Train": {"Features": IMAGES, "Labels": LABELS}})
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match="must be a whole pickle of NumPy arrays"):
        read_pickle(path)


def real_directory():
    """MNIST's files: PUREFW_MNIST, or shared/data/mnist beside the repository."""
    beside = Path(__file__).parents[3] / "shared" / "data" / "mnist"
    directory = Path(os.environ.get("PUREFW_MNIST", beside))
    if not directory.is_dir():
        pytest.skip(f"no MNIST in {directory}; set PUREFW_MNIST to its folder")
    return directory


def test_the_real_files_have_the_documented_shapes():
    directory = real_directory()
    images = read_idx(directory / "t10k-images-idx3-ubyte.gz", axes=3)
    labels = read_idx(directory / "t10k-labels-idx1-ubyte.gz", axes=1)
    assert images.shape == (10000, 28, 28) and images.max() == 255
    assert np.bincount(labels).tolist() == [
        980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009,
    ]  # fmt: skip
