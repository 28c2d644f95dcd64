"""The small sets, which need scikit-learn and neither a file nor a network."""

from typing import Any

import numpy as np

from purefw.data.dataset import Dataset, held_out_fifth, standardised


def toy(*, seed: int = 0) -> Dataset:
    """100 points of the plane in 2 classes, 20 % of the labels redrawn at random.

    Args:
        seed: Of the points and of the split into 80 and 20.

    Raises:
        ValueError: scikit-learn is not installed.

    Example:
        >>> data = toy()
        >>> data.train.x.shape, data.validation.x.shape, data.classes
        ((80, 2), (20, 2), 2)
    """
    x, labels = sklearn_datasets("toy").make_classification(
        n_samples=100,
        n_features=2,
        n_informative=2,
        n_redundant=0,
        n_classes=2,
        flip_y=0.2,
        random_state=seed,
    )
    return held_out_fifth("toy", x, labels, classes=2, seed=seed)


def digits(*, seed: int = 0) -> Dataset:
    """1797 scanned digits of 8 x 8 pixels in 10 classes, each pixel in [0, 1].

    Args:
        seed: Of the split: 1438 to learn from, a fifth, 359, held out.

    Raises:
        ValueError: scikit-learn is not installed.

    Example:
        >>> data = digits()
        >>> data.train.x.shape, data.validation.x.shape, data.classes
        ((1438, 64), (359, 64), 10)
    """
    x, labels = sklearn_datasets("digits").load_digits(return_X_y=True)
    return held_out_fifth("digits", x / 16, labels, classes=10, seed=seed)


def diabetes(*, seed: int = 0) -> Dataset:
    """442 patients, 10 features, the disease's progression after a year.

    Args:
        seed: Of the split: 354 to learn from, a fifth, 88, held out.

    Returns:
        Features and progression standardised over the rows to learn from: a squared
        error of 1 is that of guessing the mean.

    Raises:
        ValueError: scikit-learn is not installed.

    Example:
        >>> data = diabetes()
        >>> data.train.x.shape, data.train.labels.shape, data.classes
        ((354, 10), (354, 1), None)

    Reference: Efron, Hastie, Johnstone and Tibshirani, "Least Angle Regression", 2004.
    """
    x, progression = sklearn_datasets("diabetes").load_diabetes(return_X_y=True)
    labels = np.reshape(progression, (-1, 1))
    return standardised(held_out_fifth("diabetes", x, labels, classes=None, seed=seed))


def sklearn_datasets(name: str) -> Any:
    """The module sklearn.datasets, for the data set of a name.

    Raises:
        ValueError: scikit-learn is not installed.
    """
    try:
        import sklearn.datasets
    except ImportError:
        raise ValueError(
            f"{name}: scikit-learn must be installed (pip install 'purefw[train]'), "
            "got no module sklearn"
        ) from None
    return sklearn.datasets
