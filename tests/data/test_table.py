"""A table of anyone's becomes a data set, or its flaw is named."""

import socket

import numpy as np
import pytest
import sklearn.datasets

from purefw.data import california, diabetes, load, table

ROWS = ["width,kind,length", *(f"{0.5 * i},{'ab'[i % 2]},{i * i}" for i in range(10))]


def _csv(folder, lines=ROWS):
    path = folder / "mine.csv"
    path.write_text("\n".join(lines))
    return path


def test_names_are_classes_and_features_are_standardised(tmp_path):
    data = table(_csv(tmp_path), "kind")
    assert data.classes == 2 and data.name == "mine"
    assert data.train.x.shape == (8, 2) and data.validation.x.shape == (2, 2)
    np.testing.assert_allclose(data.train.x.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(data.train.x.std(axis=0), 1, rtol=1e-12)
    widths = np.concatenate([data.train.x[:, 0], data.validation.x[:, 0]])
    labels = np.concatenate([data.train.labels, data.validation.labels])
    assert (labels[np.argsort(widths)] == np.arange(10) % 2).all()


def test_numbers_are_learned_as_numbers(tmp_path):
    lines = [line.replace("a", "1").replace("b", "7") for line in ROWS[1:]]
    data = table(_csv(tmp_path, lines), "2")  # No header: columns by number.
    assert data.classes is None and data.train.labels.shape == (8, 1)
    np.testing.assert_allclose(data.train.labels.mean(), 0, atol=1e-12)
    np.testing.assert_allclose(data.train.labels.std(), 1, rtol=1e-12)


def test_whole_numbers_without_a_gap_are_classes(tmp_path):
    lines = ["x,y", *(f"{i}.5,{i % 3}" for i in range(9))]
    assert table(_csv(tmp_path, lines), "y").classes == 3
    lines = ["x,y", *(f"{i}.5,{2 * (i % 3)}" for i in range(9))]
    assert table(_csv(tmp_path, lines), "y").classes is None


def test_a_constant_column_becomes_zero(tmp_path):
    lines = ["x,y", *(f"3,{i}.5" for i in range(9))]
    assert (table(_csv(tmp_path, lines), "y").train.x == 0).all()


def test_arrays_of_npz_are_columns(tmp_path):
    path, rng = tmp_path / "mine.npz", np.random.default_rng(3)
    x, y = rng.standard_normal((10, 2, 3)), np.arange(10) % 2
    np.savez(path, x=x, age=np.arange(10), y=y, version=np.array(3))
    data = table(path, "y")
    assert data.train.x.shape == (8, 7) and data.classes == 2
    assert load(str(path), target="x").train.labels.shape == (8, 6)


@pytest.mark.parametrize(
    "lines,target,message",
    [
        (ROWS, "height", "target must be one of width, kind, length, got 'height'"),
        (
            [*ROWS, "1,a,?"],
            "kind",
            r"length must be finite numbers, got '\?' in row 10",
        ),
        ([*ROWS, "1,a,"], "kind", "length must be finite numbers, got '' in row 10"),
        ([*ROWS, "nan,a,1"], "kind", "width must be finite numbers, got 'nan' in row"),
        ([*ROWS, "1,a"], "kind", "must hold 3 columns in every row, got 2 in row 10"),
        (ROWS[:4], "kind", "five rows and a column beside kind, got 3 rows and 2"),
        (["a", *"012340"], "a", "a column beside a, got 6 rows and 0 other"),
        ([], "a", "must hold a line, got an empty file"),
        (ROWS, "width", "kind must be finite numbers, got 'a' in row 0"),
    ],
)
def test_a_flaw_of_a_csv_is_named(lines, target, message, tmp_path):
    with pytest.raises(ValueError, match=f"table: .*{message}"):
        table(_csv(tmp_path, lines), target)


def test_a_file_that_is_no_table_is_named(tmp_path):
    with pytest.raises(ValueError, match="must end with .csv or .npz, got mine.txt"):
        table(tmp_path / "mine.txt", "y")
    with pytest.raises(ValueError, match="gone.csv must be a readable CSV .* No such"):
        table(tmp_path / "gone.csv", "y")
    (tmp_path / "bad.npz").write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(ValueError, match="bad.npz must be a whole npz file of plain"):
        table(tmp_path / "bad.npz", "y")
    np.savez(tmp_path / "two.npz", x=np.ones((9, 2)), y=np.arange(7))
    with pytest.raises(ValueError, match="table: x must have 7 rows, as y has, got 9"):
        table(tmp_path / "two.npz", "y")
    np.savez(tmp_path / "object.npz", x=np.array([{}, {}]), y=np.arange(2))
    with pytest.raises(
        ValueError, match="object.npz must be a whole npz file of plain"
    ):
        table(tmp_path / "object.npz", "y")


@pytest.mark.parametrize(
    "name,options,message",
    [
        ("digits", {"target": "y"}, "target must be None for digits, got y"),
        ("a.csv", {}, "target must be given for a.csv, got None"),
        (
            "a.csv",
            {"target": "y", "directory": "d"},
            "directory must be None for a.csv",
        ),
        ("text", {"directory": "d"}, "directory must be None for text, got d"),
        ("digits", {"file": "f"}, "file must be None for digits, got f"),
    ],
)
def test_an_option_that_the_data_do_not_have_is_refused(name, options, message):
    with pytest.raises(ValueError, match=f"load: {message}"):
        load(name, **options)


def test_diabetes_is_standardised():
    data = diabetes()
    assert data.train.x.shape == (354, 10) and data.classes is None
    np.testing.assert_allclose(data.train.labels.std(), 1, rtol=1e-12)


def test_what_was_downloaded_before_is_used(monkeypatch):
    rng = np.random.default_rng(5)
    x, value = rng.standard_normal((20, 8)), rng.standard_normal(20)
    monkeypatch.setattr(
        sklearn.datasets, "fetch_california_housing", lambda **options: (x, value)
    )
    assert california().train.x.shape == (16, 8)
    pixels, names = rng.integers(0, 256, (14, 784)), np.array(list("01234567890123"))

    def fetch_openml(name, **options):
        assert name == "Fashion-MNIST"
        return pixels, names

    monkeypatch.setattr(sklearn.datasets, "fetch_openml", fetch_openml)
    data = load("fashion-mnist")
    np.testing.assert_allclose(data.train.x * 255, pixels[:12], rtol=1e-6)
    assert data.validation.labels.tolist() == [2, 3] and data.classes == 10


@pytest.mark.parametrize("name", ["california", "mnist", "fashion-mnist"])
def test_without_a_network_scikit_learns_own_fetch_is_one_sentence(
    name, monkeypatch, tmp_path
):
    """Its arguments are checked by the real function."""

    def unreachable(*args, **options):
        raise socket.gaierror(-2, "Name or service not known")

    message = f"{name}: data must be in scikit-learn's cache {tmp_path}.* got .*Name or"
    monkeypatch.setattr(socket, "getaddrinfo", unreachable)
    monkeypatch.setenv("SCIKIT_LEARN_DATA", str(tmp_path))
    with pytest.raises(ValueError, match=message):
        load(name)
