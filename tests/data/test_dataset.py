"""A data set is checked when it is made, and says what is wrong with it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purefw.data import NAMES, Dataset, Split, digits, load, minibatches, toy

X = jnp.array([[0.5, 1.0], [1.5, -1.0], [2.5, 0.0]])
LABELS = jnp.array([0, 1, 1])


def _dataset(train=(X, LABELS), validation=(X, LABELS), classes=2):
    return Dataset("mine", Split(*train), Split(*validation), classes)


def test_sound_data_pass():
    assert _dataset().classes == 2


@pytest.mark.parametrize("which", ["train", "validation"])
@pytest.mark.parametrize(
    "x,labels,message",
    [
        (X, jnp.array([0, 2, 1]), r"labels must lie in \[0, 2\), got 2 in row 1"),
        (X, jnp.array([0, 1, -1]), r"labels must lie in \[0, 2\), got -1 in row 2"),
        (X, jnp.array([0.0, 1, 1]), "labels must be integers, got float64"),
        (X, LABELS[:2], r"labels must have shape \(3,\), one a row of x, got \(2,\)"),
        (X[:0], LABELS[:0], r"x must have shape .* not be empty, got shape \(0, 2\)"),
        (X.at[1].set(jnp.nan), LABELS, "x must be finite, got 2 NaN and 0 infinite"),
        (X.at[0, 0].set(jnp.inf), LABELS, "x must be finite, got 0 NaN and 1 infinite"),
    ],
)
def test_bad_data_are_refused_with_the_split_and_the_count(which, x, labels, message):
    with pytest.raises(ValueError, match=f"mine: {which}.{message}"):
        _dataset(**{which: (x, labels)})


def test_splits_of_two_widths_are_refused():
    message = r"mine: validation.x must have rows shaped like .* \(2,\), got \(1,\)"
    with pytest.raises(ValueError, match=message):
        _dataset(validation=(X[:, :1], LABELS))


def test_no_class_is_refused():
    with pytest.raises(ValueError, match="mine: classes must be at least 1, got 0"):
        _dataset(classes=0)


def test_digits_hold_out_a_fifth_that_is_not_learned_from():
    data = digits()
    assert data.train.x.shape == (1438, 64) and data.validation.x.shape == (359, 64)
    assert float(data.train.x.min()) == 0 and float(data.train.x.max()) == 1
    rows = {row.tobytes() for row in np.asarray(data.train.x)}
    held_out = [row.tobytes() in rows for row in np.asarray(data.validation.x)]
    assert not any(held_out)


def test_toy_is_a_hundred_points_in_two_classes():
    data = toy()
    assert data.train.x.shape == (80, 2) and data.validation.x.shape == (20, 2)
    assert 0.3 < float(jnp.mean(data.train.labels)) < 0.7


@pytest.mark.parametrize("make", [toy, digits])
def test_the_seed_decides_the_split(make):
    first, again, other = make(seed=1), make(seed=1), make(seed=2)
    np.testing.assert_array_equal(first.train.x, again.train.x)
    assert (np.asarray(first.train.x) != np.asarray(other.train.x)).any()


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(
        ValueError, match="one of digits, .*, or a file .csv or .npz, got 'cifar'"
    ):
        load("cifar")
    assert {"digits", "toy", "mnist", "fashion-mnist", "text"} < set(NAMES)


@pytest.mark.parametrize("rows,batch_size,steps", [(7, 3, 2), (6, 3, 2), (5, 5, 1)])
def test_minibatches_hold_every_row_at_most_once(rows, batch_size, steps, keys):
    batches = minibatches(next(keys), rows, batch_size)
    assert batches.shape == (steps, batch_size)
    values = np.asarray(batches).ravel()
    assert len(set(values)) == len(values) and set(values) <= set(range(rows))


def test_minibatches_depend_on_the_key_and_trace(keys):
    make = jax.jit(minibatches, static_argnums=(1, 2))
    key = next(keys)
    first, again, other = (
        make(k, 97, 7) for k in (key, jax.random.clone(key), next(keys))
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.parametrize("batch_size", [0, -1, 8])
def test_a_batch_larger_than_the_data_is_refused(batch_size, keys):
    with pytest.raises(
        ValueError, match=rf"batch_size must be in \[1, 7\], .* got {batch_size}"
    ):
        minibatches(next(keys), 7, batch_size)
