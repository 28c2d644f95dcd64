"""Pictures: what stands in them, and the files that a training leaves."""

import sys
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from purefw import plot
from purefw.data import Dataset, Split, toy
from purefw.layers.relu import relu
from purefw.layers.tanh import tanh
from purefw.losses.softmax_cross_entropy import softmax_cross_entropy
from purefw.losses.squared_error import squared_error
from purefw.models import perceptron
from purefw.train import Epoch, fit
from purefw.train.pictures import Live, Pictures

HISTORY = [
    Epoch(0, 0.9, 0.5, 0.8, 0.4),
    Epoch(1, 0.5, 0.7, 0.6, 0.6),
    Epoch(2, 0.1, 0.9, 0.7, 0.5),
]


def test_curves_hold_the_history_and_mark_where_overfitting_begins():
    loss, accuracy = plot.curves(HISTORY).axes
    lines = [line.get_ydata() for line in loss.get_lines()]
    np.testing.assert_array_equal(lines[0], [0.9, 0.5, 0.1])
    np.testing.assert_array_equal(lines[1], [0.8, 0.6, 0.7])
    np.testing.assert_array_equal(loss.get_lines()[2].get_xdata(), [1, 1])
    np.testing.assert_allclose(accuracy.get_lines()[1].get_ydata(), [40, 60, 50])


def test_without_classes_there_is_no_accuracy_and_no_mark_at_the_end():
    epochs = [Epoch(n, 1.0 - n, None, 1.0 - n, None) for n in (0, 1)]
    (loss,) = plot.curves(epochs).axes
    assert len(loss.get_lines()) == 2


def test_the_boundary_lies_where_two_logits_are_equal():
    """Class 1 to the right of x0 = 0.5; rows of the grid go upwards."""
    data, network = toy(), perceptron((2, 2), relu())
    params = network.init(jax.random.key(0))
    weight, bias = jnp.array([[0.0, 9.0], [0.0, 0.0]]), jnp.array([0.0, -4.5])
    params = (params[0]._replace(weight=weight, bias=bias),)
    shares = plot.shares(network, params, data)
    left, right, bottom, top = plot.extent(data)
    x = np.linspace(left, right, plot.POINTS)
    np.testing.assert_array_equal(shares[3].argmax(axis=-1), x > 0.5)
    params = (params[0]._replace(weight=weight[::-1]),)
    y = np.linspace(bottom, top, plot.POINTS)
    up = plot.shares(network, params, data)[:, 5].argmax(axis=-1)
    np.testing.assert_array_equal(up, y > 0.5)
    (axes,) = plot.boundary(network, params, data).axes
    assert axes.get_ylim() == pytest.approx((bottom, top))


def test_points_lie_within_the_picture():
    data = toy()
    left, right, bottom, top = plot.extent(data)
    for x in (data.train.x, data.validation.x):
        assert (left < x[:, 0]).all() and (x[:, 0] < right).all()
        assert (bottom < x[:, 1]).all() and (x[:, 1] < top).all()


def test_a_unit_is_an_image_of_its_pixels():
    weight = np.arange(9 * 2).reshape(9, 2)
    np.testing.assert_array_equal(
        plot.tiles(weight)[1], [[1, 3, 5], [7, 9, 11], [13, 15, 17]]
    )
    kernel = np.arange(2 * 3 * 5 * 7).reshape(2, 3, 5, 7)
    np.testing.assert_array_equal(plot.tiles(kernel)[7 * 2 + 4], kernel[:, :, 2, 4])


def test_a_row_of_the_confusion_matrix_is_a_class():
    scores = jnp.eye(3)[jnp.array([1, 1, 2, 0])]
    counts = plot.confusions(scores, jnp.array([0, 1, 0, 0]), 3)
    np.testing.assert_array_equal(counts, [[1, 1, 1], [0, 1, 0], [0, 0, 0]])


def _fit(network, data, callbacks, loss=None):
    return fit(
        network,
        loss or softmax_cross_entropy(),
        data,
        optimiser="sgd",
        epochs=3,
        batch_size=16,
        key=jax.random.key(0),
        callbacks=callbacks,
    )


def test_a_training_in_the_plane_leaves_its_pictures_and_an_animation(tmp_path):
    network, data = perceptron((2, 5, 2), tanh()), toy()
    _fit(network, data, [Pictures(tmp_path / "new", network, data, 3)])
    names = sorted(path.name for path in (tmp_path / "new").iterdir())
    assert names == [
        "boundary.gif", "boundary.png", "confusion.png", "curves.png", "weights.png",
    ]  # fmt: skip
    with Image.open(tmp_path / "new" / "boundary.gif") as animation:
        assert animation.n_frames == 4
    for path in (tmp_path / "new").glob("*.png"):
        with Image.open(path) as picture:
            assert len(set(picture.convert("L").tobytes())) > 20, path


def test_a_regression_leaves_curves_and_weights(tmp_path):
    x = jax.random.normal(jax.random.key(3), (20, 2))
    split = Split(x, x[:, :1])
    data, network = Dataset("line", split, split, None), perceptron((2, 1), relu())
    _fit(network, data, [Pictures(tmp_path, network, data, 3)], squared_error())
    assert {p.name for p in tmp_path.iterdir()} == {"curves.png", "weights.png"}
    with pytest.raises(ValueError, match=r"plot: line must have rows of 2 features"):
        plot.boundary(network, network.init(jax.random.key(0)), data)


def test_a_place_that_is_no_folder_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="plot: .*file must be a folder to write to"):
        Pictures(tmp_path / "file", perceptron((2, 2), relu()), toy(), 3)


def test_parameters_without_a_matrix_are_refused():
    with pytest.raises(ValueError, match="plot: params must have a weight of 2 axes"):
        plot.weights({"bias": jnp.ones(3)})


def test_a_notebook_sees_one_picture_that_changes(monkeypatch):
    shown, updates = [], []
    handle = SimpleNamespace(update=updates.append)

    def display(image, display_id):
        shown.append(image)
        return handle

    module = SimpleNamespace(display=display, Image=lambda data: data)
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(display=module))
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    network, data = perceptron((2, 2), relu()), toy()
    _fit(network, data, [Live(network, data)])
    assert len(shown) == 1 and len(updates) == 3
    assert all(image[:4] == b"\x89PNG" for image in [*shown, *updates])


def test_outside_a_notebook_live_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "IPython.display", None)
    with pytest.raises(ValueError, match="live: IPython must be installed"):
        Live(perceptron((2, 2), relu()), toy())
